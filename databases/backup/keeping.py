"""The backups in BACKUP_DIR: which are good, which go, when the next is due, whom to tell."""

from __future__ import annotations

import contextlib
import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.utils import Error

from common.errors import PolystoreError
from databases.alerts import raise_alert
from databases.backup import history, making, manifest
from databases.backup.manifest import Manifest, NoBackup
from databases.models import BackupRun

logger = logging.getLogger("databases.backup")

TOO_OLD: Final = "backups.too_old"
FAILED: Final = "backups.failed"
RETRY_AFTER: Final = timedelta(hours=1)
"""Between a scheduled backup that failed and the next try."""
_NAME: Final = re.compile(r"polystore-\d{8}T\d{6}Z-[0-9a-f]{8}")
_LEFT: Final = (making.PARTIAL, making.REMOVING)


class BackupsNotConfigured(PolystoreError):
    """There is no folder for backups."""

    code = "backups.not_configured"
    status = 503
    title = "Backups are not configured"
    remedy = "Set BACKUP_DIR to a folder that web and workers may write to."


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A good backup of the whole site."""

    folder: Path
    manifest: Manifest

    @property
    def started_at(self) -> datetime:
        """Return the moment from which on changes may be missing in it."""
        return datetime.fromisoformat(self.manifest.started_at)


def home() -> Path:
    """Return the folder that backups are made in.

    :raises BackupsNotConfigured: without BACKUP_DIR.
    """
    if not settings.BACKUP_DIR:
        raise BackupsNotConfigured("BACKUP_DIR is not set.")
    return Path(settings.BACKUP_DIR)


def folder_for(run: BackupRun, *, at: datetime) -> Path:
    """Return where a run's backup goes: names sort by time."""
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    return home() / f"polystore-{stamp}-{run.pk.hex[-8:]}"


def good(folder: Path) -> list[Kept]:
    """Return the whole, finished backups of the site in a folder, the newest first.

    Files are looked at by name and size; `restore --check` reads them.
    """
    found: list[Kept] = []
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not _NAME.fullmatch(each.name):
            continue
        with contextlib.suppress(NoBackup, OSError):
            known = manifest.read(each)
            if known.whole and all(
                (each / entry.path).stat().st_size == entry.size for entry in known.files
            ):
                found.append(Kept(folder=each, manifest=known))
    return sorted(found, key=lambda kept: kept.started_at, reverse=True)


def is_due(*, at: datetime) -> bool:
    """Tell whether a scheduled backup shall begin."""
    if not (settings.BACKUP_DIR and settings.BACKUP_EVERY_HOURS):
        return False
    every = timedelta(hours=settings.BACKUP_EVERY_HOURS)
    newest = next(iter(good(home())), None)
    if newest is not None and at < newest.started_at + every:
        return False
    last = history.last_attempt()
    if last is None or last.state == BackupRun.State.DONE:
        return True
    return last.ended_at is not None and at >= last.ended_at + min(every, RETRY_AFTER)


def remove_old(folder: Path, *, keep: int) -> list[Path]:
    """Remove good backups beyond the newest `keep`, and what ended processes left.

    The last good one always stays, and so does whatever has another name.
    """
    gone = [kept.folder for kept in good(folder)[max(1, keep) :]]
    for each in gone:
        making.remove(each)
        logger.info("backup.removed", extra={"backup": each.name})
    if history.is_active():
        return gone  # it may have made its folder at this moment
    making.sweep(folder, [each for each in _left(folder) if not making.is_being_written(each)])
    return gone


def _left(folder: Path) -> Sequence[Path]:
    return [
        each
        for each in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if each.name.endswith(_LEFT) and _NAME.fullmatch(each.name.rpartition(".")[0])
    ]


def carry_out(run_id: uuid.UUID, *, at: datetime) -> Manifest | None:
    """Make the backup of a run that was asked for, then remove old ones and tell people.

    :returns: None when there is nothing to do: another process does it, or has done it.
    :raises PolystoreError: when it fails; that was written down and told.
    """
    run = history.find(run_id)
    if run is None:
        return None
    try:
        folder = folder_for(run, at=at)
        made = history.carry_out(run, folder, lambda: making.make(folder), at=at)
    except Exception as error:
        tell_failure(error)
        with contextlib.suppress(Error):
            history.fail(run, error=history.reason_of(error))  # where it did not even begin
        raise
    if made is not None:
        remove_old(home(), keep=settings.BACKUP_KEEP)
        tell_success()
        tell_age(at=at)
    return made


def tell_failure(error: BaseException) -> None:
    """Alert operators: a backup failed. The driver's and programs' words stay in the history."""
    kind = getattr(error, "title", "") or type(error).__name__
    raise_alert(
        code=FAILED,
        severity="critical",
        title="A backup failed",
        detail=f"{kind}. The history of backups in the admin has the reason; the backups that "
        "were made before are untouched.",
    )


def tell_success() -> None:
    """Tell that backups are made again, where it was told that one failed."""
    raise_alert(
        code=FAILED,
        severity="critical",
        title="A backup was made again",
        detail="The newest backup is complete.",
        recovered=True,
    )


def tell_age(*, at: datetime) -> bool:
    """Alert operators when the last good backup is too old, or that there is a new one again.

    :returns: True while it is too old.
    """
    if not (settings.BACKUP_DIR and settings.BACKUP_MAX_AGE_HOURS):
        return False
    newest = next(iter(good(home())), None)
    most = timedelta(hours=settings.BACKUP_MAX_AGE_HOURS)
    old = newest is None or newest.started_at < at - most
    when = newest.started_at.isoformat(timespec="minutes") if newest is not None else "never"
    raise_alert(
        code=TOO_OLD,
        severity="critical",
        title="The last backup is too old" if old else "There is a recent backup again",
        detail=f"The last good backup of the whole site: {when}. It should be no older than "
        f"{settings.BACKUP_MAX_AGE_HOURS} hours.",
        recovered=not old,
    )
    return old
