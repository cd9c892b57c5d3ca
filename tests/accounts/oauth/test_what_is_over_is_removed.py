"""Beat removes what is over, a few rows at a time, and nothing else."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    PersonalToken,
    RefreshToken,
)
from accounts.oauth.services import cleaning
from accounts.oauth.services.authorizations import end_authorizations
from accounts.oauth.services.personal import create_token
from accounts.oauth.tasks import remove_expired_tokens
from tests.accounts.oauth.flows import a_machine, an_app, call
from tests.people import a_user, signed_in

pytestmark = pytest.mark.django_db
KINDS = (AccessToken, RefreshToken, AuthorizationCode, Authorization, PersonalToken)


def counts() -> list[int]:
    return [kind.objects.count() for kind in KINDS]


def after(**span: float) -> dt.datetime:
    return timezone.now() + dt.timedelta(**span)


@pytest.fixture
def everything() -> str:
    """Make one of each; return the access token."""
    user = a_user()
    create_token(user_id=user.pk, name="A", scopes=["tracker"], days=10, at=timezone.now())
    value: str = an_app().tokens(user)["access_token"]
    return value


def test_what_is_valid_stays(everything) -> None:
    remove_expired_tokens()

    assert counts() == [1, 1, 1, 1, 1]
    assert call(everything).status_code == 200


def test_access_tokens_go_a_day_after_their_end(everything) -> None:
    assert cleaning.remove_expired(at=after(hours=24)) == 0
    assert cleaning.remove_expired(at=after(hours=26)) == 1
    assert counts() == [0, 1, 1, 1, 1]


def test_an_authorization_goes_with_the_last_of_its_tokens(everything) -> None:
    days = settings.OAUTH_REFRESH_TOKEN_DAYS
    cleaning.remove_expired(at=after(days=days + 0.5))
    assert counts() == [0, 1, 1, 1, 1]

    cleaning.remove_expired(at=after(days=days + 2))

    assert counts() == [0, 0, 0, 0, 1]


def test_a_used_code_is_remembered_as_long_as_its_tokens(everything) -> None:
    cleaning.remove_expired(at=after(days=settings.OAUTH_REFRESH_TOKEN_DAYS))

    assert AuthorizationCode.objects.count() == 1


def test_what_was_ended_is_shown_for_a_month(everything) -> None:
    end_authorizations([Authorization.objects.get().pk], at=timezone.now())

    cleaning.remove_expired(at=after(days=29))
    assert Authorization.objects.count() == 1
    cleaning.remove_expired(at=after(days=31))

    assert counts() == [0, 0, 0, 0, 1]


def test_personal_tokens_are_shown_for_a_month_after_their_end(everything) -> None:
    cleaning.remove_expired(at=after(days=39))
    assert PersonalToken.objects.count() == 1
    cleaning.remove_expired(at=after(days=41))

    assert PersonalToken.objects.count() == 0


def test_many_go_in_several_parts(monkeypatch) -> None:
    monkeypatch.setattr(cleaning, "AT_ONCE", 2)
    machine = a_machine()
    for _ in range(5):
        machine.token(grant_type="client_credentials", scope="tracker")

    removed = cleaning.remove_expired(at=after(days=2))

    assert removed == 10
    assert counts()[0] == counts()[3] == 0


def test_a_code_that_nobody_came_for_goes_too() -> None:
    an_app().code_from(signed_in(a_user()))

    cleaning.remove_expired(at=after(days=settings.OAUTH_REFRESH_TOKEN_DAYS + 2))

    assert counts() == [0, 0, 0, 0, 0]


def test_beat_knows_the_task() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    scheduled = settings.CELERY_BEAT_SCHEDULE["remove-expired-tokens"]["task"]

    assert scheduled in app.tasks
