"""Production refuses to start without its secrets, and is safe once it has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
REQUIRED = {
    "SECRET_KEY": "qX3v9-" + "k2Wz7pLm" * 8,
    "ALLOWED_HOSTS": "polystore.example",
    "DATABASE_URL": "postgresql://polystore:s3cret@127.0.0.1:1/polystore",
    "REDIS_URL": "redis://:s3cret@127.0.0.1:1/0",
}
KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


def run(*arguments, module="config.settings.production", **environment):
    """Run manage.py with these variables and no others of the tests' environment."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, **environment, "DJANGO_SETTINGS_MODULE": module},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("absent", sorted(REQUIRED))
def test_a_missing_secret_is_named_in_one_sentence(absent):
    given = {name: value for name, value in REQUIRED.items() if name != absent}

    refused = run("check", **given)

    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert absent in last
    assert "s3cret" not in refused.stderr


def test_all_missing_secrets_are_named_at_once():
    refused = run("check")

    last = refused.stderr.strip().splitlines()[-1]
    assert all(name in last for name in REQUIRED)


def test_settings_that_a_command_names_count():
    asked = "from django.conf import settings; print(settings.SETTINGS_MODULE)"
    named = "config.settings.production"

    done = run(
        *("shell", "--no-imports", "--settings", named, "-c", asked),
        module="config.settings.local",
        **REQUIRED,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [named]


def test_a_command_that_needs_a_database_names_what_is_missing():
    refused = run("migrate_all")

    last = refused.stderr.strip().splitlines()[-1]
    assert refused.returncode != 0
    assert all(name in last for name in REQUIRED)


def test_with_its_secrets_djangos_own_audit_finds_nothing():
    checked = run("check", "--deploy", "--fail-level", "WARNING", **REQUIRED)

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FIELD_ENCRYPTION_KEYS", f"{'k' * 40},short"),
        ("SECRET_KEY", "short"),
        ("DEBUG", "true"),
        ("ALLOWED_HOSTS", "*"),
        ("METRICS_TOKEN", "short"),
        ("TRUSTED_PROXIES", "10.0.0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_value_that_is_not_safe_is_refused_by_name(name, value):
    refused = run("check", "--deploy", **{**REQUIRED, name: value})

    assert refused.returncode != 0
    assert name in refused.stderr
    assert "Traceback" not in refused.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "module", ["config.settings.base", "config.settings.local", "config.settings.test"]
)
def test_settings_import_with_an_empty_environment(module):
    checked = run("check", module=module)

    assert "ImproperlyConfigured" not in checked.stderr
    assert "Traceback" not in checked.stderr
