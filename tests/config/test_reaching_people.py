"""ADMINS, EMAIL_URL and ALERT_WEBHOOK_URL are read, or refused without repeating them."""

from __future__ import annotations

import json

import pytest

from tests.config.test_production import run

SHOW = """
import json
from django.conf import settings
names = ("ADMINS", "ALERT_WEBHOOK_URL", "EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT",
         "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS", "EMAIL_USE_SSL")
print(json.dumps({name: getattr(settings, name) for name in names}))
"""


def read(**environment):
    done = run("shell", "--no-imports", "-c", SHOW, module="config.settings.local", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_admins_are_addresses_with_or_without_a_name():
    found = read(ADMINS="a@b.example, Night shift <n@b.example>")

    assert found["ADMINS"] == [["", "a@b.example"], ["Night shift", "n@b.example"]]


def test_mail_goes_where_the_url_says():
    found = read(EMAIL_URL="smtp+tls://user:p%40ss%2Fword@mail.example")

    assert found["EMAIL_BACKEND"].endswith("smtp.EmailBackend")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example", 587)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("user", "p@ss/word")
    assert (found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (True, False)


def test_without_a_url_a_developer_reads_mail_on_the_console():
    found = read()

    assert found["EMAIL_BACKEND"].endswith("console.EmailBackend")
    assert (found["ADMINS"], found["ALERT_WEBHOOK_URL"]) == ([], "")


@pytest.mark.parametrize(
    "url", ["https://hooks.example/T0/s3cret", "http://localhost:9000/", "http://127.0.0.1:9000/x"]
)
def test_a_webhook_is_encrypted_or_local(url):
    assert read(ALERT_WEBHOOK_URL=url)["ALERT_WEBHOOK_URL"] == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALERT_WEBHOOK_URL", "http://hooks.example/s3cret"),
        ("ALERT_WEBHOOK_URL", "ftp://localhost/s3cret"),
        ("ALERT_WEBHOOK_URL", "https://user:s3cret@hooks.example/"),
        ("ALERT_WEBHOOK_URL", "https://"),
        ("EMAIL_URL", "smtp://user:s3cret/@mail.example"),
        ("EMAIL_URL", "imap://user:s3cret@mail.example"),
        ("EMAIL_URL", "s3cret"),
        ("ADMINS", "s3cret"),
        ("ADMINS", "a@b.example, Night <>"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_never_shown(name, value):
    refused = run("check", module="config.settings.local", **{name: value})

    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert name in last
    assert "s3cret" not in refused.stderr
