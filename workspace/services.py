"""What can be done to imports."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from accounts.leaving.registry import Holder
from accounts.leaving.rows import rows_of
from workspace.models import ImportBatch
from workspace.querysets import ImportBatchQuerySet


def cancel_imports(*, batches: ImportBatchQuerySet, at: datetime) -> int:
    """Cancel imports that are not finished; the worker stops before its next rows.

    :param at: now.
    :returns: how many were unfinished until now.
    """
    return batches.unfinished().update(status=ImportBatch.Status.CANCELED, finished_at=at)


HOLDER: Final = Holder(
    app_label="workspace",
    # Imports are the customer's: they stay, and the id in them means nobody any more.
    sections={
        "imports": lambda user_id: rows_of(ImportBatch, "created_by_id", user_id=user_id),
    },
)
