"""What can be done to documents and shares, and how it is written down who did it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from documents.models import Document, DocumentActivity
from documents.querysets import DocumentQuerySet, DocumentShareQuerySet
from outbox import spool


def archive_documents(*, documents: DocumentQuerySet, at: datetime) -> int:
    """Put active documents and drafts out of sight.

    :param at: now.
    :returns: how many were in sight until now.
    """
    in_sight = documents.filter(status__in=[Document.Status.DRAFT, Document.Status.ACTIVE])
    return in_sight.update(status=Document.Status.ARCHIVED, updated_at=at)


def restore_documents(*, documents: DocumentQuerySet, at: datetime) -> int:
    """Bring documents back from the archive and the bin.

    :param at: now.
    :returns: how many were out of sight until now.
    """
    away = documents.filter(status__in=[Document.Status.ARCHIVED, Document.Status.DELETED])
    return away.update(status=Document.Status.ACTIVE, updated_at=at)


def revoke_shares(*, shares: DocumentShareQuerySet, at: datetime) -> int:
    """End shares now.

    :param at: now.
    :returns: how many were not revoked until now.
    """
    return shares.filter(revoked_at=None).update(revoked_at=at)


def record_activity(
    *,
    document_id: uuid.UUID,
    deed: DocumentActivity.Deed,
    occurred_at: datetime,
    actor_id: uuid.UUID | None = None,
    request_id: str = "",
    detail: Mapping[str, Any] | None = None,
) -> DocumentActivity:
    """Write down who did what to a document. It is accepted while the documents are down.

    :param actor_id: the user who did it; None where the site did, or the holder of a link.
    :param detail: what else there is to know, as JSON; never a secret.
    :returns: the entry; it may be delivered later (`outbox.spool.add`).
    """
    return spool.add(
        DocumentActivity(
            document_id=document_id,
            actor_id=actor_id,
            deed=deed,
            detail=dict(detail or {}),
            request_id=request_id,
            occurred_at=occurred_at,
        )
    )
