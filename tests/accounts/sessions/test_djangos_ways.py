"""What Django's own stores do, ours does: sign-in, sign-out, anonymous data, saving at once."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY, get_user
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Session, User
from accounts.sessions import keys
from accounts.sessions.engine import SessionStore
from accounts.tasks import clear_expired_sessions
from tests.people import PASSWORD, a_superuser, a_user, signed_in

pytestmark = pytest.mark.django_db(databases=["default"])
NEW_PASSWORD = "quite-another-passphrase"
ME = "/api/auth/sessions"


def hash_of(session: SessionStore) -> str:
    return keys.hash_of(session._session_key or "")


def stored(**data: object) -> SessionStore:
    """Return a session that was saved with this data."""
    session = SessionStore()
    session.update(data)
    session.save()
    return session


def test_no_store_learns_the_key() -> None:
    session = stored(colour="red")

    row = Session.objects.get()
    assert row.key_hash == hash_of(session)
    assert f"{session._session_key}" not in f"{row.__dict__}"


def test_a_stranger_keeps_data_without_a_user() -> None:
    key = stored(colour="red").session_key

    assert SessionStore(key)["colour"] == "red"
    assert Session.objects.get().user_id is None


@pytest.mark.parametrize("cookie", ["", "short", "x" * 32, "x" * 5_000, "a\0b" * 5, "é" * 20])
def test_nobody_chooses_the_key_of_a_session(cookie: str) -> None:
    session = SessionStore(cookie)
    assert session.get("colour") is None

    session["colour"] = "red"
    session.save()
    assert session.session_key != cookie


def test_an_expired_session_is_none() -> None:
    session = stored(colour="red")
    Session.objects.update(expires_at=timezone.now())

    assert SessionStore(session.session_key).get("colour") is None


def test_signing_in_by_hand_and_out_again() -> None:
    user = a_superuser()
    client = Client()

    answer = client.post(
        "/admin/login/?next=/admin/", {"username": user.email, "password": PASSWORD}
    )
    assert answer.status_code == 302
    assert client.get("/admin/").status_code == 200
    assert Session.objects.get().user_id == user.pk

    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302
    assert not Session.objects.exists()


def test_a_new_key_at_sign_in_takes_the_data_along() -> None:
    client = Client()
    session = client.session
    session["colour"] = "red"
    session.save()
    before = client.cookies["sessionid"].value

    client.force_login(a_user())
    assert client.session["colour"] == "red"
    assert keys.split(client.cookies["sessionid"].value)[0] != keys.split(before)[0]
    assert SessionStore(before).get("colour") is None


def test_whoever_changes_the_password_stays_and_other_devices_do_not() -> None:
    user = a_superuser()
    here, there = signed_in(user), signed_in(user)

    answer = here.post(
        "/admin/password_change/",
        {
            "old_password": PASSWORD,
            "new_password1": NEW_PASSWORD,
            "new_password2": NEW_PASSWORD,
        },
    )
    assert answer.status_code == 302
    assert here.get("/admin/").status_code == 200
    assert there.get("/admin/").status_code == 302


def test_messages_cross_a_redirect() -> None:
    root = a_superuser()
    client = signed_in(root)
    other = a_user()

    answer = client.post(
        "/admin/accounts/user/",
        {"action": "deactivate", "_selected_action": [str(other.pk)]},
        follow=True,
    )
    assert "1 users can no longer sign in." in answer.content.decode()


def test_a_session_that_ended_meanwhile_cannot_be_saved() -> None:
    session = SessionStore(stored(colour="red").session_key)
    session["colour"] = "blue"
    Session.objects.all().delete()

    with pytest.raises(UpdateError):
        session.save()
    assert not Session.objects.exists()


def test_two_requests_at_once_lose_nothing() -> None:
    key = stored(colour="red", size=1).session_key
    first, second = SessionStore(key), SessionStore(key)
    first["basket"] = [1]
    second["colour"] = "blue"
    del second["size"]

    first.save()
    second.save()
    assert dict(SessionStore(key).items()) == {"colour": "blue", "basket": [1]}


def test_what_a_request_cleared_stays_cleared() -> None:
    key = stored(colour="red").session_key
    session = SessionStore(key)
    session.clear()
    session["size"] = 1
    session.save()

    assert dict(SessionStore(key).items()) == {"size": 1}


def test_the_cookie_tells_what_the_browser_has_seen() -> None:
    session = stored(colour="red")
    assert session.session_key == session._session_key

    session["colour"] = "blue"
    session.save()
    assert session.session_key == f"{session._session_key}.1"
    assert SessionStore(session.session_key)["colour"] == "blue"


def test_the_user_comes_with_the_session_in_one_query() -> None:
    client = signed_in(a_user(first_name="Ada"))

    with CaptureQueriesContext(connection) as queries:
        assert client.get(ME).status_code == 200
    assert len([q for q in queries if "accounts_user" in q["sql"]]) == 1


def test_the_user_is_a_real_one() -> None:
    user = a_user(first_name="Ada")
    request = RequestFactory().get("/")
    request.session = signed_in(user).session

    from accounts.sessions.middleware import AuthenticationMiddleware

    AuthenticationMiddleware(lambda _: HttpResponse()).process_request(request)
    found = request.user
    assert found == user
    assert found.check_password(PASSWORD)
    assert found.last_login is not None
    assert (found.date_joined, found.updated_at) == tuple(
        User.objects.values_list("date_joined", "updated_at").get()
    )
    found.first_name = "Grace"
    found.save()
    assert User.objects.get().first_name == "Grace"
    assert User.objects.get().updated_at > user.updated_at
    assert get_user(request) == user


def test_asynchronous_callers_find_the_same() -> None:
    key = stored(colour="red").session_key

    assert async_to_sync(SessionStore(key).aget)("colour") == "red"


class TestAStaleSession:
    def test_ends_with_the_password_though_no_trigger_ran(self) -> None:
        """A sign-in that overlaps a reset is judged by the hash, as Django does."""
        user = a_user()
        client = signed_in(user)
        row = Session.objects.get()
        User.objects.update(password="!")
        row.save(force_insert=True)

        assert client.get(ME).status_code == 401

    def test_ends_with_the_deactivation_though_no_trigger_ran(self) -> None:
        client = signed_in(a_user())
        row = Session.objects.get()
        User.objects.update(is_active=False)
        row.save(force_insert=True)

        assert client.get(ME).status_code == 401

    def test_of_an_older_secret_key_is_taken_over(self, settings) -> None:
        user = a_user()
        client = signed_in(user)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key-of-the-tests-that-came-later-than-the-first"

        assert client.get(ME).status_code == 200
        assert client.session[SESSION_KEY] == str(user.pk)


@pytest.mark.parametrize("clear", [clear_expired_sessions, lambda: call_command("clearsessions")])
def test_expired_rows_are_cleared_away(clear) -> None:
    stored(colour="red")
    kept = stored(colour="blue")
    Session.objects.exclude(key_hash=hash_of(kept)).update(expires_at=timezone.now())

    clear()
    assert [row.key_hash for row in Session.objects.all()] == [hash_of(kept)]


def test_scripts_and_other_sites_do_not_get_the_cookie() -> None:
    user = a_superuser()
    client = Client()
    client.post("/admin/login/", {"username": user.email, "password": PASSWORD})

    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_an_expiry_of_its_own_is_kept() -> None:
    session = SessionStore()
    session.set_expiry(60)
    session.save()

    left = Session.objects.get().expires_at - timezone.now()
    assert 50 < left.total_seconds() <= 60
    assert not SessionStore(session.session_key).get_expire_at_browser_close()


def test_a_session_may_end_with_the_browser() -> None:
    session = stored(colour="red")
    session.set_expiry(0)
    session.save()

    assert SessionStore(session.session_key).get_expire_at_browser_close()


def test_flushing_ends_it_and_begins_another() -> None:
    session = stored(colour="red")
    before = session.session_key
    session.flush()
    session["colour"] = "blue"
    session.save()

    assert SessionStore(before).get("colour") is None
    assert session.session_key not in {None, before}
    assert Session.objects.count() == 1
