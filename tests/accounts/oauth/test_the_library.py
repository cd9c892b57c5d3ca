"""What we count on in the library, so that an upgrade that changes it fails here."""

from __future__ import annotations

import logging

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from oauth2_provider.settings import DEFAULTS

from accounts.oauth.services.answering import core
from accounts.oauth.services.server import CodeGrant


def test_it_has_no_models_of_its_own_and_so_nothing_to_migrate() -> None:
    assert list(apps.get_app_config("oauth2_provider").get_models()) == []
    assert settings.MIGRATION_MODULES["oauth2_provider"] is None


@pytest.mark.django_db
def test_it_has_no_tables() -> None:
    assert [name for name in connection.introspection.table_names() if "oauth2" in name] == []


def test_every_setting_that_we_set_is_one_of_its_own() -> None:
    assert set(settings.OAUTH2_PROVIDER) - set(DEFAULTS) == set()
    assert {name for name in DEFAULTS if name.startswith("COMPLIANT_BCP")} <= set(
        settings.OAUTH2_PROVIDER
    )


def test_it_knows_three_ways_to_a_token_and_one_kind_of_challenge() -> None:
    server = core().server

    assert set(server.grant_types) == {"authorization_code", "client_credentials", "refresh_token"}
    assert set(server.response_types) == {"code"}
    assert set(CodeGrant._code_challenge_methods) == {"S256"}


@pytest.mark.parametrize("name", ["oauthlib", "oauthlib.oauth2.rfc6749.tokens", "oauth2_provider"])
def test_it_does_not_log_what_it_handles(name) -> None:
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


@pytest.mark.django_db
class TestItsCommands:
    def test_that_cleans_is_ours(self, capsys) -> None:
        call_command("cleartokens")

        assert "0 rows removed" in capsys.readouterr().out

    def test_that_registers_is_refused(self) -> None:
        with pytest.raises(CommandError, match="admin"):
            call_command("createapplication", "confidential", "authorization-code")
