"""Invented people have figures that agree with what they did."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from accounts.models import User
from outbox.models import OutboxEvent
from tests.homes import databases_of
from tests.tracker.world import deliver, documents
from tracker.models import DailyReport, Friendship, PointsDay, Standing, Timer, Todo

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))


def seed(*options: str) -> str:
    out = StringIO()
    call_command("seed_tracker", "--users", "7", "--todos", "60", *options, stdout=out)
    return out.getvalue()


def test_totals_ledger_and_documents_agree_with_the_todos(mongodb, settings) -> None:
    settings.DEBUG = True
    said = seed()
    deliver()

    earned = Todo.objects.done().aggregate(all=Sum("points"))["all"]
    assert said.startswith("7 users, 60 todos, 7 timers, 6 friendships, 14 reports.")
    assert Standing.objects.aggregate(all=Sum("total_points"))["all"] == earned
    assert PointsDay.objects.aggregate(all=Sum("points"))["all"] == earned
    shown = documents("users")
    assert sum(user["total_points"] for user in shown.values()) == earned
    assert len(shown) == User.objects.count() == 7
    for name, model in {
        "todos": Todo, "timers": Timer, "friendships": Friendship, "daily_reports": DailyReport,
    }.items():  # fmt: skip
        assert len(documents(name)) == model._default_manager.count()
    assert all(len(timer["intervals"]) == 1 for timer in documents("timers").values())


def test_nobody_signs_in_as_one_of_them_and_it_can_be_repeated(settings) -> None:
    settings.DEBUG = True
    seed("--without-events")
    seed("--without-events")

    assert User.objects.count() == 14
    assert not any(user.has_usable_password() for user in User.objects.all())
    assert not OutboxEvent.objects.exclude(aggregate_type="user").exists()


def test_where_people_are_real_it_asks_back(settings) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="yes-in-production"):
        seed()
    assert not User.objects.exists()
    seed("--yes-in-production")
    assert User.objects.count() == 7
