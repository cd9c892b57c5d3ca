"""Which backups there were, in the primary: one at a time, and none that is forgotten."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from common.errors import PolystoreError
from common.failures import as_polystore_error
from common.redaction import redact
from databases.aliases import PRIMARY
from databases.backup import targets
from databases.backup.manifest import Manifest
from databases.models import BackupRun

logger = logging.getLogger("databases.backup")

LOCK_KEY: Final = 0x70736261
QUEUED_AT_MOST: Final = timedelta(hours=1)
"""A run that no worker took up within it makes room for another."""
State = BackupRun.State
Origin = BackupRun.Origin


class BackupUnderWay(PolystoreError):
    """Another backup is queued or running."""

    code = "backups.under_way"
    status = 409
    title = "A backup is under way"
    remedy = "Wait until it has ended; GET /api/backup/{id} tells its state."


def request(
    *, origin: BackupRun.Origin, at: datetime, requested_by: uuid.UUID | None = None
) -> BackupRun:
    """Write down that a backup is wanted, and return its row.

    :raises BackupUnderWay: while another one is queued or running; its id is in `runningId`.
    """
    release_dead(at=at)
    try:
        with transaction.atomic(using=PRIMARY):
            return _runs().create(origin=origin, requested_by=requested_by, slot=1)
    except IntegrityError:
        active = _runs().filter(slot=1).first()
        raise BackupUnderWay(
            "Another backup is under way.", running_id=active.id if active else None
        ) from None


def release_dead(*, at: datetime) -> None:
    """End the run that is written down as active while nobody works on it any more."""
    active = _runs().filter(slot=1).first()
    if active is None:
        return
    if active.state == State.QUEUED:
        if active.requested_at < at - QUEUED_AT_MOST:
            _end(active, State.FAILED, error="No worker took it up.")
    elif not _is_locked():
        _end(active, State.FAILED, error="The process that made it ended before it was done.")


def carry_out(
    run: BackupRun, folder: Path, work: Callable[[], Manifest], *, at: datetime
) -> Manifest | None:
    """Do the work of a run and write down what became of it.

    :returns: None when another process carries it out, or has done so.
    :raises Exception: what `work` raises, after it was written down.
    """
    with _lock() as locked:
        taken = locked and _runs().filter(pk=run.pk, state=State.QUEUED).update(
            state=State.RUNNING, started_at=at, folder=str(folder)
        )
        if not taken:
            return None
        run.refresh_from_db(using=PRIMARY)
        try:
            made = work()
        except BaseException as error:
            _end(run, State.FAILED, error=reason_of(error))
            raise
        _end(run, State.DONE, size=made.size, stores=", ".join(made.stores))
    return made


def fail(run: BackupRun, *, error: str) -> None:
    """Write down that a run could not even begin."""
    _end(run, State.FAILED, error=error)


def find(run_id: uuid.UUID) -> BackupRun | None:
    """Return a run, None when there is none."""
    return _runs().filter(pk=run_id).first()


def is_active() -> bool:
    """Tell whether a backup is queued or running."""
    return _runs().filter(slot=1).exists()


def last_attempt() -> BackupRun | None:
    """Return the newest run that nobody asked a command for."""
    return _runs().exclude(origin=Origin.COMMAND).first()


def _end(
    run: BackupRun,
    state: BackupRun.State,
    *,
    error: str = "",
    size: int | None = None,
    stores: str = "",
) -> None:
    _runs().filter(pk=run.pk, slot=1).update(
        state=state,
        slot=None,
        ended_at=timezone.now(),
        error=error,
        size_bytes=size,
        stores=stores,
    )
    logger.info("backup.ended", extra={"id": str(run.pk), "state": str(state), "error": error})


def reason_of(error: BaseException) -> str:
    """Return why a backup failed, without secrets."""
    known = as_polystore_error(error)
    if known is not None:
        return f"{redact(known.detail)} {known.remedy}".strip()
    return type(error).__name__


@contextmanager
def _lock() -> Iterator[bool]:
    """Hold the lock of the running backup in a session of its own, which ends with the process."""
    with targets.target_of(PRIMARY.value).connect() as session:
        yield _taken(session)


def _is_locked() -> bool:
    """Look without taking it: a run that begins at this moment must not find it taken."""
    with targets.target_of(PRIMARY.value).connect() as session:
        row = session.execute(
            "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = 0"
            " AND l.objid = %s AND d.datname = current_database())",
            [LOCK_KEY],
        ).fetchone()
        return bool(row and row[0])


def _taken(session: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = session.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone()
    return bool(row and row[0])


def _runs() -> QuerySet[BackupRun]:
    return BackupRun.objects.using(PRIMARY)
