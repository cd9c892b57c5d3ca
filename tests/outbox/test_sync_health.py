"""/api/health/sync says how far MongoDB is behind, what is wrong and since when."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from common import latency
from databases import process_state
from databases.alerts import courier
from databases.stores import redis
from outbox import figures, health, registry, shapes, thresholds, watching
from outbox.figures import Figures
from outbox.models import DeadLetter, OutboxEvent, ProjectionState, QueueSample
from outbox.registry import Projection, subscribe
from tests.people import a_superuser, a_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/health/sync"
TOKEN = "a-token-for-the-collector"
QUIET = Figures(
    waiting=0, lag_seconds=0, dead=0, retried=0, tried_often=0, paused_at=None, last_id=0
)


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch):
    monkeypatch.setattr(health, "_last", None)
    monkeypatch.setattr(health, "_since", {})
    monkeypatch.setattr(latency, "_slots", type(latency._slots)())
    with redis.connection() as client:
        client.delete(health.SINCE, process_state.INDEX)


@pytest.fixture
def ask(client, settings):
    settings.METRICS_TOKEN = TOKEN

    def get() -> dict[str, Any]:
        health._last = None
        answer = client.get(PATH, headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200, answer.content
        return answer.json()

    return get


def events(count: int, *, seconds: float = 0, attempts: int = 0) -> None:
    """Have so many events wait since so many seconds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type,"
            " created_at, attempts)"
            " SELECT CASE n %% 2 WHEN 0 THEN 'mongodb' ELSE 'analytics' END, n %% 16,"
            " 'note', n::text, 'note.changed',"
            " clock_timestamp() - make_interval(secs => %s), %s FROM generate_series(1, %s) AS n",
            [seconds, attempts, count],
        )


def dead_letters(count: int) -> None:
    DeadLetter.objects.bulk_create(
        DeadLetter(
            id=number, sink="mongodb", aggregate_type="note", aggregate_id="1", type="note.changed",
            schema=1, created_at=timezone.now(), attempts=8, kind="k", reason="r",
        )
        for number in range(count)
    )  # fmt: skip


def found(answer: dict[str, Any]) -> dict[str, str]:
    return {alert["code"]: alert["severity"] for alert in answer["alerts"]}


class TestWhoMayAsk:
    def test_nobody_unknown(self, client) -> None:
        assert client.get(PATH).status_code == 401

    def test_nobody_who_is_no_staff(self) -> None:
        assert signed_in(a_user()).get(PATH).status_code == 403

    def test_staff(self) -> None:
        assert signed_in(a_superuser()).get(PATH).status_code == 200


class TestTheAnswer:
    def test_has_exactly_the_declared_members(self, ask) -> None:
        answer = ask()

        assert answer == {
            "status": "healthy",
            "databases": {"postgresql": "connected", "mongodb": "connected"},
            "sync": {"queueSize": 0, "syncLagSeconds": 0.0, "failedEvents": 0},
            "alerts": [],
        }

    def test_counts_all_sinks_and_the_oldest_event(self, ask) -> None:
        events(1, seconds=12)
        events(10)

        sync = ask()["sync"]

        assert sync["queueSize"] == 11
        assert 12 <= sync["syncLagSeconds"] < 20

    def test_describes_an_alert(self, ask) -> None:
        events(1_000)

        (alert,) = ask()["alerts"]

        assert set(alert) == {"code", "severity", "message", "value", "threshold", "since"}
        assert (alert["code"], alert["value"], alert["threshold"]) == ("outbox.queue", 1000, 1000)
        assert abs(datetime.fromisoformat(alert["since"]) - timezone.now()) < timedelta(seconds=5)

    def test_remembers_since_when_in_redis_and_without_it(self, ask, monkeypatch) -> None:
        events(1_000)
        first = ask()["alerts"][0]["since"]
        before = time.time() - 100
        with redis.connection() as client:
            client.hset(health.SINCE, "outbox.queue", repr(before))
        another_process = ask()["alerts"][0]["since"]
        monkeypatch.setattr(health, "_published_since", dict)
        without_redis = ask()["alerts"][0]["since"]

        assert another_process == without_redis != first
        assert abs(datetime.fromisoformat(another_process).timestamp() - before) < 0.01

    def test_forgets_since_when_once_it_is_well(self, ask) -> None:
        with redis.connection() as client:
            client.hset(health.SINCE, "outbox.queue", repr(time.time() - 100))

        assert ask()["alerts"] == []
        events(1_000)

        since = datetime.fromisoformat(ask()["alerts"][0]["since"])
        assert abs(since - timezone.now()) < timedelta(seconds=5)

    @pytest.mark.parametrize(
        ("count", "seconds", "status", "alerts"),
        [
            (1, 29, "healthy", {}),
            (1, 30, "degraded", {"outbox.lag": "warning"}),
            (1, 60, "unhealthy", {"outbox.lag": "critical"}),
            (999, 0, "healthy", {}),
            (1_000, 0, "degraded", {"outbox.queue": "warning"}),
            (10_000, 0, "unhealthy", {"outbox.queue": "critical"}),
        ],
    )
    def test_is_as_bad_as_its_worst_alert(self, ask, count, seconds, status, alerts) -> None:
        events(count, seconds=seconds)

        answer = ask()

        assert (answer["status"], found(answer)) == (status, alerts)

    @pytest.mark.parametrize(
        ("dead", "often", "alerts"),
        [
            (9, 0, {}),
            (4, 6, {"outbox.failed": "warning"}),
            (100, 0, {"outbox.failed": "critical"}),
        ],
    )
    def test_counts_dead_letters_and_what_was_tried_often(self, ask, dead, often, alerts) -> None:
        dead_letters(dead)
        events(often, attempts=6)
        events(7, attempts=5)

        answer = ask()

        assert answer["sync"]["failedEvents"] == dead + often
        assert found(answer) == alerts

    def test_asks_for_a_rebuild(self, ask, monkeypatch) -> None:
        monkeypatch.setattr(registry, "_registry", registry._Registry())
        notes = Projection(
            name="notes", aggregate_type="note", load=lambda _ids: {}, page=lambda *_: [], schema=2
        )
        subscribe(notes)
        ProjectionState.objects.create(projection="notes", schema=1)

        answer = ask()

        assert (answer["status"], found(answer)) == (
            "degraded",
            {"outbox.rebuild_needed": "warning"},
        )
        assert "--rebuild" in answer["alerts"][0]["message"]
        assert "--rebuild" in shapes.fault_of(notes)

    def test_asks_once_a_second_however_often_it_is_asked(self, monkeypatch) -> None:
        asked: list[Figures] = []

        def measure() -> Figures:
            asked.append(QUIET)
            return QUIET

        monkeypatch.setattr(figures, "measure", measure)

        for _ in range(20):
            health.report()

        assert len(asked) <= 2


class TestThePercentile:
    def test_is_of_the_last_five_minutes(self) -> None:
        latency.observe("api/slow", 9.0, now=1_000)
        for _ in range(100):
            latency.observe("api/quick", 0.010, now=1_310)

        assert latency.percentile(0.95, [latency.counts(now=1_310)]) == pytest.approx(0.01, rel=0.3)
        assert latency.counts(now=1_700) == {}

    def test_leaves_out_what_is_no_api(self) -> None:
        latency.observe("admin/", 9.0)

        assert latency.percentile(0.95, [latency.counts()]) is None

    def test_is_of_all_processes(self, ask, monkeypatch) -> None:
        for _ in range(90):
            latency.observe("api/quick", 0.010)
        own = process_state.own_state()
        other = replace(own, id="another", latencies={"35": 10})  # 10 answers of 2.5 s
        with monkeypatch.context() as patch:
            patch.setattr(process_state, "own_state", lambda: other)
            process_state.publish()
        with monkeypatch.context() as patch:
            patch.setattr(process_state, "own_state", lambda: own)
            process_state.publish()

        answer = ask()

        assert found(answer) == {"api.p95": "critical"}
        assert answer["alerts"][0]["threshold"] == 1_000

    def test_says_nothing_of_few_answers(self, ask) -> None:
        for _ in range(99):
            latency.observe("api/slow", 9.0)
        process_state.publish()

        assert found(ask()) == {}

    def test_counts_the_answers_of_the_api(self, client) -> None:
        client.get("/api/health")

        assert sum(latency.counts().values()) == 1


class TestWatching:
    @pytest.fixture
    def told(self, monkeypatch, settings):
        settings.ADMINS = [("", "operator@example.com")]
        told: list[tuple[str, str]] = []
        monkeypatch.setattr(courier, "submit", lambda alert: told.append((alert.key, alert.state)))
        return told

    def failing(self, told: list[tuple[str, str]]) -> set[str]:
        state = dict(told)
        told.clear()
        return {key for key, value in state.items() if value == "failed"}

    def test_tells_what_is_wrong_and_what_is_well_again(self, told) -> None:
        events(1_000, seconds=70)
        watching.watch()
        assert self.failing(told) == {"outbox.queue:", "outbox.lag.critical:"}

        OutboxEvent.objects.all().delete()
        watching.watch()
        assert {"outbox.queue:", "outbox.lag:", "outbox.lag.critical:"} <= {key for key, _ in told}
        assert self.failing(told) == set()

    def test_keeps_one_sample_a_minute_for_two_days(self) -> None:
        events(3)
        now = timezone.now().replace(second=30)
        QueueSample.objects.create(
            minute=now - timedelta(hours=49), waiting=0, lag_seconds=0, last_id=0, dead=0
        )

        watching.watch(at=now)
        watching.watch(at=now + timedelta(seconds=10))

        (sample,) = QueueSample.objects.all()
        assert (sample.minute, sample.waiting) == (now.replace(second=0, microsecond=0), 3)

    def test_says_nothing_of_what_it_does_not_know(self) -> None:
        assert list(thresholds.findings(None, None)) == []
