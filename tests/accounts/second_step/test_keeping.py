"""Setting the second step up, removing it, recovery codes, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as site
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import events
from accounts.leaving.deleting import delete_account
from accounts.models import Session
from accounts.second_step.sealing import SecretUnreadable, seal, unseal
from outbox.delivery import drain_once
from outbox.models import OutboxEvent
from tests.accounts.second_step.apps import (
    ACTIVATE,
    CODES,
    DEACTIVATE,
    INDEX,
    NEW_CODES,
    REAUTHENTICATE,
    App,
    of,
    proved,
    set_up,
    with_app,
)
from tests.homes import every_database
from tests.people import PASSWORD, a_superuser, a_user, an_operator, signed_in

pytestmark = pytest.mark.django_db(transaction=True, databases=every_database())


def told(kind: str) -> list[Any]:
    """Return what the audit trail was told of a kind."""
    rows = OutboxEvent.objects.filter(type=kind, sink="compliance").order_by("id")
    return list(rows.values_list("payload", flat=True))


class TestSettingUp:
    def test_needs_the_password_once_more(self) -> None:
        answer = signed_in(a_user()).get(ACTIVATE)

        assert (answer.status_code, answer["Location"]) == (
            302,
            f"/account/reauthenticate/?next={ACTIVATE.replace('/', '%2F')}",
        )

    def test_shows_the_secret_and_the_codes_once(self) -> None:
        user = a_user()
        client = signed_in(user)

        app, codes = set_up(client)

        assert len(codes) == 10
        assert "Signing in asks for your password and a code" in client.get(INDEX).content.decode()
        again = client.get(CODES).content.decode()
        assert not any(code in again for code in codes)
        assert client.get(f"{CODES}download/").status_code == 403
        kept = str([of(user).data, of(user, "recovery_codes").data])
        assert not any(word in kept for word in (app.secret, *codes))

    def test_draws_a_picture_that_the_policy_allows(self) -> None:
        answer = proved(signed_in(a_user())).get(ACTIVATE)
        page = answer.content.decode()

        assert "<svg" in page
        assert "data:" not in page
        assert "style=" not in page
        assert "img-src 'self'" in answer["Content-Security-Policy"] or (
            "default-src 'self'" in answer["Content-Security-Policy"]
        )

    def test_keeps_the_secret_sealed_until_then(self) -> None:
        client = proved(signed_in(a_user()))
        page = client.get(ACTIVATE).content.decode()
        secret = page.partition('class="secret">')[2][:32]

        assert unseal(client.session["mfa.totp.secret"]) == secret
        assert secret not in str(list(Session.objects.values_list("data", flat=True)))

    def test_refuses_a_wrong_code_and_keeps_the_secret(self) -> None:
        user = a_user()
        client = proved(signed_in(user))
        page = client.get(ACTIVATE).content.decode()
        app = App(page.partition('class="secret">')[2][:32])

        wrong = client.post(ACTIVATE, {"code": app.wrong()})

        assert "This code is not valid" in wrong.content.decode()
        assert app.secret in wrong.content.decode()
        assert not Authenticator.objects.exists()
        assert client.post(ACTIVATE, {"code": app.code_at(0)}).status_code == 302
        assert Authenticator.objects.filter(user=user).count() == 2

    def test_counts_tries(self) -> None:
        client = proved(signed_in(a_user()))
        client.get(ACTIVATE)

        statuses = [client.post(ACTIVATE, {"code": "x"}).status_code for _ in range(6)]

        assert statuses == [200] * 5 + [429]

    def test_ends_every_other_session(self) -> None:
        user = a_user()
        here, elsewhere = signed_in(user), signed_in(user)

        set_up(here)

        assert here.get("/api/users/me").status_code == 200
        assert elsewhere.get("/api/users/me").status_code == 401

    def test_lets_its_own_code_not_sign_in_too(self) -> None:
        user = a_user()
        app, _ = set_up(signed_in(user))
        body = {"email": user.email, "password": PASSWORD}

        used = Client().post(
            "/api/auth/login", body | {"code": app.code_at(0)}, content_type="application/json"
        )
        later = Client().post(
            "/api/auth/login", body | {"code": app.code()}, content_type="application/json"
        )

        assert (used.status_code, later.status_code) == (401, 200)

    def test_is_told_with_who_did_it(self) -> None:
        user = a_user()
        set_up(signed_in(user))

        found = told("user.second_step_added")

        assert [one["kind"] for one in found] == ["totp", "recovery_codes"]
        assert {one["actor_id"] for one in found} == {str(user.pk)}


class TestRemoving:
    def test_needs_a_code_and_not_the_password_alone(self) -> None:
        user = a_user()
        client = signed_in(user)
        app, codes = set_up(client)

        shown = client.get(DEACTIVATE).content.decode()
        without = client.post(DEACTIVATE)
        wrong = client.post(DEACTIVATE, {"code": app.wrong()})

        assert "errorlist" not in shown
        assert "Type in a code" in without.content.decode()
        assert "This code is not valid" in wrong.content.decode()
        assert Authenticator.objects.count() == 2
        assert client.post(DEACTIVATE, {"code": codes[0]}).status_code == 302
        assert not Authenticator.objects.exists()
        assert "The second step is off" in client.get(INDEX).content.decode()
        kinds = {one["kind"] for one in told("user.second_step_removed")}
        assert kinds == {"totp", "recovery_codes"}


class TestNewCodes:
    def test_take_the_place_of_the_old_ones(self) -> None:
        user = a_user()
        client = signed_in(user)
        app, codes = set_up(client)

        assert client.post(NEW_CODES, {"code": app.wrong()}).status_code == 200
        answer = client.post(NEW_CODES, {"code": codes[0]}, follow=True)

        assert answer.redirect_chain == [(CODES, 302)]
        page = answer.content.decode()
        assert page.count("<li>") >= 10
        assert not any(code in page for code in codes)

    def test_are_for_nobody_without_an_app(self) -> None:
        answer = proved(signed_in(a_user())).post(NEW_CODES, {"code": "123456"})

        assert answer.status_code == 200
        assert not Authenticator.objects.exists()


class TestStaff:
    @pytest.fixture(autouse=True)
    def _required(self, settings) -> None:
        settings.ADMIN_REQUIRES_TOTP = True

    def test_without_one_are_led_to_set_it_up(self) -> None:
        client = signed_in(a_superuser())

        for path in ("/admin/", "/admin/accounts/user/", "/admin/databases/overview/"):
            assert client.get(path)["Location"] == ACTIVATE
        assert client.post("/admin/accounts/user/add/", {}).status_code == 302
        page = client.get(ACTIVATE, follow=True).content.decode()
        assert "The admin asks for a second step" in page

    def test_who_set_it_up_come_in(self) -> None:
        client = signed_in(a_superuser())

        set_up(client)

        assert client.get("/admin/").status_code == 200

    def test_whose_session_never_saw_a_code_are_asked_for_one(self) -> None:
        root = a_superuser()
        client = signed_in(root)
        app, _ = with_app(root)

        asked = client.get("/admin/accounts/user/?q=x")
        assert asked["Location"] == f"{REAUTHENTICATE}?next=%2Fadmin%2Faccounts%2Fuser%2F%3Fq%3Dx"
        form = {"code": app.wrong(), "next": "/admin/accounts/user/?q=x"}
        assert client.post(REAUTHENTICATE, form).status_code == 200
        assert client.get("/admin/").status_code == 302
        passed = client.post(REAUTHENTICATE, form | {"code": app.code()})
        assert passed["Location"] == "/admin/accounts/user/?q=x"
        assert client.get("/admin/").status_code == 200

    def test_who_remove_it_are_out_again(self) -> None:
        client = signed_in(a_superuser())
        _, codes = set_up(client)

        client.post(DEACTIVATE, {"code": codes[0]})

        assert client.get("/admin/")["Location"] == ACTIVATE

    def test_reach_everything_else_and_may_leave(self) -> None:
        client = signed_in(a_superuser())

        assert client.get("/account/").status_code == 200
        assert client.post("/admin/logout/").status_code in {200, 302}
        assert client.get("/admin/")["Location"].startswith("/admin/login/")

    def test_others_learn_nothing_more_than_before(self) -> None:
        assert signed_in(a_user()).get("/admin/")["Location"].startswith("/admin/login/")
        assert Client().get("/admin/")["Location"].startswith("/admin/login/")


def test_the_admin_asks_for_none_by_default() -> None:
    assert site.ADMIN_REQUIRES_TOTP is False
    assert signed_in(a_superuser()).get("/admin/").status_code == 200


class TestOperators:
    def reset(self, operator, user):
        return signed_in(operator).post(
            "/admin/accounts/user/",
            {"action": "reset_second_step", "_selected_action": [str(user.pk)]},
            follow=True,
        )

    def test_reset_somebodys(self, heard) -> None:
        user = a_user()
        with_app(user)
        client = signed_in(user)
        operator = an_operator("accounts.view_user", "accounts.change_user")

        answer = self.reset(operator, user)

        assert "1 users sign in without a second step now." in answer.content.decode()
        assert not Authenticator.objects.exists()
        assert client.get("/api/users/me").status_code == 401
        (event,) = heard(events.SECOND_STEP_RESET)
        assert (event.aggregate_id, event.payload["actor_id"]) == (str(user.pk), str(operator.pk))

    def test_reset_nobody_above_them(self) -> None:
        root = a_superuser()
        with_app(root)

        self.reset(an_operator("accounts.view_user", "accounts.change_user"), root)

        assert Authenticator.objects.filter(user=root).count() == 2

    def test_who_may_only_look_reset_nobodys(self) -> None:
        user = a_user()
        with_app(user)

        self.reset(an_operator("accounts.view_user"), user)

        assert Authenticator.objects.filter(user=user).count() == 2

    def test_see_no_secret_in_the_admin(self) -> None:
        assert signed_in(a_superuser()).get("/admin/mfa/authenticator/").status_code == 404

    def test_at_the_console_reset_the_last_superusers(self, capsys) -> None:
        root = a_superuser()
        with_app(root)

        call_command("reset_second_step", root.email.upper())
        assert not Authenticator.objects.exists()
        call_command("reset_second_step", root.email, "--json")
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
            "user": str(root.pk),
            "reset": False,
        }
        with pytest.raises(CommandError, match="no user"):
            call_command("reset_second_step", "nobody@example.com")


class TestWhoLeaves:
    def test_takes_it_along(self) -> None:
        user = a_user()
        with_app(user)

        delete_account(user_id=user.pk, origin="http://x")
        assert not Authenticator.objects.exists()
        drain_once()

    def test_sees_in_the_export_that_it_is_there_and_no_secret(self) -> None:
        user = a_user()
        app, codes = with_app(user)
        data = [of(user).data["secret"], of(user, "recovery_codes").data["seed"]]

        text = signed_in(user).get("/api/auth/me/export").getvalue().decode()

        kinds = [row["type"] for row in json.loads(text)["accounts"]["secondStep"]]
        assert sorted(kinds) == ["recovery_codes", "totp"]
        assert not any(word in text for word in (app.secret, *codes, *data))


class TestSealing:
    def test_opens_with_every_key_and_seals_with_the_first(self, settings) -> None:
        settings.FIELD_ENCRYPTION_KEYS = ["a" * 32]
        old = seal("secret")
        settings.FIELD_ENCRYPTION_KEYS = ["b" * 32, "a" * 32]
        new = seal("secret")

        assert (unseal(old), unseal(new)) == ("secret", "secret")
        settings.FIELD_ENCRYPTION_KEYS = ["b" * 32]
        assert unseal(new) == "secret"
        with pytest.raises(SecretUnreadable):
            unseal(old)

    def test_needs_secret_key_where_there_is_no_other(self, settings) -> None:
        sealed = seal("secret")
        settings.SECRET_KEY, former = "z" * 50, settings.SECRET_KEY

        with pytest.raises(SecretUnreadable):
            unseal(sealed)
        settings.SECRET_KEY_FALLBACKS = [former]
        assert unseal(sealed) == "secret"

    def test_that_no_key_opens_lets_nobody_in(self, settings) -> None:
        user = a_user()
        app, _ = with_app(user)
        settings.FIELD_ENCRYPTION_KEYS = ["c" * 32]
        client = Client(raise_request_exception=False)

        answer = client.post(
            "/api/auth/login",
            {"email": user.email, "password": PASSWORD, "code": app.code()},
            content_type="application/json",
        )

        assert (answer.status_code, answer.json()["code"]) == (500, "accounts.secret_unreadable")
        assert client.get("/api/users/me").status_code == 401
