"""Rows that are only ever added are accepted while their database is down, and come later."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connections, models, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from analytics import services
from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric
from compliance.models import AuditRecord, Filing
from compliance.services import record_audit
from databases.breaker import AliasUnavailable
from databases.causality import causal_scope
from databases.placement import alias_of
from databases.testing import alias_down
from databases.transactions import TransactionHeldOpen, atomic_for
from documents.models import DocumentActivity
from documents.services import record_activity as record_document_activity
from outbox import spool
from outbox.delivery import drain_once
from outbox.models import DeadLetter, OutboxEvent
from outbox.recording import EventRefused
from outbox.spool import NotSpoolable
from tests.homes import databases_of
from tests.people import a_user

pytestmark = pytest.mark.django_db(
    transaction=True, databases=databases_of("analytics", "compliance", "documents", "caches")
)
several = pytest.mark.skipif(
    "analytics" not in connections.settings, reason="In this shape all are one database."
)
AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
TRUNCATED = ("analytics", "compliance", "documents")


def viewed(number: int = 0, **fields: Any) -> ActivityEvent:
    """Record that a page was viewed."""
    given: dict[str, Any] = {"name": "page.viewed", "occurred_at": AT, "subject_type": "page"}
    return services.record_activity(**given | {"subject_id": str(number)} | fields)


def kept() -> list[str]:
    """Return the subjects of the rows that are in their database, in the order of their making."""
    return list(ActivityEvent.objects.order_by("id").values_list("subject_id", flat=True))


def waiting() -> int:
    return OutboxEvent.objects.filter(aggregate_type=spool.AGGREGATE).count()


class TestWithItsDatabaseThere:
    def test_a_row_is_written_at_once(self) -> None:
        with causal_scope() as state:
            row = viewed(properties={"path": "/"})

        assert ActivityEvent.objects.get() == row
        assert row.id.version == 7
        assert waiting() == 0
        assert state.degraded == set()

    def test_what_it_refuses_is_refused_at_once(self) -> None:
        with pytest.raises(IntegrityError, match="analytics_event_name_dotted"):
            viewed(name="Viewed")

        assert waiting() == 0

    def test_a_model_that_was_not_declared_is_not_accepted(self) -> None:
        with pytest.raises(NotSpoolable):
            spool.add(Filing(kind="other"))


class TestInATransactionOfThePrimary:
    def test_a_row_goes_with_its_commit_and_comes_with_the_delivery(self) -> None:
        with causal_scope() as state, transaction.atomic(using="default"):
            user = a_user()
            row = viewed(user_id=user.pk)
            assert waiting() == 0
        assert (kept(), waiting()) == ([], 1)
        # The database is not down: nobody is told that it is.
        assert state.degraded == set()

        drain_once("analytics")

        assert ActivityEvent.objects.get() == row
        assert ActivityEvent.objects.get().user_id == user.pk
        assert waiting() == 0

    def test_a_caller_that_is_rolled_back_leaves_none(self) -> None:
        with pytest.raises(RuntimeError), transaction.atomic(using="default"):
            a_user()
            viewed()
            record_audit(event_type="user.made", occurred_at=AT)
            raise RuntimeError

        drain_once(*TRUNCATED)

        assert (kept(), waiting(), AuditRecord.objects.count()) == ([], 0, 0)
        assert not User.objects.exists()

    def test_a_savepoint_that_is_rolled_back_leaves_none(self) -> None:
        with transaction.atomic(using="default"):
            viewed(1)
            with pytest.raises(RuntimeError), transaction.atomic(using="default"):
                viewed(2)
                raise RuntimeError
            viewed(3)

        drain_once("analytics")

        assert kept() == ["1", "3"]

    def test_later_rows_wait_behind_earlier_ones(self) -> None:
        with transaction.atomic(using="default"):
            viewed(1)
        with causal_scope() as state:
            viewed(2)
        assert (kept(), waiting()) == ([], 2)
        assert state.degraded == set()

        drain_once("analytics")
        viewed(3)

        assert (kept(), waiting()) == (["1", "2", "3"], 0)


@several
class TestInATransactionOfItsOwnDatabase:
    def test_a_row_is_written_with_it(self) -> None:
        with pytest.raises(RuntimeError), atomic_for("analytics"):
            viewed(1)
            raise RuntimeError
        with atomic_for("analytics"):
            viewed(2)

        assert (kept(), waiting()) == (["2"], 0)

    def test_inside_that_of_a_third_one_it_is_refused(self) -> None:
        with pytest.raises(TransactionHeldOpen), atomic_for("documents"):
            viewed()


@several
class TestWithItsDatabaseDown:
    def test_a_row_is_accepted_and_the_answer_says_so(self) -> None:
        with alias_down("analytics"), causal_scope() as state:
            row = viewed(1)
            assert state.degraded == {"analytics"}
            assert waiting() == 1

        assert drain_once("analytics").events == 1

        delivered = ActivityEvent.objects.get()
        assert (delivered, delivered.recorded_at) == (row, row.recorded_at)

    def test_rows_come_in_order_and_each_once(self) -> None:
        viewed(0)
        with alias_down("analytics"):
            for number in range(1, 200):
                viewed(number)
            with pytest.raises(AliasUnavailable):
                drain_once("analytics")
            assert waiting() == 199
        with causal_scope() as state:
            viewed(200)
        # It is back, and what waits goes first: the row cannot be read yet.
        assert state.degraded == {"analytics"}
        assert waiting() == 200

        drain_once("analytics")

        assert kept() == [str(number) for number in range(201)]
        with connections[alias_of("analytics")].cursor() as cursor:
            cursor.execute("SELECT subject_id FROM analytics_activityevent ORDER BY ctid")
            assert [text for (text,) in cursor.fetchall()] == kept()

    def test_what_is_not_declared_is_refused(self) -> None:
        with alias_down("compliance"), pytest.raises(AliasUnavailable) as refused:
            Filing.objects.create(
                customer_id=uuid.uuid4(), kind="other", period_starts_on=AT, period_ends_on=AT,
                due_on=AT,
            )  # fmt: skip

        assert refused.value.status == 503
        assert not OutboxEvent.objects.exists()

    def test_what_the_primary_cannot_keep_is_refused(self) -> None:
        with alias_down("analytics"), pytest.raises(EventRefused):
            viewed(properties={"text": "\0"})

        assert waiting() == 0

    def test_the_audit_trail_and_documents_are_accepted_too(self) -> None:
        document_id = uuid.uuid4()
        with alias_down("compliance"), alias_down("documents"), causal_scope() as state:
            record = record_audit(
                event_type="user.signed_in", occurred_at=AT, actor_id=uuid.uuid4(),
                remote_address="2001:db8::1", detail={"by": ["web", 1.5, None, "Grüße"]},
            )  # fmt: skip
            entry = record_document_activity(
                document_id=document_id, deed=DocumentActivity.Deed.VIEWED, occurred_at=AT
            )
        assert state.degraded == {"compliance", "documents"}

        drain_once("compliance", "documents")

        assert values_of(AuditRecord.objects.get()) == values_of(record)
        assert DocumentActivity.objects.about(document_id).get() == entry


class TestDelivery:
    def test_told_twice_a_row_is_kept_once(self) -> None:
        with transaction.atomic(using="default"):
            viewed(1)
            viewed(2)
        events = list(OutboxEvent.objects.order_by("id"))
        drain_once("analytics")

        OutboxEvent.objects.bulk_create(events)
        drain_once("analytics")

        assert kept() == ["1", "2"]

    def test_a_refused_row_becomes_a_dead_letter_and_holds_nobody_up(self) -> None:
        with transaction.atomic(using="default"):
            for number in range(10):
                viewed(number)
            viewed(name="Not dotted")
            viewed(name="x" + ".x" * 60)
            for number in range(10, 20):
                viewed(number)

        done = drain_once("analytics")

        assert (done.events, done.dead, done.failed) == (20, 2, 0)
        assert kept() == [str(number) for number in range(20)]
        assert list(DeadLetter.objects.order_by("id").values_list("kind", "attempts")) == [
            ("analytics.spool: CheckViolation: analytics_event_name_dotted", 1),
            ("analytics.spool: StringDataRightTruncation", 1),
        ]
        dead = DeadLetter.objects.order_by("id").first()
        assert "analytics_event_name_dotted" in dead.reason
        assert dead.payload["row"]["name"] == "Not dotted"
        assert waiting() == 0

    def test_a_row_whose_user_went_while_it_waited_loses_the_user(self) -> None:
        ada, bob = a_user("ada@example.com"), a_user("bob@example.com")
        with transaction.atomic(using="default"):
            viewed(1, user_id=ada.pk)
            viewed(2, user_id=bob.pk)
            ada.delete()
        # Whatever comes first: the deletion, or the row.
        drain_once("analytics")

        found = ActivityEvent.objects.order_by("id").values_list("subject_id", "user_id")
        assert list(found) == [("1", None), ("2", bob.pk)]

    def test_a_figure_that_is_known_is_not_dropped_in_silence(self) -> None:
        """Only the id is a reason to leave a row out."""
        for _ in range(2):
            with transaction.atomic(using="default"):
                services.record_business_metric(
                    name="sign_ups", period=BusinessMetric.Period.DAY, period_starts_at=AT,
                    value=Decimal(3),
                )  # fmt: skip

        drain_once("analytics")

        assert BusinessMetric.objects.count() == 1
        assert "analytics_metric_once_for_the_site" in DeadLetter.objects.get().kind


@several
def test_with_the_primary_down_a_row_is_still_written_directly() -> None:
    with alias_down("default"):
        viewed(1)
        assert kept() == ["1"]


@several
def test_with_both_down_nothing_is_accepted() -> None:
    with alias_down("default"), alias_down("analytics"), pytest.raises(AliasUnavailable):
        viewed(1)


@pytest.mark.skipif("analytics" in connections.settings, reason="In this shape there are several.")
def test_with_one_database_for_all_there_is_nothing_to_fall_back_to() -> None:
    with alias_down("default"), pytest.raises(AliasUnavailable):
        viewed(1)

    viewed(2)
    assert (kept(), waiting()) == (["2"], 0)


def values_of(row: models.Model) -> dict[str, Any]:
    """Return what a row holds."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


ROWS = [
    lambda: viewed(properties={"a": [1, 2.5, {"b": None}], "ü": "\\"}),
    lambda: services.record_business_metric(
        name="revenue", period=BusinessMetric.Period.MONTH, value=Decimal("12345678.900001"),
        unit=BusinessMetric.Unit.CENTS, currency="USD", dimension="plan:starter",
        period_starts_at=AT, customer_id=uuid.UUID(int=8),
    ),
    lambda: services.record_performance(
        name="http.request", window_starts_at=AT, sample_count=2**40, mean_ms=0.1 + 0.2,
        p50_ms=1e-9, p95_ms=1.0, p99_ms=3.3333333333333335, max_ms=1e300,
    ),
    lambda: record_audit(
        event_type="user.signed_in", occurred_at=AT, actor_id=uuid.UUID(int=9),
        remote_address="192.0.2.1", detail={"by": "web"}, request_id="r",
    ),
    lambda: record_document_activity(
        document_id=uuid.UUID(int=1), deed=DocumentActivity.Deed.CHANGED, occurred_at=AT,
        detail={"before": "", "after": "x"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("make", ROWS)
def test_what_is_delivered_is_what_a_direct_write_would_have_left(make) -> None:
    begun = timezone.now()
    with transaction.atomic(using="default"):
        accepted = make()
    ended = timezone.now()
    drain_once(*TRUNCATED)
    model = type(accepted)
    delivered = values_of(model._default_manager.get())
    assert delivered == values_of(accepted)
    times = [delivered.pop(name) for name in ("recorded_at", "created_at", "updated_at")
             if name in delivered]  # fmt: skip
    assert times
    assert all(begun <= time <= ended for time in times)

    if model is BusinessMetric or model is PerformanceMetric:
        model._default_manager.all().delete()  # such a figure is unique
    direct = values_of(make())

    changing = {"id", "recorded_at", "created_at", "updated_at"}
    assert {key: value for key, value in direct.items() if key not in changing} == {
        key: value for key, value in delivered.items() if key not in changing
    }
    assert direct == values_of(model._default_manager.order_by("-id").first())
    assert direct["id"] > delivered["id"]


def test_a_row_with_a_value_that_only_the_database_knows_is_refused() -> None:
    with pytest.raises(NotSpoolable, match="expression"):
        viewed(occurred_at=F("recorded_at") + timedelta(days=1))


def test_an_audit_record_is_final_as_soon_as_it_is_accepted() -> None:
    with transaction.atomic(using="default"):
        record = record_audit(event_type="user.signed_in", occurred_at=AT)

    with pytest.raises(Exception, match="never changed"):
        record.save()
