"""What is kept of people here: their large batches, for a day. Geocoded addresses are nobody's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import delete_rows_of, rows_of, rows_where
from caches.models import LookupChunk, LookupJob


def forget_person(leaver: Leaver) -> None:
    """Delete the batches, and with them their points and addresses."""
    delete_rows_of(LookupJob, "owner", user_id=leaver.user_id)


def _chunks(user_id: UUID) -> Iterator[Mapping[str, Any]]:
    return rows_where(LookupChunk, Q(job__owner=user_id))


HOLDER: Final = Holder(
    app_label="caches",
    sections={
        "zoneBatches": lambda user_id: rows_of(LookupJob, "owner", user_id=user_id),
        "zoneBatchAnswers": _chunks,
    },
    forget=forget_person,
)
