"""Several requests with one code, one refresh token, or against one end: the rows' locks decide."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    PersonalToken,
    RefreshToken,
    User,
)
from accounts.oauth.services import authorizations
from tests.accounts.oauth.flows import allow, an_app, call
from tests.people import a_user, signed_in
from tests.tracker.world import at_once
from tests.waiting import eventually, somebody_waits_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 6


def outcome(answers: list[Any]) -> list[int]:
    assert all(hasattr(answer, "status_code") for answer in answers), answers
    return sorted(answer.status_code for answer in answers)


@pytest.mark.parametrize("attempt", range(3))
def test_one_code_gives_tokens_once_and_they_die(attempt) -> None:
    app = an_app()
    code = app.code_from(signed_in(a_user()))

    answers = at_once(*[lambda: app.swap(code)] * AT_ONCE)

    assert outcome(answers) == [200] + [400] * (AT_ONCE - 1)
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert AccessToken.objects.count() == RefreshToken.objects.count() == 1
    assert call(won["access_token"]).status_code == 401
    assert app.refresh(won["refresh_token"]).status_code == 400


@pytest.mark.parametrize("attempt", range(3))
def test_one_refresh_token_gives_tokens_once_and_the_family_dies(attempt) -> None:
    app = an_app()
    first = app.tokens(a_user())

    answers = at_once(*[lambda: app.refresh(first["refresh_token"])] * AT_ONCE)

    assert outcome(answers) == [200] + [400] * (AT_ONCE - 1)
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert AccessToken.objects.count() == RefreshToken.objects.count() == 2
    assert RefreshToken.objects.filter(used_at=None).count() == 1
    assert Authorization.objects.get().reason == "refresh token reused"
    assert call(first["access_token"]).status_code == 401
    assert call(won["access_token"]).status_code == 401
    assert app.refresh(won["refresh_token"]).status_code == 400


@pytest.mark.parametrize("attempt", range(3))
def test_whoever_ends_it_leaves_no_live_token_behind(attempt) -> None:
    app = an_app()
    first = app.tokens(a_user())
    chosen = Authorization.objects.get().pk

    refreshed, ended = at_once(
        lambda: app.refresh(first["refresh_token"]),
        lambda: authorizations.end_authorizations([chosen], at=timezone.now()),
    )

    assert ended == 1
    assert Authorization.objects.get().reason == "revoked"
    if refreshed.status_code == 200:
        assert call(refreshed.json()["access_token"]).status_code == 401
    assert call(first["access_token"]).status_code == 401


@pytest.mark.parametrize("way", ["personal token", "code"])
def test_nothing_is_made_for_a_session_that_a_new_password_ends_meanwhile(way) -> None:
    """Whoever holds a stolen session must not come out with what outlives it."""
    user, app, answers = a_user(), an_app(public=True), []
    thief = signed_in(user)

    def make() -> None:
        body = {"name": "x", "scopes": ["tracker"], "days": 1}
        try:
            if way == "code":
                answers.append(allow(thief, app.ask()))
            else:
                answers.append(thief.post("/api/auth/tokens", body, "application/json"))
        finally:
            connections.close_all()

    thread = threading.Thread(target=make)
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(password=make_password("another-passphrase"))
        thread.start()
        eventually(somebody_waits_for_a_lock)
    thread.join()

    assert outcome(answers) == [401]
    assert not PersonalToken.objects.exists()
    assert not AuthorizationCode.objects.exists()


def test_families_do_not_wait_for_each_other() -> None:
    user, app = a_user(), an_app()
    codes = [app.code_from(signed_in(user)) for _ in range(AT_ONCE)]

    answers = at_once(*[lambda code=code: app.swap(code) for code in codes])

    assert outcome(answers) == [200] * AT_ONCE
    assert AuthorizationCode.objects.filter(used_at=None).count() == 0
