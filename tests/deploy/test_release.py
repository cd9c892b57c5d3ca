"""`script/release` on the real servers: what stops a release, and what does not."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings

RELEASE = Path(settings.BASE_DIR) / "script" / "release"
OURS = ("_URL", "_SOURCE", "SPLIT_DB_MODE")
"""Ends of variables that would lead a release elsewhere than to its scratch database."""

pytestmark = [pytest.mark.timeout(300)]


def _server() -> dict[str, str]:
    """Return how to reach the primary's server, whatever database the tests use on it."""
    entry = settings.DATABASES["default"]
    return {"host": entry["HOST"], "port": str(entry["PORT"] or 5432), "user": entry["USER"]} | (
        {"password": entry["PASSWORD"]} if entry["PASSWORD"] else {}
    )


@contextmanager
def _administrator() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dbname="postgres", autocommit=True, **_server()) as connection:  # type: ignore[arg-type]  # the mapping holds text only
        yield connection


@pytest.fixture
def scratch() -> Iterator[str]:
    """Make an empty database on the primary's server and return its URL."""
    name = f"release_{secrets.token_hex(6)}"
    with _administrator() as administrator:
        administrator.execute(f'CREATE DATABASE "{name}"'.encode())
        server = _server()
        user = quote(server["user"], safe="")
        if "password" in server:
            user += f":{quote(server['password'], safe='')}"
        yield (
            f"postgresql://{user}@/{name}?host={quote(server['host'], safe='')}"
            f"&port={server['port']}"
        )
        administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def release(url: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it as a deployment does: production settings, everything in one database."""
    kept = {name: text for name, text in os.environ.items() if not name.endswith(OURS)}
    environment = kept | {
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "DATABASE_URL": url,
        "REDIS_URL": settings.REDIS_URL,
        "MONGO_URL": settings.MONGO_URL,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "example.org",
        "PYTHON": sys.executable,
        **more,
    }
    return subprocess.run(
        [str(RELEASE)], env=environment, capture_output=True, text=True, check=False
    )


def test_a_source_of_zones_that_is_away_is_reported_and_fails_no_release(scratch: str) -> None:
    answer = release(scratch, OPPORTUNITY_ZONES_SOURCE="/nonexistent/zones.geojson")

    assert answer.returncode == 0, answer.stderr
    assert "release: seeding failed. The release goes on" in answer.stderr
    assert answer.stdout.endswith("release: done\n")
    with psycopg.connect(scratch) as connection:
        users = connection.execute("SELECT to_regclass('accounts_user')").fetchone()
    assert users == ("accounts_user",)


def test_a_migration_that_fails_stops_the_release(scratch: str) -> None:
    with psycopg.connect(scratch) as connection:
        connection.execute("CREATE TABLE accounts_user (in_the_way integer)")

    answer = release(scratch)

    assert answer.returncode != 0
    assert "release: failed (manage.py migrate_all" in answer.stderr
    assert "collecting static files" not in answer.stdout


def test_a_release_without_its_secrets_stops_before_it_touches_a_database(scratch: str) -> None:
    answer = release(scratch, SECRET_KEY="")

    assert answer.returncode != 0
    assert "SECRET_KEY" in answer.stderr
    assert "migrating" not in answer.stdout
