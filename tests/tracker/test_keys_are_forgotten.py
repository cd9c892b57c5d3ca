"""Answers are kept for a day, not longer."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.homes import databases_of
from tests.tracker.world import NOW
from tracker.models import IdempotencyKey
from tracker.services.idempotency import once, prune_keys

pytestmark = pytest.mark.django_db(databases=databases_of("tracker"))
DAY = dt.timedelta(hours=24)
MOMENT = dt.timedelta(seconds=1)


def ask(user, at, answer="first"):
    return once(
        user_id=user.pk, key="k", operation="POST /x", body={}, perform=lambda: answer, at=at
    )


def test_after_a_day_the_same_key_is_a_new_one(ann) -> None:
    ask(ann, NOW)

    assert ask(ann, NOW + DAY, "second").body == "first"
    assert ask(ann, NOW + DAY + MOMENT, "second").body == "second"


def test_pruning_takes_only_what_is_older_than_a_day(ann, ben) -> None:
    ask(ann, NOW)
    ask(ben, NOW + MOMENT)

    assert prune_keys(at=NOW + DAY + MOMENT) == 1
    assert IdempotencyKey.objects.get().user == ben
