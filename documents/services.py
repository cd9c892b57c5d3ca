"""What can be done to documents and shares, and how it is written down who did it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.core.files.storage import default_storage
from django.db.models import Q

from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import delete_rows_of, rows_of, some_keys
from databases.transactions import atomic_for
from documents.models import Document, DocumentActivity, DocumentShare, DocumentVersion
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


def forget_person(leaver: Leaver) -> None:
    """Delete a person's own documents with their files, and what was shared with them.

    Documents of a business entity are not theirs alone: they stay, and the ids in them mean nobody
    any more.
    """
    delete_rows_of(DocumentShare, "recipient_id", user_id=leaver.user_id)
    own = Q(owner_id=leaver.user_id, customer_id=None)
    for keys in some_keys(Document, own):
        erase_documents(keys)


def erase_documents(ids: Sequence[uuid.UUID]) -> None:
    """Delete these documents for good: files, versions and rows.

    Files go first, by what the rows say: whoever is interrupted finds the rows again, and no file
    is left that nobody knows of. A version that is added meanwhile has its file deleted, too.

    :raises OSError: or what else the file storage says; done again, it goes on.
    """
    removed: set[str] = set()
    while True:
        versions = DocumentVersion.objects.filter(document_id__in=ids)
        for storage_key in versions.values_list("storage_key", flat=True):
            if storage_key not in removed:
                default_storage.delete(storage_key)
                removed.add(storage_key)
        with atomic_for("documents"):
            # Nobody adds a version to a document whose row is held.
            held = Document.objects.filter(pk__in=ids).order_by("pk").select_for_update()
            list(held.values_list("pk", flat=True))
            now = set(versions.all().values_list("storage_key", flat=True))
            if now <= removed:
                Document.objects.filter(pk__in=ids).delete()
                return


HOLDER: Final = Holder(
    app_label="documents",
    sections={
        "documents": lambda user_id: rows_of(Document, "owner_id", user_id=user_id),
        "versions": lambda user_id: rows_of(
            DocumentVersion, "uploaded_by_id", user_id=user_id, without=("storage_key",)
        ),
        "shares": lambda user_id: rows_of(
            DocumentShare,
            *("recipient_id", "shared_by_id"),
            user_id=user_id,
            without=("token_sha256",),
        ),
        "activity": lambda user_id: rows_of(DocumentActivity, "actor_id", user_id=user_id),
    },
    forget=forget_person,
)
