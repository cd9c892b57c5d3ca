"""Tasks: a backup that was asked for, and the schedule of backups."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from common.errors import PolystoreError
from databases.backup import history, keeping
from databases.backup.history import BackupUnderWay, Origin

logger = logging.getLogger("databases.backup")


@shared_task(name="databases.run_backup", acks_late=False)
def run_backup(*, run_id: str, **_later_arguments: Any) -> str:
    """Make the backup of a run; what fails is written down in its row and told to operators."""
    try:
        made = keeping.carry_out(uuid.UUID(run_id), at=timezone.now())
    except PolystoreError as error:
        logger.warning("backup.failed", extra={"id": run_id, "code": error.code})
        return "failed"
    return "done" if made is not None else "nothing to do"


@shared_task(name="databases.look_after_backups", acks_late=False)
def look_after_backups(**_later_arguments: Any) -> str:
    """Make a backup when one is due; else remove old ones and look at the age of the last."""
    if not settings.BACKUP_DIR:
        return "not configured"
    at = timezone.now()
    if keeping.is_due(at=at):
        try:
            run = history.request(origin=Origin.SCHEDULE, at=at)
        except BackupUnderWay:
            return "under way"
        return run_backup(run_id=str(run.pk))
    history.release_dead(at=at)
    keeping.remove_old(keeping.home(), keep=settings.BACKUP_KEEP)
    return "too old" if keeping.tell_age(at=at) else "fine"
