"""Google and GitHub by their keys: nothing of them without, both halves or a refusal."""

from __future__ import annotations

import pytest

from tests.config.test_production import run

SHOW = """
from django.conf import settings
from django.test import Client
from django.urls import NoReverseMatch, reverse
for name in ("google_login", "github_login"):
    try:
        print(reverse(name))
    except NoReverseMatch:
        print("none")
page = Client().get("/account/login/")
print(page["Content-Security-Policy"].rpartition("form-action")[2].strip())
print("Continue with" in page.content.decode())
"""
GOOGLE = {"GOOGLE_CLIENT_ID": "an-id", "GOOGLE_CLIENT_SECRET": "s3cret-of-google"}


def shown(**environment):
    done = run(
        "shell", "--no-imports", "-c", SHOW, module="config.settings.test",
        DATABASE_URL="postgresql://x@127.0.0.1:1/x", **environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_keys_there_is_nothing_of_them():
    assert shown() == ["none", "none", "'self'", "False"]


def test_with_keys_the_page_offers_them_and_the_policy_lets_the_form_go_there():
    assert shown(**GOOGLE) == [
        "/account/google/login/", "none", "'self' https://accounts.google.com", "True",
    ]  # fmt: skip


@pytest.mark.parametrize("half", sorted(GOOGLE))
def test_half_of_the_keys_is_refused_by_name_and_never_shown(half):
    refused = run("check", module="config.settings.local", **{half: GOOGLE[half]})

    assert refused.returncode != 0
    assert "GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET go together" in refused.stderr
    assert "s3cret" not in refused.stderr
