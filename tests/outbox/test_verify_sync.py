"""MongoDB is compared with PostgreSQL: every difference is named, and nothing that is none."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from common.ids import uuid7
from databases.stores import contents, copies, mongo, versioned
from databases.stores.mongo import Index
from databases.stores.versioned import Write
from outbox import registry
from outbox.delivery import drain_once
from outbox.models import DeadLetter, OutboxEvent, ProjectionState, VerificationProgress
from outbox.recording import record_event
from outbox.registry import Projection, subscribe
from outbox.verification import Options, Report, progress, ranges, run, verify
from outbox.verification import recheck as recheck_module
from outbox.verification.repair import horizon

pytestmark = pytest.mark.django_db(transaction=True)

ROWS: dict[str, dict[str, Any]] = {}
NOTES = Projection(
    name="verified_notes",
    aggregate_type="note",
    load=lambda ids: {key: ROWS[key] for key in ids if key in ROWS},
    page=lambda after, limit: sorted(key for key in ROWS if after is None or key > after)[:limit],
    indexes=[Index(collection="verified_notes", keys=[("text", 1)])],
)


@pytest.fixture(autouse=True)
def notes(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_registry", registry._Registry())
    monkeypatch.setattr(mongo, "_indexes", [])
    subscribe(NOTES)
    mongo.ensure_indexes()
    ROWS.clear()
    yield
    copies.drop(NOTES.name)


def change(*keys: str) -> None:
    with transaction.atomic():
        for key in keys:
            record_event(aggregate_type="note", aggregate_id=key, event_type="note.changed")


def shown(count: int = 30) -> list[str]:
    """Make rows that MongoDB shows rightly."""
    ids = [str(uuid7()) for _ in range(count)]
    ROWS.update({key: {"text": f"note {number}"} for number, key in enumerate(ids)})
    change(*ids)
    drain_once()
    return ids


def plant(change: dict[str, Any], key: str) -> None:
    with mongo.database() as db:
        db[NOTES.name].update_one({"_id": key}, {"$set": change}, upsert=True)


def compared(**options: Any) -> Report:
    return verify(NOTES, Options(**{"wait": 0.3, **options}))


def command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_sync", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def four_differences() -> dict[str, str]:
    """Plant one of each kind; return kind by id."""
    ids = shown()
    missing, stale, buried = ids[3], ids[12], ids[21]
    with mongo.database() as db:
        db[NOTES.name].delete_one({"_id": missing})
    plant({"text": "something else"}, stale)
    versioned.write(NOTES.name, [Write(buried, 1 << 60, None)], at=timezone.now())
    extra = str(uuid7())
    versioned.write(NOTES.name, [Write(extra, 1, {"text": "nobody's"})], at=timezone.now())
    return {missing: "missing", stale: "stale", buried: "tombstone", extra: "extra"}


class TestAComparison:
    def test_finds_nothing_where_nothing_differs(self) -> None:
        ids = shown()
        del ROWS[ids[0]]
        change(ids[0])
        drain_once()

        report = compared()

        assert (report.found, report.waiting, report.ranges_that_differed) == (0, 0, 0)
        assert (report.rows, report.documents, report.tombstones) == (29, 29, 1)

    def test_finds_nothing_where_there_is_nothing(self) -> None:
        assert compared().well

    def test_names_each_kind_of_difference_and_nothing_else(self, monkeypatch) -> None:
        monkeypatch.setattr(ranges, "IDS", 7)
        planted = four_differences()

        report = compared()

        assert {one.id: one.kind for one in report.differences} == planted
        assert [one.fields for one in report.differences if one.kind == "stale"] == [("text",)]

    def test_finds_documents_behind_the_last_row_however_many(self, monkeypatch) -> None:
        monkeypatch.setattr(ranges, "IDS", 5)
        writes = [Write(str(uuid7()), 1, {"text": "nobody's"}) for _ in range(37)]
        versioned.write(NOTES.name, writes, at=timezone.now())

        report = compared()

        assert {one.id for one in report.differences} == {write.id for write in writes}
        assert report.documents == 37

    def test_finds_documents_that_none_of_us_wrote(self) -> None:
        shown(2)
        with mongo.database() as db:
            db[NOTES.name].insert_many([{"_id": 7}, {"_id": "by hand", "text": "x"}])

        found = {one.id: one.kind for one in compared().differences}

        assert found == {"7": "extra", "by hand": "extra"}

    def test_takes_no_other_writing_of_the_same_for_a_difference(self) -> None:
        (key,) = shown(1)
        at, number = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), uuid4()
        ROWS[key] = {"at": at, "number": number, "sums": (1, 2), "inner": {"a": 1, "b": None}}
        change(key)
        drain_once()
        ROWS[key] = {
            "inner": {"b": None, "a": 1},
            "sums": [1, 2],
            "number": number,
            "at": at.astimezone(UTC).replace(microsecond=123_000),
        }

        report = compared()

        assert report.well
        assert report.ranges_that_differed == 1  # the bytes do, what they say does not

    def test_is_not_alarmed_by_what_still_waits(self) -> None:
        ids = shown()
        ROWS[ids[5]] = {"text": "new"}
        change(ids[5])

        report = compared()

        assert (report.found, report.waiting) == (0, 1)
        drain_once()
        assert compared().well

    def test_counts_what_became_a_dead_letter(self) -> None:
        (key,) = shown(1)
        ROWS[key] = {"text": "new"}
        DeadLetter.objects.create(
            id=1, sink="mongodb", aggregate_type="note", aggregate_id=key, type="note.changed",
            schema=1, created_at=timezone.now(), attempts=8, kind="k", reason="r",
        )  # fmt: skip

        (found,) = compared().differences

        assert (found.kind, found.dead_letter) == ("stale", True)

    def test_raises_no_false_alarm_under_writes(self, monkeypatch) -> None:
        monkeypatch.setattr(ranges, "IDS", 10)
        ids = shown(60)
        done = threading.Event()

        def write_all_the_time() -> None:
            try:
                while not done.is_set():
                    key = random.choice(ids)
                    change(key)
                    # Nobody sees a row's change before its event: of a dictionary that can only be
                    # had with the event first.
                    ROWS[key] = {"text": str(uuid4())}
                    change_seen.set()
                    drain_once()
            finally:
                connection.close()

        change_seen = threading.Event()
        writer = threading.Thread(target=write_all_the_time)
        writer.start()
        change_seen.wait(5)
        try:
            reports = [compared(wait=10) for _ in range(10)]
        finally:
            done.set()
            writer.join()

        assert [one for report in reports for one in report.differences] == []

    def test_is_not_alarmed_by_a_row_that_changes_and_changes_back(self, monkeypatch) -> None:
        """Both loads find the same, and between them the document rightly showed another."""
        (key,) = shown(1)
        ask, read = recheck_module.waiting_events, copies.documents_of
        turns = [{"text": "another"}, ROWS[key]]

        def turn() -> None:
            if turns:
                ROWS[key] = turns.pop(0)
                change(key)
                drain_once()

        def ask_then_turn(*arguments: Any) -> set[str]:
            found = ask(*arguments)
            turn()
            return found

        def read_then_turn(*arguments: Any) -> dict[str, Any]:
            found = read(*arguments)
            turn()
            return found

        monkeypatch.setattr(recheck_module, "waiting_events", ask_then_turn)
        monkeypatch.setattr(copies, "documents_of", read_then_turn)

        verdict = recheck_module.recheck(NOTES, [key], deadline=time.monotonic() + 10)

        assert (verdict.differences, verdict.waiting) == ([], [])

    def test_goes_on_where_it_was_ended(self, monkeypatch) -> None:
        monkeypatch.setattr(ranges, "IDS", 5)
        monkeypatch.setattr(run, "SAVE_EVERY", 0)
        planted = four_differences()

        class Ended(Exception):
            pass

        def end(report: Report) -> None:
            if report.ranges == 4:
                raise Ended

        with pytest.raises(Ended):
            verify(NOTES, Options(wait=0.1), step=end)
        seen: list[int] = []
        report = verify(
            NOTES, Options(wait=0.1, resume=True), step=lambda now: seen.append(now.ranges)
        )

        assert seen[0] == 5
        assert {one.id: one.kind for one in report.differences} == planted
        assert report.rows == 30
        assert not VerificationProgress.objects.exists()

    def test_goes_on_within_a_range_of_many_documents(self, monkeypatch) -> None:
        """A range of rows may hold far more documents; what is kept is how far those were read."""
        monkeypatch.setattr(ranges, "IDS", 5)
        monkeypatch.setattr(run, "SAVE_EVERY", 0)
        ids = sorted(shown(10))
        planted = {f"{ids[2]}-{number:02}" for number in range(50)}
        for key in planted:
            plant({"text": "nobody's", "_live": True}, key)

        class Ended(Exception):
            pass

        def end(report: Report) -> None:
            if report.ranges == 2:
                raise Ended

        with pytest.raises(Ended):
            verify(NOTES, Options(wait=0.1), step=end)
        report = verify(NOTES, Options(wait=0.1, resume=True))

        assert {one.id for one in report.differences} == planted

    @pytest.mark.parametrize(("hours", "goes_on"), [(3, False), (2, True), (1, True)])
    def test_goes_on_only_with_what_the_ended_one_had_compared(self, hours, goes_on) -> None:
        shown(1)
        now = timezone.now()
        kept = Report(projection=NOTES.name, ranges=7)
        progress.save(NOTES.name, "zzz", now - timedelta(hours=2), kept)

        report = compared(since=now - timedelta(hours=hours), resume=True)

        assert (report.rows, report.ranges >= 7) == ((0, True) if goes_on else (1, False))

    def test_compares_only_what_was_made_since(self) -> None:
        old = str(uuid7())
        old = f"{ranges.first_id_at(timezone.now() - timedelta(days=2))[:14]}{old[14:]}"
        (new,) = shown(1)
        ROWS[old] = {"text": "missing"}
        ROWS[str(uuid7())] = {"text": "missing, too"}

        report = compared(since=timezone.now() - timedelta(hours=1))

        assert report.rows == 2
        assert old not in {one.id for one in report.differences}
        assert report.found == 1
        assert new

    def test_asks_a_projection_that_knows_what_changed(self) -> None:
        ids = shown()
        plant({"text": "stale"}, ids[0])
        plant({"text": "stale"}, ids[9])
        knowing = Projection(
            name=NOTES.name,
            aggregate_type="note",
            load=NOTES.load,
            page=NOTES.page,
            changed_since=lambda _at, after, _limit: [k for k in ids[8:12] if k > (after or "")],
        )

        report = verify(knowing, Options(since=timezone.now(), wait=0.1))

        assert [one.id for one in report.differences] == [ids[9]]

    def test_of_a_sample_looks_at_that_many(self) -> None:
        ids = shown(50)
        for key in ids:
            plant({"text": "stale"}, key)

        report = compared(sample=12)

        assert 8 <= report.found <= 12
        assert {one.fields for one in report.differences} == {("text",)}


class TestARepair:
    def test_mends_every_kind(self) -> None:
        planted = four_differences()
        buried = next(key for key, kind in planted.items() if kind == "tombstone")
        with mongo.database() as db:  # as an older version, which an event of today may replace
            db[NOTES.name].update_one({"_id": buried}, {"$set": {"_v": 1}})

        stop = threading.Event()
        drainer = threading.Thread(target=_drain_until, args=[stop])
        drainer.start()
        try:
            report = compared(repair=True, wait=20)
        finally:
            stop.set()
            drainer.join()

        assert (report.found, report.recorded, report.repaired) == (4, 4, 4)
        again = compared()
        assert again.well and again.tombstones == 1

    def test_says_what_waits_for_delivery(self) -> None:
        four_differences()

        report = compared(repair=True, wait=0.1)

        assert (report.recorded, report.repaired) == (4, 0)
        assert OutboxEvent.objects.filter(type="note.repaired").count() == 4
        assert "later" in report.notes[0]

    @pytest.mark.parametrize("newer", [False, True])
    def test_waits_for_whoever_writes_now_and_not_for_who_comes_later(
        self, elsewhere, newer
    ) -> None:
        elsewhere.execute("SELECT pg_current_xact_id()")
        if newer:
            connection.cursor().execute("SELECT pg_current_xact_id()")
        passed = horizon()
        assert not passed()
        elsewhere.commit()
        elsewhere.execute("SELECT pg_current_xact_id()")
        assert passed()


def _drain_until(stop: threading.Event) -> None:
    try:
        while not stop.is_set():
            drain_once()
    finally:
        connection.close()


class TestTheCommand:
    def test_is_content_with_what_is_right(self) -> None:
        shown()

        code, out = command()

        assert code == 0, out
        assert "NO" not in out

    def test_names_differences_and_exits_1(self) -> None:
        planted = four_differences()

        code, out = command("--wait", "0.1")

        assert code == 1
        for key, kind in planted.items():
            assert f"{NOTES.name}: {kind} {key}" in out

    def test_speaks_json(self) -> None:
        planted = four_differences()

        code, out = command("--json", "--wait", "0.1", NOTES.name)
        document = json.loads(out)

        assert (code, document["well"]) == (1, False)
        found = document["projections"][0]["differences"]
        assert {one["id"]: one["kind"] for one in found} == planted
        assert {check["name"] for check in document["checks"]} >= {
            "outbox table", "MongoDB", "lag", "dead letters", "retries",
            f"indexes of {NOTES.name}", f"counts of {NOTES.name}", f"shape of {NOTES.name}",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "arguments",
        [["nothing"], ["--since", "yesterday"], ["--sample", "0"], ["--sample", "3", "--resume"]],
    )
    def test_refuses_what_it_does_not_understand(self, arguments) -> None:
        with pytest.raises(CommandError) as refused:
            command(*arguments)

        by_argparse = str(refused.value).startswith("Error: ")  # which ends a process with 2
        assert by_argparse or refused.value.returncode == 2

    def test_finds_missing_indexes(self) -> None:
        shown()
        with mongo.database() as db:
            db[NOTES.name].drop_index("text_1")

        code, out = command()

        assert code == 1
        assert "missing ['text']" in out

    def test_finds_dead_letters_and_retries(self) -> None:
        change("a")
        OutboxEvent.objects.update(attempts=2, next_at=timezone.now() + timedelta(hours=1))

        code, out = command("--wait", "0.1")

        assert code == 1
        assert any(line.startswith("NO") and "retries" in line for line in out.splitlines())

    def test_finds_a_shape_that_is_out_of_date(self) -> None:
        ProjectionState.objects.create(projection=NOTES.name, schema=0)

        code, out = command()

        assert code == 1
        assert "--rebuild" in out


class TestManyRows:
    """Rows of a real table, far more than a range, in memory that does not grow with them."""

    DIFFERENT = 40
    MEGABYTES = 120
    """What a comparison may add to the process, whatever the number of rows."""

    @pytest.fixture
    def many(self, count) -> Iterator[Projection]:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE verified_rows (id uuid PRIMARY KEY, title text, points int,"
                " at timestamptz)"
            )
            cursor.execute(
                "INSERT INTO verified_rows SELECT md5(n::text)::uuid, 'row ' || n, n %% 997,"
                " timestamptz '2026-01-01' + n * interval '1 second' FROM generate_series(1, %s) n"
                " ORDER BY 1",  # as ids that rise with time would have been written
                [count],
            )
            cursor.execute("ANALYZE verified_rows")
        made = Projection(
            name="verified_rows", aggregate_type="row", load=_load_rows, page=_page_of_rows
        )
        after = None
        while ids := made.page(after, 5_000):
            after = ids[-1]
            loaded = made.load(ids)
            with mongo.database(timeout=30) as db:
                db.verified_rows.insert_many(
                    [{"_id": key, **loaded[key], "_v": 1, "_live": True} for key in ids]
                )
        yield made
        copies.drop(made.name)
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE verified_rows")

    @pytest.mark.parametrize(
        "count",
        [10_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    )
    def test_are_compared_in_bounded_memory_and_exactly(
        self, many, count, capsys, record_testsuite_property
    ) -> None:
        planted = _plant_in(many, self.DIFFERENT)
        begin = _reset_peak()

        report = verify(many, Options(wait=0))
        grown = (_peak() - begin) / 1e6

        assert {one.id: one.kind for one in report.differences} == planted
        assert grown < self.MEGABYTES
        figures = f"{count:,} rows at {count / report.seconds:,.0f}/s, peak +{grown:.0f} MB"
        record_testsuite_property("verify_sync", figures)
        with capsys.disabled():
            sys.stdout.write(f"\n{figures}\n")


def _load_rows(ids) -> dict[str, dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id::text, title, points, at FROM verified_rows WHERE id = ANY(%s::uuid[])",
            [list(ids)],
        )
        return {
            key: {"title": title, "points": points, "at": at}
            for key, title, points, at in cursor.fetchall()
        }


def _page_of_rows(after: str | None, limit: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id::text FROM verified_rows WHERE id > %s::uuid ORDER BY id LIMIT %s",
            [after or "00000000-0000-0000-0000-000000000000", limit],
        )
        return [row[0] for row in cursor.fetchall()]


def _plant_in(many: Projection, count: int) -> dict[str, str]:
    """Plant differences of every kind all over the collection; return kind by id."""
    ids = list(dict.fromkeys(copies.random_ids(many.name, 3 * count)))[: 3 * count // 4]
    planted: dict[str, str] = {}
    with mongo.database(timeout=30) as db:
        for number, key in enumerate(ids):
            kind = ("missing", "stale", "tombstone")[number % 3]
            planted[key] = kind
            if kind == "missing":
                db[many.name].delete_one({"_id": key})
            elif kind == "stale":
                db[many.name].update_one({"_id": key}, {"$inc": {"points": 1}})
            else:
                db[many.name].replace_one({"_id": key}, {"_v": 1, "_deleted_at": timezone.now()})
        for _ in range(count // 4):
            key = str(uuid4())
            planted[key] = "extra"
            db[many.name].insert_one({"_id": key, "title": "x", "_v": 1, "_live": True})
    return planted


def _reset_peak() -> int:
    """Forget the process's highest memory so far; return what it has now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    return int(line.split()[1]) * 1024


class TestTheSameContent:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (Decimal("1.50"), Decimal("1.5")),
            (Decimal(100), Decimal("1E+2")),
            ((1, "a"), [1, "a"]),
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
            (datetime(2026, 1, 1, microsecond=999, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_has_the_same_digest(self, one, other) -> None:
        assert contents.digest({"a": one}) == contents.digest({"a": other})

    @pytest.mark.parametrize(
        ("one", "other"),
        [(1, 1.0), (1, True), (0, False), ("1", 1), (None, ""), ([1, 2], [2, 1]), ("a,s1:b", "a")],
    )
    def test_is_told_from_other_content(self, one, other) -> None:
        assert contents.digest({"a": one}) != contents.digest({"a": other})
        assert contents.differing_fields({"a": one, "b": 1}, {"a": other, "b": 1}) == ("a",)
