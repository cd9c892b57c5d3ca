"""A timer counts what it ran, pauses left out; at most one of a user runs."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.homes import databases_of, refused_by_the_database
from tests.tracker.world import NOW, at_once, kinds
from tracker.models import Timer, TimerInterval
from tracker.services import timers
from tracker.services.timers import AnotherTimerRuns, TimerNotFound, TimerRefused

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))


def later(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def start(user, at=NOW):
    return timers.start_timer(user_id=user.pk, at=at, label="work")


def act(user, timer, verb, at):
    return getattr(timers, f"{verb}_timer")(user_id=user.pk, timer_id=timer.pk, at=at)


def test_pauses_do_not_count(ann) -> None:
    timer = start(ann)
    act(ann, timer, "pause", later(60))
    act(ann, timer, "resume", later(600))
    running = Timer.objects.get()
    assert running.total_seconds(at=later(630)) == 90
    stopped = act(ann, timer, "stop", later(640.5))

    assert stopped.total_seconds(at=later(9_999)) == 100.5
    assert [i.ended_at is not None for i in TimerInterval.objects.all()] == [True, True]


def test_a_paused_timer_that_is_stopped_counts_no_more(ann) -> None:
    timer = start(ann)
    act(ann, timer, "pause", later(10))

    assert act(ann, timer, "stop", later(500)).total_seconds(at=later(900)) == 10


@given(gaps=st.lists(st.integers(0, 100_000), min_size=1, max_size=12))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_total_is_the_sum_of_its_intervals_whatever_the_pauses(ann, gaps) -> None:
    Timer.objects.all().delete()
    timer, clock, expected = start(ann), 0, 0
    for number, gap in enumerate(gaps):
        clock += gap
        expected += gap if number % 2 == 0 else 0
        act(ann, timer, "resume" if number % 2 else "pause", later(clock / 1000))
    stopped = act(ann, timer, "stop", later(clock / 1000))

    assert stopped.counted_ms == expected
    spans = TimerInterval.objects.exclude(ended_at=None).values_list("started_at", "ended_at")
    seconds = sum((end - begin).total_seconds() for begin, end in spans if end)
    assert seconds * 1000 == pytest.approx(expected)


def test_a_second_timer_is_refused_with_the_id_of_the_first(ann, ben) -> None:
    timer = start(ann)
    start(ben)

    with pytest.raises(AnotherTimerRuns) as refused:
        start(ann)
    assert refused.value.extensions == {"running_id": timer.pk}


def test_two_starts_at_once_make_one_timer(ann) -> None:
    results = at_once(*[lambda: start(ann)] * 4)

    assert kinds(results) == ["AnotherTimerRuns"] * 3 + ["Timer"]
    assert Timer.objects.running().count() == 1


def test_two_resumes_at_once_leave_one_running(ann) -> None:
    paused = []
    for number in range(2):
        timer = start(ann, later(number))
        paused.append(act(ann, timer, "pause", later(number + 0.5)))

    results = at_once(*[lambda t=t: act(ann, t, "resume", later(9)) for t in paused])

    assert kinds(results) == ["AnotherTimerRuns", "Timer"]


def test_the_database_refuses_a_second_running_timer_itself(ann) -> None:
    start(ann)
    with refused_by_the_database(Timer, "tracker_timer_one_running"):
        Timer.objects.create(user=ann, started_at=NOW, running_since=NOW)
    with refused_by_the_database(TimerInterval, "tracker_interval_one_open"):
        TimerInterval.objects.create(user=ann, timer=Timer.objects.get(), started_at=NOW)
    with pytest.raises(IntegrityError, match="tracker_timer_state"), transaction.atomic():
        Timer.objects.create(user=ann, started_at=NOW, state="paused", running_since=NOW)


@pytest.mark.parametrize(
    ("before", "verb"),
    [([], "resume"), (["pause"], "pause"), (["stop"], "stop"), (["stop"], "resume")],
)
def test_what_the_state_does_not_allow_is_refused(ann, before, verb) -> None:
    timer = start(ann)
    for number, step in enumerate(before, 1):
        act(ann, timer, step, later(number))

    with pytest.raises(TimerRefused):
        act(ann, timer, verb, later(50))


def test_somebody_elses_timer_is_not_found(ann, ben) -> None:
    timer = start(ann)

    for verb in ("pause", "resume", "stop"):
        with pytest.raises(TimerNotFound):
            act(ben, timer, verb, NOW)
    with pytest.raises(TimerNotFound):
        timers.delete_timer(user_id=ben.pk, timer_id=timer.pk)


def test_a_clock_that_goes_back_ends_no_interval_before_it_began(ann) -> None:
    timer = start(ann)

    assert act(ann, timer, "pause", later(-30)).counted_ms == 0
