"""What is told of accounts, clients, tokens and sessions becomes audit records, each once."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from compliance import projections
from compliance.models import AuditRecord
from databases.testing import alias_down
from databases.transactions import atomic_for
from outbox.delivery import drain_once
from outbox.events import Event
from outbox.models import OutboxEvent
from outbox.recording import record_event
from tests.homes import databases_of, home_of

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
USER = str(uuid.uuid4())


def an_event(**fields: Any) -> Event:
    known: dict[str, Any] = {
        "id": 7, "epoch": 1, "sink": "compliance", "aggregate_type": "account",
        "aggregate_id": USER, "type": "user.signed_in", "schema": 1,
        "payload": {"actor_id": USER, "client": "203.0.113.9", "page": "admin"},
        "headers": {"request_id": "r1"}, "created_at": AT,
    }  # fmt: skip
    return Event(**known | fields)


class TestARecord:
    def test_says_who_did_what_from_where_and_when(self) -> None:
        record = projections.record_of(an_event())

        assert (record.event_type, record.outcome) == ("user.signed_in", "succeeded")
        assert (record.actor_kind, record.actor_id) == ("user", uuid.UUID(USER))
        assert (record.subject_type, record.subject_id) == ("user", USER)
        assert (record.remote_address, record.request_id) == ("203.0.113.0", "r1")
        assert (record.occurred_at, record.detail) == (AT, {"page": "admin"})

    def test_keeps_nothing_that_nobody_thought_of(self) -> None:
        payload = {"password": "hunter22", "token": "t0k3n", "address": "a@example.com"}

        record = projections.record_of(an_event(payload=payload))

        assert record.detail == {}

    def test_of_a_failure_names_nobody_who_acted(self) -> None:
        record = projections.record_of(
            an_event(type="user.sign_in_failed", payload={"actor_id": USER, "tried": "ab12"})
        )

        assert (record.outcome, record.actor_kind, record.actor_id) == ("failed", "system", None)
        assert record.detail == {"tried": "ab12"}

    @pytest.mark.parametrize(
        ("kind", "event_type", "outcome"),
        [
            ("client", "client.secret_changed", "succeeded"),
            ("token", "token.revoked", "succeeded"),
            ("token", "token.reuse_detected", "refused"),
            ("session", "session.ended", "succeeded"),
            ("role", "role.permission_given", "succeeded"),
            ("account", "user.something_that_comes_later", "succeeded"),
        ],
    )
    def test_is_made_of_every_kind(self, kind: str, event_type: str, outcome: str) -> None:
        record = projections.record_of(
            an_event(aggregate_type=kind, type=event_type, payload={"user_id": USER})
        )

        assert (record.event_type, record.outcome) == (event_type, outcome)
        assert record.actor_id == uuid.UUID(USER)

    @pytest.mark.parametrize("client", [None, "", "unknown", "2001:db8:1:2::3", "1.2.3.4"])
    def test_holds_the_network_alone(self, client: str | None) -> None:
        record = projections.record_of(an_event(payload={"client": client}))

        assert record.remote_address == {
            "2001:db8:1:2::3": "2001:db8:1::", "1.2.3.4": "1.2.3.0",
        }.get(client or "")  # fmt: skip

    def test_has_the_same_id_in_another_epoch_and_another_one_for_another_event(self) -> None:
        event = an_event()
        made = projections.record_id(event)

        assert made == projections.record_id(replace(event, epoch=2, attempts=3))
        assert made.version == 7
        assert made != projections.record_id(replace(event, id=8))
        assert made < projections.record_id(replace(event, created_at=AT.replace(hour=13)))


@pytest.mark.django_db(databases=databases_of("compliance"))
class TestTellingTwice:
    def test_keeps_one_record(self) -> None:
        projections.record_events([an_event(), an_event(id=8)])
        projections.record_events([an_event(), an_event(id=9)])
        projections.record_events([an_event(epoch=2)])

        assert AuditRecord.objects.count() == 3


def tell(many: int) -> None:
    with atomic_for("accounts"):
        for number in range(many):
            record_event(
                aggregate_type="account",
                aggregate_id=uuid.uuid4(),
                event_type="user.signed_in",
                payload={"page": str(number)},
            )


@pytest.mark.django_db(transaction=True, databases=databases_of("compliance"))
class TestDelivery:
    def test_brings_events_of_accounts_to_the_trail_and_not_to_mongodb(self) -> None:
        tell(3)

        assert set(OutboxEvent.objects.values_list("sink", flat=True)) == {"compliance"}
        assert drain_once("compliance").events == 3
        assert AuditRecord.objects.count() == 3
        assert not OutboxEvent.objects.exists()

    def test_waits_for_a_trail_that_is_away_and_catches_up(self) -> None:
        from databases.breaker import AliasUnavailable

        if home_of(AuditRecord) == "default":
            pytest.skip("With one database there is none that could be away alone.")
        with alias_down("compliance"):
            tell(5)
            with pytest.raises(AliasUnavailable):
                drain_once("compliance")
            assert OutboxEvent.objects.filter(attempts=0).count() == 5

        drain_once("compliance")

        assert AuditRecord.objects.count() == 5
        assert not OutboxEvent.objects.exists()
