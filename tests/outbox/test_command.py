"""`manage.py outbox`: what operators see and do."""

from __future__ import annotations

import json
import os
import signal
import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from outbox.delivery import drain_once
from outbox.models import DeadLetter, DeliveryState, OutboxEvent
from tests.outbox.notes import dead, shown, waiting, write
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> tuple[int, str]:
    """Return the exit code and what was printed."""
    out = StringIO()
    try:
        call_command("outbox", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def reported(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the JSON document."""
    code, text = run(*arguments, "--json")
    return code, json.loads(text)


@pytest.fixture
def letters(notes, settings):
    """Have two dead letters."""
    settings.OUTBOX_MAX_ATTEMPTS = 1
    notes.spoil = lambda _key, _found: {"text": object()}
    write("1", "a")
    write("2", "a")
    drain_once()
    notes.spoil = lambda _key, found: found
    assert dead() == ["1", "2"]


def test_status_says_how_the_queue_stands(notes) -> None:
    assert reported("status")[1]["sinks"] == [
        {"sink": "mongodb", "waiting": 0, "retrying": 0, "oldestSeconds": 0.0, "dead": 0,
         "drainers": 0}
    ]  # fmt: skip
    write("1", "a")
    OutboxEvent.objects.update(created_at="2020-01-01T00:00:00Z")
    code, report = reported("status")
    assert (code, report["sinks"][0]["waiting"]) == (0, 1)
    assert report["sinks"][0]["oldestSeconds"] > 1e6
    assert "mongodb" in run("status")[1]


def test_status_shows_events_of_sinks_that_nobody_serves_any_more(notes) -> None:
    write("1", "a")
    OutboxEvent.objects.update(sink="gone")
    sinks = {one["sink"]: one["waiting"] for one in reported("status")[1]["sinks"]}
    assert sinks == {"gone": 1, "mongodb": 0}


def test_status_with_dead_letters_is_a_finding(letters) -> None:
    code, report = reported("status")
    assert (code, report["sinks"][0]["dead"]) == (1, 2)


def test_pause_and_resume(notes) -> None:
    assert reported("pause", "--reason", "moving") == (0, {"paused": True, "changed": True})
    assert reported("pause")[1]["changed"] is False
    assert "moving" in run("status")[1]
    write("1", "a")
    assert reported("drain")[0] == 1

    assert reported("resume")[1] == {"paused": False, "changed": True}
    assert reported("resume")[1]["changed"] is False
    assert DeliveryState.objects.get().reason == ""


def test_drain_delivers_here(notes) -> None:
    write("1", "a")
    code, report = reported("drain", "--once")
    assert (code, report["events"]) == (0, 1)
    assert shown() == {"1": "a"}


@pytest.fixture
def own_signals():
    """Put back the handlers that the command sets."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_drain_follow_delivers_what_comes_and_says_so_until_it_is_stopped(
    notes, own_signals, ended_by
) -> None:
    def write_and_stop() -> None:
        write("2", "b")
        eventually(lambda: set(shown()) == {"1", "2"})
        os.kill(os.getpid(), ended_by)
        connection.close()

    write("1", "a")
    other = threading.Thread(target=write_and_stop)
    other.start()
    code, text = run("drain", "--follow", "--json")
    other.join()

    told = [json.loads(line) for line in text.splitlines()]
    assert code == 0
    assert {one["sink"] for one in told} == {"mongodb"}
    assert sum(one["events"] for one in told) == 2


def test_dead_lists_without_values(letters) -> None:
    code, report = reported("dead")
    assert code == 1
    assert [one["aggregateId"] for one in report["items"]] == ["2", "1"]
    assert report["items"][0].keys() == {
        "id", "sink", "eventType", "aggregateType", "aggregateId", "attempts", "kind", "failedAt",
    }  # fmt: skip
    assert "InvalidDocument" in run("dead")[1]
    assert reported("dead", "--limit", "1")[1]["items"][0]["aggregateId"] == "2"
    assert reported("dead", "--kind", "another") == (0, {"items": []})


@pytest.mark.parametrize(
    "which",
    [["--all"], ["--kind", "notes: InvalidDocument"]],
    ids=lambda which: which[0],
)
def test_replay_puts_them_back(letters, which) -> None:
    assert reported("replay", *which) == (0, {"replayed": 2})
    assert (dead(), waiting()) == ([], ["1", "2"])
    drain_once()
    assert shown() == {"1": "a", "2": "a"}


def test_replay_of_one(letters) -> None:
    first = DeadLetter.objects.earliest("id")
    assert reported("replay", str(first.pk))[1] == {"replayed": 1}
    assert (dead(), waiting()) == (["2"], ["1"])


@pytest.mark.parametrize(
    "arguments", [["replay"], ["replay", "--all", "--kind", "x"], ["replay", "--projection", "x"]]
)
def test_bad_use_is_two(notes, arguments) -> None:
    with pytest.raises(CommandError) as refused:
        run(*arguments)
    assert refused.value.returncode == 2


def test_prune_deletes_what_is_past_retention(letters, settings) -> None:
    assert reported("prune")[1] == {"deadLetters": 0, "delivered": 0}
    first = DeadLetter.objects.earliest("id")
    DeadLetter.objects.filter(pk=first.pk).update(failed_at="2020-01-01T00:00:00Z")
    assert reported("prune")[1] == {"deadLetters": 1, "delivered": 0}
    assert dead() == ["2"]
