"""What can be done to documents and shares."""

from __future__ import annotations

from datetime import datetime

from documents.models import Document
from documents.querysets import DocumentQuerySet, DocumentShareQuerySet


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
