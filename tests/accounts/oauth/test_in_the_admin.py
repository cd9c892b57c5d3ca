"""Operators register clients, look at tokens and end them, and never meet a secret twice."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from accounts.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    Client,
    PersonalToken,
    RefreshToken,
)
from accounts.models.oauth import checksum_of
from accounts.oauth.services.personal import create_token
from tests.accounts.oauth.flows import CALLBACK, App, a_machine, an_app, call
from tests.homes import databases_of
from tests.people import a_superuser, a_user, an_operator, signed_in

pytestmark = pytest.mark.django_db(databases=databases_of("accounts"))
CLIENTS = "/admin/accounts/client/"
FORM = {
    "name": "A new app",
    "client_type": "confidential",
    "authorization_grant_type": "authorization-code",
    "redirect_uris": CALLBACK,
    "scopes": ["tracker", "zones:read"],
    "is_active": "on",
}
LOOKED_AT = ("authorization", "authorizationcode", "accesstoken", "refreshtoken", "personaltoken")
MANAGER = ("accounts.view_client", "accounts.add_client", "accounts.change_client",
           "accounts.delete_client")  # fmt: skip


def secret_on(page: Any) -> str:
    found = re.search(r'id="client-secret">([^<]+)<', page.content.decode())
    return found[1] if found else ""


def act(browser: Any, action: str, model: str, *rows: Any) -> Any:
    return browser.post(
        f"/admin/accounts/{model}/",
        {"action": action, "_selected_action": [str(row.pk) for row in rows]},
        follow=True,
    )


class TestClients:
    def test_have_neither_id_nor_dates_before_they_are_saved(self) -> None:
        page = signed_in(a_superuser()).get(f"{CLIENTS}add/").content.decode()

        assert "field-client_id" not in page
        assert "Created at" not in page
        assert "DatabaseDefault" not in page

    def test_are_registered_and_their_secret_is_shown_once(self) -> None:
        browser = signed_in(a_superuser())

        page = browser.post(f"{CLIENTS}add/", FORM)

        secret, client = secret_on(page), Client.objects.get()
        assert secret.startswith("pss_")
        assert client.client_secret == checksum_of(secret)
        assert "no-store" in page["Cache-Control"]
        for address in (CLIENTS, f"{CLIENTS}{client.pk}/change/", f"{CLIENTS}{client.pk}/history/"):
            shown = browser.get(address).content.decode()
            assert secret not in shown
            assert client.client_secret not in shown
        assert secret not in str(list(LogEntry.objects.values()))
        assert App(row=client, secret=secret).tokens(a_user())["access_token"]

    def test_without_a_secret_are_told_so(self) -> None:
        page = signed_in(a_superuser()).post(f"{CLIENTS}add/", FORM | {"client_type": "public"})

        assert secret_on(page) == ""
        assert "public client" in page.content.decode()

    @pytest.mark.parametrize(
        "address",
        [
            "http://app.example.org/callback",
            "https://*.example.org/callback",
            "https://app.example.org/callback#part",
            "https://user@app.example.org/callback",
            "https:///callback",
            "javascript:alert(1)",
            "data:text/html,x",
            "app:/callback",
            "//app.example.org/callback",
            "https://app.example.org:port/",
            "https://äpp.example.org/",
            "",
        ],
    )
    def test_with_such_a_redirect_are_refused(self, address) -> None:
        page = signed_in(a_superuser()).post(f"{CLIENTS}add/", FORM | {"redirect_uris": address})

        assert page.status_code == 200
        assert Client.objects.count() == 0

    @pytest.mark.parametrize(
        "address",
        [
            "https://app.example.org/callback?a=b",
            "http://127.0.0.1:8123/",
            "http://[::1]/cb",
            "http://localhost/cb",
            "org.example.app:/callback",
        ],
    )
    def test_with_such_a_redirect_are_taken(self, address) -> None:
        signed_in(a_superuser()).post(f"{CLIENTS}add/", FORM | {"redirect_uris": address})

        assert Client.objects.get().redirect_uris == address

    def test_have_known_scopes_alone(self) -> None:
        signed_in(a_superuser()).post(f"{CLIENTS}add/", FORM | {"scopes": ["no-such"]})

        assert Client.objects.count() == 0

    def test_get_a_new_secret_and_lose_the_old_one(self) -> None:
        app = an_app()
        old = app.secret

        page = act(signed_in(a_superuser()), "new_secret", "client", app.row)

        app.secret = secret_on(page)
        assert app.secret not in {"", old}
        assert app.tokens(a_user())["access_token"]
        assert App(row=app.row, secret=old).refresh("any").status_code == 401

    def test_that_are_switched_off_lose_their_tokens_at_once(self) -> None:
        app = an_app()
        token = app.tokens(a_user())["access_token"]
        form = {name: value for name, value in FORM.items() if name != "is_active"}

        answer = signed_in(a_superuser()).post(f"{CLIENTS}{app.row.pk}/change/", form)

        assert answer.status_code == 302
        assert call(token).status_code == 401

    def test_are_deleted_with_what_people_allowed_them(self) -> None:
        app = an_app()
        token = app.tokens(a_user())["access_token"]

        signed_in(a_superuser()).post(f"{CLIENTS}{app.row.pk}/delete/", {"post": "yes"})

        assert (Client.objects.count(), Authorization.objects.count()) == (0, 0)
        assert call(token).status_code == 401

    def test_are_deleted_together(self) -> None:
        chosen = [an_app().row, an_app().row]
        browser = signed_in(a_superuser())

        browser.post(
            CLIENTS,
            {
                "action": "delete_selected",
                "_selected_action": [str(row.pk) for row in chosen],
                "post": "yes",
            },
        )

        assert Client.objects.count() == 0


class TestWhoMay:
    def test_operators_with_permission_register_clients_that_act_as_nobody(self) -> None:
        root = a_superuser()
        browser = signed_in(an_operator(*MANAGER))

        browser.post(
            f"{CLIENTS}add/",
            FORM | {"authorization_grant_type": "client-credentials", "user": str(root.pk)},
        )

        assert Client.objects.get().user is None

    def test_operators_do_not_touch_clients_that_act_as_somebody(self) -> None:
        machine = a_machine(user=a_superuser())
        browser = signed_in(an_operator(*MANAGER))

        refused = browser.post(f"{CLIENTS}{machine.row.pk}/change/", FORM)
        page = act(browser, "new_secret", "client", machine.row)
        act(browser, "delete_selected", "client", machine.row)
        browser.post(f"{CLIENTS}{machine.row.pk}/delete/", {"post": "yes"})

        assert refused.status_code == 403
        assert secret_on(page) == ""
        assert Client.objects.get().client_secret == checksum_of(machine.secret)

    @pytest.mark.parametrize("model", ["client", *LOOKED_AT])
    def test_others_see_nothing(self, model) -> None:
        an_app().tokens(a_user())

        assert signed_in(an_operator()).get(f"/admin/accounts/{model}/").status_code == 403

    def test_who_may_only_look_ends_nothing(self) -> None:
        app = an_app()
        token = app.tokens(a_user())["access_token"]
        browser = signed_in(an_operator("accounts.view_accesstoken"))

        act(browser, "end", "accesstoken", AccessToken.objects.get())

        assert call(token).status_code == 200


class TestTokens:
    @pytest.fixture
    def tokens(self) -> dict[str, Any]:
        user = a_user()
        create_token(
            user_id=user.pk, name="A script", scopes=["tracker"], days=3, at=timezone.now()
        )
        return an_app().tokens(user)

    @pytest.mark.parametrize("model", LOOKED_AT)
    def test_are_looked_at_without_their_checksums(self, tokens, model) -> None:
        browser = signed_in(a_superuser())
        kinds: dict[str, Any] = {
            "authorization": Authorization,
            "authorizationcode": AuthorizationCode,
            "accesstoken": AccessToken,
            "refreshtoken": RefreshToken,
            "personaltoken": PersonalToken,
        }
        row = kinds[model].objects.get()

        for address in ("", f"{row.pk}/change/"):
            page = browser.get(f"/admin/accounts/{model}/{address}")
            assert page.status_code == 200
            assert "member@example.com" in page.content.decode()
            assert not re.search(r"\b[0-9a-f]{64}\b", page.content.decode())
        assert browser.get(f"/admin/accounts/{model}/add/").status_code == 403

    @pytest.mark.parametrize("model", ["authorization", "accesstoken", "refreshtoken"])
    def test_of_applications_are_ended_with_their_family(self, tokens, model) -> None:
        rows: dict[str, Any] = {
            "authorization": Authorization,
            "accesstoken": AccessToken,
            "refreshtoken": RefreshToken,
        }
        row = rows[model].objects.get()

        page = act(signed_in(a_superuser()), "end", model, row)

        assert "1 authorizations are ended" in page.content.decode()
        assert call(tokens["access_token"]).status_code == 401

    def test_of_people_are_revoked(self) -> None:
        made = create_token(
            user_id=a_user().pk, name="A script", scopes=["tracker"], days=3, at=timezone.now()
        )

        act(signed_in(a_superuser()), "revoke", "personaltoken", made.token)

        assert call(made.value).status_code == 401
