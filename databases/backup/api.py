"""The backup endpoints."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final, Literal

from celery import current_app
from celery.exceptions import OperationalError
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from common.access import identify, staff
from common.errors import PolystoreError
from common.failures import NotFound
from common.schemas import AnswerSchema
from databases.backup import history, keeping
from databases.backup.history import Origin
from databases.models import BackupRun

router = Router(tags=["backup"])

TASK: Final = "databases.run_backup"


class NobodyToAsk(PolystoreError):
    """The task could not be handed over: the broker does not answer."""

    code, status, title = "backups.no_broker", 503, "No worker can be asked"
    remedy = "Start the broker (REDIS_URL, CELERY_BROKER_URL), or run `manage.py backup DIR`."
    retry_after = 10


class BackupAnswer(AnswerSchema):
    """One backup and where it stands."""

    id: uuid.UUID
    state: Literal["queued", "running", "done", "failed"]
    origin: Literal["api", "schedule", "command"]
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    stores: list[str]
    size_bytes: int | None
    error: str


@router.post("/full", response={202: BackupAnswer})
@staff("backups")
def back_up(request: HttpRequest) -> Any:
    """Start a backup of every database into BACKUP_DIR; its id tells its state later on."""
    keeping.home()
    caller = identify(request)
    user = caller.user if caller is not None else None
    run = history.request(
        origin=Origin.API,
        at=timezone.now(),
        requested_by=user.pk if user is not None else None,
    )
    try:
        current_app.send_task(TASK, kwargs={"run_id": str(run.pk)}, retry=False)
    except (OperationalError, OSError) as error:
        history.fail(run, error="The broker did not take the task.")
        raise NobodyToAsk("The broker did not take the task.") from error
    run.refresh_from_db()
    return Status(202, _answer(run))


@router.get("/{run_id}", response=BackupAnswer)
@staff("backups")
def backup_state(request: HttpRequest, run_id: uuid.UUID) -> BackupAnswer:
    """Return where a backup stands."""
    history.release_dead(at=timezone.now())
    run = history.find(run_id)
    if run is None:
        raise NotFound("There is no such backup.")
    return _answer(run)


def _answer(run: BackupRun) -> BackupAnswer:
    return BackupAnswer.model_validate(
        {
            **{name: getattr(run, name) for name in BackupAnswer.model_fields},
            "stores": [name for name in run.stores.split(", ") if name],
        }
    )
