"""What can be done to filings and legal texts, and how the audit trail grows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import router

from accounts.leaving.registry import Holder
from accounts.leaving.rows import rows_of
from compliance.models import AuditRecord, Filing
from compliance.querysets import FilingQuerySet, LegalDocumentQuerySet
from databases.transactions import atomic_for
from outbox import spool


def submit_filings(*, filings: FilingQuerySet, at: datetime) -> int:
    """Note that these filings were handed in; only those that are ready.

    :param at: now.
    :returns: how many were ready until now.
    """
    ready = filings.filter(status=Filing.Status.READY)
    return ready.update(status=Filing.Status.SUBMITTED, submitted_at=at, updated_at=at)


def publish_legal_documents(*, texts: LegalDocumentQuerySet, at: datetime) -> int:
    """Publish texts that have a time from which they hold; from now on they no longer change.

    :param at: now.
    :returns: how many were published.
    """
    complete = texts.filter(published_at=None, effective_from__isnull=False)
    return complete.update(published_at=at, updated_at=at)


def retire_legal_documents(*, texts: LegalDocumentQuerySet, at: datetime) -> int:
    """End published texts now.

    :param at: now.
    :returns: how many bound people until now.
    """
    in_force = texts.filter(published_at__isnull=False, retired_at=None)
    return in_force.update(retired_at=at, updated_at=at)


def record_audit(
    *,
    event_type: str,
    occurred_at: datetime,
    outcome: AuditRecord.Outcome = AuditRecord.Outcome.SUCCEEDED,
    actor_id: uuid.UUID | None = None,
    subject_type: str = "",
    subject_id: str = "",
    remote_address: str | None = None,
    request_id: str = "",
    detail: Mapping[str, Any] | None = None,
) -> AuditRecord:
    """Add one entry to the audit trail. It is accepted while the trail's database is down.

    :param event_type: `aggregate.verb_in_past`, e.g. `user.signed_in`.
    :param actor_id: the user who did it; None where the site did.
    :param detail: what else an auditor needs; never a secret.
    :returns: the record; it may be delivered later (`outbox.spool.add`).
    :raises django.db.IntegrityError: for an event type of another form, when it is written at once.
    """
    kind = AuditRecord.ActorKind.USER if actor_id else AuditRecord.ActorKind.SYSTEM
    return spool.add(
        AuditRecord(
            event_type=event_type,
            outcome=outcome,
            actor_kind=kind,
            actor_id=actor_id,
            subject_type=subject_type,
            subject_id=subject_id,
            remote_address=remote_address,
            request_id=request_id,
            detail=dict(detail or {}),
            occurred_at=occurred_at,
        )
    )


HOLDER: Final = Holder(
    app_label="compliance",
    # The law wants these kept: they hold ids, and no address.
    sections={
        "auditRecords": lambda user_id: rows_of(AuditRecord, "actor_id", user_id=user_id),
        "filings": lambda user_id: rows_of(Filing, "responsible_id", user_id=user_id),
    },
)


def keep_records(*, records: Sequence[AuditRecord]) -> None:
    """Write records that have ids of their own, in one transaction; known ones stay as they are.

    :raises django.db.utils.Error: when the trail's database is away, or refuses one of them.
    """
    with atomic_for("compliance"):
        AuditRecord.objects.using(router.db_for_write(AuditRecord)).bulk_create(
            records, ignore_conflicts=True
        )


def record_look(
    *,
    at: datetime,
    what: str,
    how: str,
    actor_id: uuid.UUID,
    subject_ids: Sequence[str] = (),
    allowed: bool = True,
    remote_address: str | None = None,
    request_id: str = "",
) -> AuditRecord:
    """Record that somebody looked at compliance data. Call it before they get to see any.

    :param at: now.
    :param what: the kind of thing, e.g. `filing`.
    :param how: `listed`, `viewed`, `history_viewed`, `downloaded` or the like.
    :param subject_ids: what they see; one is the record's subject, several stand in its detail.
    :param allowed: False for a look that was refused.
    """
    one = subject_ids[0] if len(subject_ids) == 1 else ""
    return record_audit(
        event_type=f"{what}.{how}",
        occurred_at=at,
        outcome=AuditRecord.Outcome.SUCCEEDED if allowed else AuditRecord.Outcome.REFUSED,
        actor_id=actor_id,
        subject_type=what,
        subject_id=one[:64],
        remote_address=remote_address,
        request_id=request_id[:64],
        detail={} if one or not subject_ids else {"subjects": list(subject_ids)},
    )
