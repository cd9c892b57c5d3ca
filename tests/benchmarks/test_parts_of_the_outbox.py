"""What the benchmark of the outbox stands on: its events are real ones, its clocks are right."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection

from benchmarks import outbox, outbox_site, todo_load
from benchmarks.outbox_load import Lags, Rate
from outbox.events import MONGODB, shard_of
from outbox.models import OutboxEvent


@pytest.mark.django_db
def test_events_made_in_sql_are_those_that_would_have_been_recorded(django_user_model) -> None:
    with connection.cursor() as cursor:
        owner = django_user_model.objects.create(email="owner@example.com")
        cursor.execute(
            f"INSERT INTO {outbox_site.TABLE} (id, legal_name, trading_name, kind, country,"
            " registration_number, contact_email, contact_phone, address, website, status,"
            " owner_id) SELECT md5(n::text)::uuid, 'Entity ' || n, '', 'llc', 'US', '', '', '',"
            " '', '', 'active', %s FROM generate_series(1, 20) AS n",
            [owner.pk],
        )
    OutboxEvent.objects.all().delete()

    outbox_site.fill(MONGODB, 50, entities=20)

    events = list(OutboxEvent.objects.order_by("id"))
    assert len(events) == outbox_site.waiting(MONGODB) == 50
    assert all(e.shard == shard_of(e.aggregate_type, e.aggregate_id) for e in events)
    assert Counter(Counter(e.aggregate_id for e in events).values()) == {3: 10, 2: 10}
    known = outbox_site.load_entities([events[0].aggregate_id])
    assert set(known[events[0].aggregate_id]) == set(outbox_site.FIELDS)
    assert len(outbox_site.page_of_ids(None, 30)) == 20


def test_sides_take_turns_and_neither_always_comes_first(capsys) -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return 1.0

    found = outbox.by_turns({"a": lambda: side("a"), "b": lambda: side("b")}, 3)

    assert order == ["b", "a", "a", "b", "b", "a"]
    assert found == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert "a second" in capsys.readouterr().out


def test_a_rate_of_events_is_made_by_fewer_transactions() -> None:
    assert Rate(events=2_000, rows=10).transactions == 200
    assert Lags([0.001 * n for n in range(100)]).ms(0.99) == pytest.approx(99.0)


def test_slots_give_each_way_the_same_places() -> None:
    turns = [way for number in range(4) for way in todo_load._turn(("a", "b"), number)]

    assert turns == ["a", "b", "b", "a", "a", "b", "b", "a"]


class _Answers(BaseHTTPRequestHandler):
    """A site that says which way it was asked for, and closes every third connection."""

    protocol_version = "HTTP/1.1"
    asked: Counter[str] = Counter()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked[self.headers["X-Way"]] += 1
        self.send_response(201)
        self.send_header("Content-Length", "2")
        if sum(self.asked.values()) % 3 == 0:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("rate", [None, 100.0])
def test_callers_ask_by_turns_and_time_every_answer(monkeypatch, rate) -> None:
    monkeypatch.setattr(todo_load, "SLOT", 0.2)
    monkeypatch.setattr(todo_load, "SETTLING", 0.05)
    _Answers.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        found = todo_load.ask_by_turns(
            server.server_address[1], ["a=1", "a=2"], ["one", "two", "two", "one"], rate
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert set(_Answers.asked) == {"one", "two"}
    assert set(found) == {0, 1, 2, 3}
    assert all(0 < seconds < 10 for some in found.values() for seconds in some)
    assert len(found[0]) + len(found[3]) <= _Answers.asked["one"]
    assert len(found[1]) + len(found[2]) <= _Answers.asked["two"]
