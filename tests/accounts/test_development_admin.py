"""`manage.py ensure_development_admin`."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from accounts.models import User

pytestmark = pytest.mark.django_db(databases=["default"])


@pytest.fixture
def on_a_developers_machine(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    monkeypatch.setenv("DEVELOPMENT_ADMIN_PASSWORD", "first-password")


def ensure(**options: Any) -> str:
    """Run the command and return what it printed."""
    out = io.StringIO()
    call_command("ensure_development_admin", email="admin@example.com", stdout=out, **options)
    return out.getvalue()


@pytest.mark.usefixtures("on_a_developers_machine")
class TestTheDevelopmentAdmin:
    def test_can_do_everything_and_is_made_once(self) -> None:
        assert ensure() == "Development admin admin@example.com: created.\n"
        assert ensure() == "Development admin admin@example.com: there already.\n"

        admin = User.objects.get()
        assert (admin.is_active, admin.is_staff, admin.is_superuser) == (True, True, True)
        assert authenticate(username="admin@example.com", password="first-password") == admin

    def test_is_put_right_where_somebody_changed_it(self) -> None:
        ensure()
        User.objects.update(is_active=False, is_superuser=False)

        assert ensure() == "Development admin admin@example.com: put right.\n"
        assert User.objects.get().is_superuser

    def test_gets_its_password_from_standard_input_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ensure()
        monkeypatch.setattr("sys.stdin", io.StringIO("second-password\n"))

        assert "put right" in ensure(password_stdin=True)
        assert authenticate(username="admin@example.com", password="second-password")

    def test_is_not_made_without_a_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DEVELOPMENT_ADMIN_PASSWORD")

        with pytest.raises(CommandError, match="no password in DEVELOPMENT_ADMIN_PASSWORD"):
            ensure()

    def test_needs_an_address_that_is_one(self) -> None:
        with pytest.raises(CommandError, match="not an e-mail address"):
            call_command("ensure_development_admin", email="nobody")


def test_nothing_is_made_where_debug_is_off(settings: Any) -> None:
    settings.DEBUG = False

    with pytest.raises(CommandError, match="DEBUG is off"):
        ensure()

    assert not User.objects.exists()
