"""What can be done to imports."""

from __future__ import annotations

from datetime import datetime

from workspace.models import ImportBatch
from workspace.querysets import ImportBatchQuerySet


def cancel_imports(*, batches: ImportBatchQuerySet, at: datetime) -> int:
    """Cancel imports that are not finished; the worker stops before its next rows.

    :param at: now.
    :returns: how many were unfinished until now.
    """
    return batches.unfinished().update(status=ImportBatch.Status.CANCELED, finished_at=at)
