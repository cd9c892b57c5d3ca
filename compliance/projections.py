"""What happens to accounts, clients, tokens, sessions and roles becomes audit records.

The outbox tells of it, in order and at least once, and holds it while the trail's database is away.
A record's id is made of the event's own, so that what is told twice is kept once, also after a
promotion or a restore.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from accounts.audit.acting import network_of
from compliance import services
from compliance.models import AuditRecord
from outbox.events import Event
from outbox.registry import Consumer, subscribe

SUBJECTS: Final[Mapping[str, str]] = {
    "account": "user",
    "client": "client",
    "role": "role",
    "session": "session",
    "token": "token",
}
"""Aggregate type of the events to the record's subject. Events of these that come later are
recorded without a word here; those that did not succeed stand in `OUTCOMES`."""

OUTCOMES: Final[Mapping[str, AuditRecord.Outcome]] = {
    "user.sign_in_failed": AuditRecord.Outcome.FAILED,
    "user.code_refused": AuditRecord.Outcome.FAILED,
    "user.throttled": AuditRecord.Outcome.REFUSED,
    "token.reuse_detected": AuditRecord.Outcome.REFUSED,
    "token.refused": AuditRecord.Outcome.REFUSED,
}

KEPT: Final = frozenset({
    "active", "acts_as", "authorization_grant_type", "client_id", "client_type", "count",
    "database_role", "device", "fields", "grant_type", "is_active", "kind", "left",
    "may_introspect",
    "page", "permission", "reason", "role", "scopes", "staff", "superuser", "tried", "usable",
})  # fmt: skip
"""Keys of a payload that a record keeps. Whatever else an event brings, a secret included, is left
out: what nobody thought of is not written down."""


def connect() -> None:
    """Subscribe."""
    subscribe(
        Consumer(
            name="compliance.audit",
            app_label="compliance",
            aggregate_types=frozenset(SUBJECTS),
            handle=record_events,
        )
    )


def record_events(events: Sequence[Event]) -> None:
    """Write a record for each event, in one transaction; known ones stay as they are."""
    services.keep_records(records=[record_of(event) for event in events])


def record_of(event: Event) -> AuditRecord:
    """Return the record that an event becomes; the same one each time."""
    payload = event.payload or {}
    actor = _actor(event, payload)
    return AuditRecord(
        id=record_id(event),
        event_type=event.type,
        outcome=OUTCOMES.get(event.type, AuditRecord.Outcome.SUCCEEDED),
        actor_kind=AuditRecord.ActorKind.USER if actor else AuditRecord.ActorKind.SYSTEM,
        actor_id=actor,
        subject_type=SUBJECTS[event.aggregate_type],
        subject_id=event.aggregate_id[:64],
        remote_address=network_of(str(payload.get("client") or "")),
        request_id=str(event.headers.get("request_id", ""))[:64],
        detail={key: payload[key] for key in sorted(KEPT & payload.keys())},
        source_event_id=event.version,
        occurred_at=event.created_at,
    )


def record_id(event: Event) -> uuid.UUID:
    """Return a UUIDv7 of the event's moment whose other bits are made of what the event is.

    The version of an event changes with the epoch, its number and moment do not.
    """
    told = f"{event.id}:{event.created_at.isoformat()}:{event.aggregate_type}:{event.aggregate_id}"
    bits = int.from_bytes(hashlib.sha256(told.encode()).digest()[:10])
    moment = int(event.created_at.timestamp() * 1000)
    value = (moment & (1 << 48) - 1) << 80 | bits
    value = value & ~(0xF << 76) | 7 << 76
    return uuid.UUID(int=value & ~(0b11 << 62) | 0b10 << 62)


def _actor(event: Event, payload: Mapping[str, Any]) -> uuid.UUID | None:
    """Return who did it: whom the event names, or the one whose token or session it is.

    Nobody acts where somebody failed to sign in.
    """
    if event.type in {"user.sign_in_failed", "user.throttled"}:
        return None
    for key in ("actor_id", "user_id"):
        try:
            return uuid.UUID(str(payload.get(key)))
        except ValueError:
            continue
    return None
