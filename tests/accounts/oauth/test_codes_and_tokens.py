"""Codes, access tokens and refresh tokens: given out once, swapped once, ended together."""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import AccessToken, Authorization, AuthorizationCode, RefreshToken, User
from accounts.oauth.services.clients import give_new_secret
from tests.accounts.oauth.flows import (
    CALLBACK,
    ISSUER,
    a_machine,
    allow,
    an_app,
    call,
    challenge_of,
    form_post,
    parameters_of,
)
from tests.homes import databases_of
from tests.people import PASSWORD, a_user, signed_in

pytestmark = pytest.mark.django_db
PAST = timezone.now() - dt.timedelta(days=365)


@pytest.fixture
def user():
    return a_user()


class TestTheWholeWay:
    def test_of_a_confidential_client_opens_what_was_allowed(self, user) -> None:
        app = an_app()

        tokens = app.tokens(user)

        assert tokens["token_type"] == "Bearer"
        assert tokens["scope"] == "tracker"
        assert tokens["expires_in"] == 3600
        assert call(tokens["access_token"]).status_code == 200

    def test_of_a_public_client_needs_no_secret(self, user) -> None:
        tokens = an_app(public=True).tokens(user)

        assert call(tokens["access_token"]).json()["items"] == []

    def test_goes_back_with_state_and_the_name_of_who_answers(self, user) -> None:
        answer = allow(signed_in(user), an_app().ask())

        address = answer["Location"]
        assert address.startswith(CALLBACK + "?")
        assert parameters_of(address)["state"] == "kept"
        assert parameters_of(address)["iss"] == ISSUER

    def test_keeps_no_value_anywhere(self, user, caplog) -> None:
        app = an_app()
        browser = signed_in(user)
        code = app.code_from(browser)
        tokens = app.swap(code).json()
        again = app.refresh(tokens["refresh_token"]).json()

        values = [code, app.secret, app.verifier]
        values += [
            one[kind] for one in (tokens, again) for kind in ("access_token", "refresh_token")
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            )
            tables = [name for (name,) in cursor.fetchall()]
            kept = []
            for table in tables:
                cursor.execute(f'SELECT t::text FROM "{table}" t')
                kept += [text for (text,) in cursor.fetchall()]
        held = "\n".join(kept) + caplog.text
        assert len(set(values)) == 7
        assert [value for value in values if value in held] == []


class TestACode:
    def test_is_refused_with_another_verifier(self, user) -> None:
        app = an_app(public=True)
        code = app.code_from(signed_in(user))

        refused = app.swap(code, code_verifier="another" * 8)

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert app.swap(code).status_code == 200

    def test_is_refused_without_a_verifier(self, user) -> None:
        app = an_app()
        code = app.code_from(signed_in(user))

        assert app.swap(code, code_verifier=None).status_code == 400

    def test_that_came_without_a_challenge_is_refused_with_a_verifier(self, user) -> None:
        app = an_app()
        bare = {"code_challenge": None, "code_challenge_method": None}

        code = app.code_from(signed_in(user), **bare)
        refused = app.swap(code)

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")

    def test_that_is_presented_twice_ends_the_tokens_that_it_gave(self, user) -> None:
        app = an_app()
        code = app.code_from(signed_in(user))
        tokens = app.swap(code).json()
        assert call(tokens["access_token"]).status_code == 200

        refused = app.swap(code)

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert call(tokens["access_token"]).status_code == 401
        assert app.refresh(tokens["refresh_token"]).status_code == 400
        assert Authorization.objects.get().reason == "code reused"

    def test_ends_the_tokens_of_its_own_authorization_alone(self, user) -> None:
        app = an_app()
        others = app.tokens(user)
        code = app.code_from(signed_in(user))
        app.swap(code)

        app.swap(code)

        assert call(others["access_token"]).status_code == 200

    def test_is_refused_when_it_is_over(self, user) -> None:
        app = an_app()
        code = app.code_from(signed_in(user))
        AuthorizationCode.objects.update(expires_at=PAST)

        assert app.swap(code).json()["error"] == "invalid_grant"

    def test_of_another_client_is_refused_and_harms_nobody(self, user) -> None:
        mine, other = an_app(), an_app()
        code = mine.code_from(signed_in(user))

        assert other.swap(code, code_verifier=mine.verifier).status_code == 400
        assert mine.swap(code).status_code == 200

    @pytest.mark.parametrize(
        "other", [CALLBACK + "/", CALLBACK[:-1], CALLBACK.upper(), CALLBACK + "?a=1"]
    )
    def test_is_refused_for_a_redirect_that_differs(self, user, other) -> None:
        app = an_app()
        code = app.code_from(signed_in(user))

        assert app.swap(code, redirect_uri=other).status_code == 400

    def test_is_refused_when_the_password_changed_since(self, user) -> None:
        app = an_app()
        code = app.code_from(signed_in(user))
        user.set_password("another-password")
        user.save()

        assert app.swap(code).json()["error"] == "invalid_grant"

    @pytest.mark.parametrize("code", ["", "unknown", "psc_\0", "x" * 100_000])
    def test_that_nobody_gave_out_is_refused(self, user, code) -> None:
        assert an_app().swap(code).status_code == 400


class TestARefreshToken:
    def test_gives_new_tokens_once(self, user) -> None:
        app = an_app()
        first = app.tokens(user)

        answer = app.refresh(first["refresh_token"])

        second = answer.json()
        assert answer.status_code == 200
        assert second["refresh_token"] != first["refresh_token"]
        assert call(second["access_token"]).status_code == 200

    def test_that_is_presented_twice_ends_its_family(self, user) -> None:
        app = an_app()
        first = app.tokens(user)
        second = app.refresh(first["refresh_token"]).json()
        third = app.refresh(second["refresh_token"]).json()

        refused = app.refresh(first["refresh_token"])

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        for tokens in (first, second, third):
            assert call(tokens["access_token"]).status_code == 401
        assert app.refresh(third["refresh_token"]).status_code == 400
        assert Authorization.objects.get().reason == "refresh token reused"

    def test_gives_less_when_less_is_asked_for_and_never_more(self, user) -> None:
        app = an_app(scopes=("tracker", "zones:read", "documents"))
        first = app.tokens(user, scope="tracker zones:read")

        less = app.refresh(first["refresh_token"], scope="zones:read").json()
        refused = app.refresh(less["refresh_token"], scope="tracker documents")
        all_again = app.refresh(less["refresh_token"]).json()

        assert less["scope"] == "zones:read"
        assert call(less["access_token"]).status_code == 403
        assert refused.json()["error"] == "invalid_scope"
        assert set(all_again["scope"].split()) == {"tracker", "zones:read"}

    def test_of_another_client_is_refused_and_harms_nobody(self, user) -> None:
        mine, other = an_app(), an_app()
        tokens = mine.tokens(user)

        assert other.refresh(tokens["refresh_token"]).status_code == 400
        assert mine.refresh(tokens["refresh_token"]).status_code == 200

    def test_is_refused_when_it_is_over(self, user) -> None:
        app = an_app()
        tokens = app.tokens(user)
        RefreshToken.objects.update(expires_at=PAST)

        assert app.refresh(tokens["refresh_token"]).status_code == 400

    def test_is_no_access_token_and_the_other_way_round(self, user) -> None:
        app = an_app()
        tokens = app.tokens(user)

        assert call(tokens["refresh_token"]).status_code == 401
        assert app.refresh(tokens["access_token"]).status_code == 400


class TestClientCredentials:
    def test_open_what_the_user_may_as_whom_the_client_acts(self, user) -> None:
        machine = a_machine(user=user)

        tokens = machine.token(grant_type="client_credentials", scope="tracker").json()

        assert "refresh_token" not in tokens
        assert call(tokens["access_token"]).status_code == 200

    def test_of_a_client_that_acts_as_nobody_open_nothing_of_users(self) -> None:
        machine = a_machine()
        tokens = machine.token(grant_type="client_credentials", scope="tracker").json()

        refused = call(tokens["access_token"])

        assert (refused.status_code, refused.json()["code"]) == (403, "access.user_needed")

    @pytest.mark.parametrize("scope", ["tracker documents", "admin", "", None, "no-such"])
    def test_beyond_the_clients_scopes_are_refused(self, user, scope) -> None:
        refused = a_machine(user=user).token(grant_type="client_credentials", scope=scope)

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")

    def test_with_a_wrong_secret_are_refused(self, user) -> None:
        machine = a_machine(user=user)
        machine.secret += "x"

        refused = machine.token(grant_type="client_credentials", scope="tracker")

        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")

    def test_end_with_the_secret_that_they_came_from(self, user) -> None:
        machine = a_machine(user=user)
        token = machine.token(grant_type="client_credentials", scope="tracker").json()
        give_new_secret(machine.row, at=timezone.now())

        assert call(token["access_token"]).status_code == 401

    def test_are_not_for_clients_that_ask_people(self) -> None:
        refused = an_app().token(grant_type="client_credentials", scope="tracker")

        assert refused.json()["error"] == "unauthorized_client"

    @pytest.mark.parametrize("grant_type", ["password", "implicit", "", "none"])
    def test_are_the_only_other_way(self, user, grant_type) -> None:
        refused = an_app().token(
            grant_type=grant_type, username=user.email, password=PASSWORD, scope="tracker"
        )

        assert refused.status_code == 400
        assert AccessToken.objects.count() == 0


class TestATokenIsDeadAtOnce:
    @pytest.fixture
    def token(self, user) -> str:
        made = an_app().tokens(user)["access_token"]
        assert call(made).status_code == 200
        return made

    @pytest.mark.parametrize(
        "deed",
        [
            "UPDATE accounts_user SET is_active = false",
            "UPDATE accounts_user SET password = 'another'",
            "UPDATE accounts_client SET is_active = false",
            "UPDATE accounts_authorization SET revoked_at = now(), reason = 'revoked'",
            "DELETE FROM accounts_accesstoken",
        ],
    )
    def test_whatever_sql_ended_it(self, token, deed) -> None:
        with connection.cursor() as cursor:
            cursor.execute(deed)

        assert call(token).status_code == 401

    def test_when_its_user_is_deleted(self, token, user) -> None:
        user.delete()

        assert call(token).status_code == 401

    def test_when_its_user_has_another_password(self, token, user) -> None:
        user.set_password("another-password")
        user.save()

        assert call(token).status_code == 401

    def test_when_users_are_updated_together(self, token) -> None:
        User.objects.update(is_active=False)

        assert call(token).status_code == 401

    def test_when_its_time_is_over(self, token) -> None:
        AccessToken.objects.update(expires_at=PAST)

        refused = call(token)

        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused["WWW-Authenticate"]
        assert refused["Content-Type"] == "application/problem+json"

    def test_and_loses_scopes_that_the_client_loses(self, user) -> None:
        app = an_app()
        token = app.tokens(user)["access_token"]
        app.row.scopes = ["zones:read"]
        app.row.save()

        assert call(token).status_code == 403

    @pytest.mark.django_db(databases=databases_of("accounts", "caches"))
    def test_and_loses_what_only_staff_may_when_its_user_is_none_any_more(self, user) -> None:
        User.objects.update(is_staff=True)
        app = an_app(scopes=("operations",))
        token = app.tokens(user, scope="operations")["access_token"]
        assert call(token, "/metrics").status_code == 200

        User.objects.update(is_staff=False)

        assert call(token, "/metrics").status_code == 403


class TestRevocation:
    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    @pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "nonsense"])
    def test_of_either_token_ends_both(self, user, kind, hint) -> None:
        app = an_app()
        tokens = app.tokens(user)

        answer = app.post("/o/revoke", token=tokens[kind], token_type_hint=hint)

        assert answer.status_code == 200
        assert call(tokens["access_token"]).status_code == 401
        assert app.refresh(tokens["refresh_token"]).status_code == 400

    def test_by_a_public_client_needs_no_secret(self, user) -> None:
        app = an_app(public=True)
        tokens = app.tokens(user)

        assert app.post("/o/revoke", token=tokens["access_token"]).status_code == 200
        assert call(tokens["access_token"]).status_code == 401

    def test_of_another_clients_token_does_nothing_and_does_not_say_so(self, user) -> None:
        tokens = an_app().tokens(user)

        assert an_app().post("/o/revoke", token=tokens["access_token"]).status_code == 200
        assert call(tokens["access_token"]).status_code == 200

    def test_by_somebody_without_the_secret_is_refused(self, user) -> None:
        app = an_app()
        tokens = app.tokens(user)

        refused = form_post(
            "/o/revoke", {"client_id": app.row.client_id, "token": tokens["access_token"]}
        )

        assert refused.status_code == 401
        assert call(tokens["access_token"]).status_code == 200


class TestIntrospection:
    def test_tells_a_client_that_may_know_ids_and_no_address(self, user) -> None:
        app, asker = an_app(), a_machine(may_introspect=True)
        tokens = app.tokens(user)

        answer = asker.post("/o/introspect", token=tokens["access_token"])

        told = answer.json()
        assert told.pop("exp") - told.pop("iat") == 3600
        assert told == {
            "active": True,
            "client_id": app.row.client_id,
            "scope": "tracker",
            "sub": str(user.pk),
            "token_type": "Bearer",
        }
        assert answer["Cache-Control"] == "no-store"

    def test_knows_refresh_tokens_until_they_are_used(self, user) -> None:
        app, asker = an_app(), a_machine(may_introspect=True)
        tokens = app.tokens(user)

        before = asker.post("/o/introspect", token=tokens["refresh_token"]).json()
        app.refresh(tokens["refresh_token"])
        after = asker.post("/o/introspect", token=tokens["refresh_token"]).json()

        assert (before["active"], after) == (True, {"active": False})

    @pytest.mark.parametrize("token", ["unknown", "psa_unknown", "psa_\0", "x" * 1000])
    def test_says_no_more_than_no_of_what_nobody_gave_out(self, token) -> None:
        asker = a_machine(may_introspect=True)

        assert asker.post("/o/introspect", token=token).json() == {"active": False}

    def test_is_closed_to_clients_that_may_not(self, user) -> None:
        tokens = an_app().tokens(user)

        refused = a_machine().post("/o/introspect", token=tokens["access_token"])

        assert (refused.status_code, refused.json()["error"]) == (403, "access_denied")

    def test_is_closed_to_public_clients_and_to_strangers(self, user) -> None:
        app = an_app(public=True, may_introspect=True)
        tokens = app.tokens(user)

        assert app.post("/o/introspect", token=tokens["access_token"]).status_code == 401
        assert form_post("/o/introspect", {"token": tokens["access_token"]}).status_code == 401
        assert call(tokens["access_token"], "/o/introspect", "POST").status_code in {400, 401}


class TestBeingAsked:
    """The request for consent: what is refused, and who is told."""

    def refused(self, user, app, **changes):
        return signed_in(user).get(f"/o/authorize?{urlencode(app.ask(**changes))}")

    @pytest.mark.parametrize(
        "other",
        [
            CALLBACK + "/",
            CALLBACK[:-1],
            CALLBACK + "?",
            CALLBACK + "#",
            CALLBACK.replace("https", "http"),
            CALLBACK.replace("app.", "App."),
            CALLBACK.replace("example.org", "example.org:443"),
            "https://app.example.org@evil.example/callback",
            "https://evil.example/callback",
            "javascript:alert(1)",
        ],
    )
    def test_a_redirect_that_differs_sends_nobody_anywhere(self, user, other) -> None:
        answer = self.refused(user, an_app(), redirect_uri=other)

        assert answer.status_code == 400
        assert b"cannot be answered" in answer.content
        assert "Location" not in answer

    def test_an_unknown_client_sends_nobody_anywhere(self, user) -> None:
        for client_id in ("unknown", "", "\0", None):
            assert self.refused(user, an_app(), client_id=client_id).status_code == 400

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"scope": "tracker documents"}, "invalid_scope"),
            ({"scope": ""}, "invalid_scope"),
            ({"scope": None}, "invalid_scope"),
            ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"code_challenge": "x" * 5_000}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": None}, "invalid_request"),
        ],
    )
    def test_other_faults_are_told_to_the_client(self, user, changes, error) -> None:
        answer = self.refused(user, an_app(public=True), **changes)

        assert answer.status_code == 302
        assert answer["Location"].startswith(CALLBACK + "?")
        told = parameters_of(answer["Location"])
        assert (told["error"], told["state"], told["iss"]) == (error, "kept", ISSUER)

    def test_an_inactive_client_asks_nobody(self, user) -> None:
        app = an_app()
        app.row.is_active = False
        app.row.save()

        assert self.refused(user, app).status_code == 400

    def test_a_stranger_signs_in_first(self) -> None:
        answer = Browser().get(f"/o/authorize?{urlencode(an_app().ask())}")

        assert answer.status_code == 302
        assert "next=/o/authorize%3Fresponse_type" in answer["Location"]

    def test_who_says_no_gives_nothing(self, user) -> None:
        answer = allow(signed_in(user), an_app().ask(), decision="deny")

        assert parameters_of(answer["Location"])["error"] == "access_denied"
        assert AuthorizationCode.objects.count() == 0

    def test_what_the_form_adds_changes_nothing(self, user) -> None:
        app = an_app(scopes=("tracker", "documents"))
        browser = signed_in(user)

        answer = browser.post(
            f"/o/authorize?{urlencode(app.ask())}",
            {
                "decision": "allow",
                "scope": "documents",
                "code_challenge": challenge_of("another"),
                "redirect_uri": "https://evil.example/",
            },
        )

        assert answer["Location"].startswith(CALLBACK)
        assert Authorization.objects.get().scopes == ["tracker"]
        assert app.swap(parameters_of(answer["Location"])["code"]).status_code == 200

    def test_consent_from_another_site_is_refused(self, user) -> None:
        browser = Browser(enforce_csrf_checks=True)
        browser.force_login(user)

        assert allow(browser, an_app().ask()).status_code == 403
        assert AuthorizationCode.objects.count() == 0

    def test_a_token_consents_to_nothing(self, user) -> None:
        app = an_app()
        token = app.tokens(user)["access_token"]

        answer = call(token, f"/o/authorize?{urlencode(app.ask())}", "POST")

        assert answer.status_code in {302, 403}
        assert AuthorizationCode.objects.count() == 1

    def test_the_page_says_who_asks_for_what_and_loads_nothing_from_elsewhere(self, user) -> None:
        answer = self.refused(user, an_app())

        page = answer.content.decode()
        assert "An app" in page
        assert user.email in page
        assert "See and change your todos" in page
        assert "app.example.org" in page
        policy = answer["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "form-action 'self' https://app.example.org;" in policy + ";"


class TestTheEndpoints:
    @pytest.mark.parametrize("path", ["/o/token", "/o/revoke", "/o/introspect"])
    def test_take_nothing_from_the_query(self, user, path) -> None:
        app = an_app(may_introspect=True)
        tokens = app.tokens(user)

        refused = app.post(f"{path}?token={tokens['access_token']}", token=tokens["access_token"])

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert call(tokens["access_token"]).status_code == 200

    @pytest.mark.parametrize("path", ["/o/token", "/o/revoke", "/o/introspect"])
    def test_answer_other_methods_as_problems(self, path) -> None:
        answer = Browser().get(path)

        assert answer.status_code == 405
        assert answer["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize(
        "path", ["/o/token?%zz=%", "/o/authorize?%zz=%", "/o/authorize?scope=%"]
    )
    def test_survive_a_query_that_cannot_be_read(self, user, path) -> None:
        assert signed_in(user).get(path).status_code in {400, 405}
        assert signed_in(user).post(path).status_code == 400

    def test_are_all_named_by_the_metadata(self) -> None:
        answer = Browser().get("/.well-known/oauth-authorization-server")

        told = json.loads(answer.content)
        assert told["issuer"] == ISSUER
        for endpoint in ("authorization", "token", "revocation", "introspection"):
            path = told[f"{endpoint}_endpoint"].removeprefix(ISSUER)
            assert Browser().get(path).status_code in {302, 405}
        assert told["code_challenge_methods_supported"] == ["S256"]
        assert "password" not in told["grant_types_supported"]
