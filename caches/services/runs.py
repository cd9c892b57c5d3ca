"""Runs: a seeding or refresh that somebody asked for, with its progress, for all to see.

The row says what is wanted and how far it is; the lock of seeding says who is at it. A run whose
process died is noticed by its silence, and the next one takes up what can be taken up.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import IntegrityError, router, transaction
from django.db.models import QuerySet
from django.db.utils import Error
from django.utils import timezone

from caches.models import Program, Run
from caches.services import seeding
from caches.services.seeding import Outcome, Progress, SeedingRuns, SeedReport
from caches.services.sources import choose_location
from common.failures import as_polystore_error
from common.redaction import redact
from databases.alerts import raise_alert

logger = logging.getLogger("caches.runs")

SILENT_FOR: Final = dt.timedelta(minutes=2)
"""A run that says nothing for so long is taken for dead."""
QUEUED_AT_MOST: Final = dt.timedelta(minutes=15)
"""A run that no worker took up within it makes room for another."""
LEFT_LYING: Final = dt.timedelta(minutes=1)
TOLD_EVERY: Final = dt.timedelta(seconds=1)
FAILED: Final = "zones.refresh_failed"
DIED: Final = "Its process ended before it was done."


def location() -> str:
    """Return where the zones of this site come from."""
    return choose_location(
        given="",
        configured=settings.OPPORTUNITY_ZONES_SOURCE,
        beside=Path(settings.BASE_DIR).parent / "shared" / "data",
    )


def request(*, program: str, origin: Run.Origin, at: dt.datetime, force: bool = False) -> Run:
    """Write down that a refresh is wanted, and return its row.

    :raises SeedingRuns: while another one of the program is queued or running.
    """
    release_dead(at=at)
    using = router.db_for_write(Run)
    try:
        with transaction.atomic(using=using):
            return Run.objects.using(using).create(program=program, origin=origin, force=force)
    except IntegrityError:
        active = _runs().filter(program=program, slot=1).first()
        raise SeedingRuns(
            "Another refresh is under way.", running_id=active.pk if active else None
        ) from None


def take_over(*, program: str, at: dt.datetime, force: bool) -> Run:
    """Return a run for somebody who carries it out at once: a queued one, or a new one.

    :raises SeedingRuns: while another one is running.
    """
    queued = _runs().filter(program=program, slot=1, state=Run.State.QUEUED).first()
    if queued is None:
        return request(program=program, origin=Run.Origin.COMMAND, at=at, force=force)
    queued.force = force
    queued.origin = Run.Origin.COMMAND
    queued.save(update_fields=["force", "origin"])
    return queued


def release_dead(*, at: dt.datetime) -> int:
    """End runs that are written down as under way while nobody works on them; return how many.

    A run is marked as running only by the process that holds the lock of seeding.
    """
    dead = 0
    for run in _runs().filter(slot=1):
        if run.state == Run.State.QUEUED:
            if run.requested_at < at - QUEUED_AT_MOST:
                dead += _end(run, Run.State.FAILED, error="No worker took it up.")
            continue
        held = seeding.somebody_is_at_it(Program(run.program))
        seen = run.heartbeat_at or run.requested_at
        if held is False or (held is None and seen < at - SILENT_FOR):
            dead += _end(run, Run.State.FAILED, error=DIED)
    return dead


def left_lying(*, at: dt.datetime) -> Run | None:
    """Return a run whose task was lost, or came while another process was seeding."""
    return _runs().filter(state=Run.State.QUEUED, requested_at__lt=at - LEFT_LYING).first()


def carry_out(
    run: Run,
    *,
    at: dt.datetime,
    source: str = "",
    allow_private: bool = False,
    progress: Progress | None = None,
) -> SeedReport | None:
    """Do what a run asks for, write down what became of it, and tell operators when it failed.

    :param source: instead of the site's own.
    :returns: None when another process carries it out, or has done so.
    :raises PolystoreError: what seeding raises, after it was written down.
    """
    program = Program(run.program)
    with seeding.alone(program=program, at=at):
        taken = (
            _runs()
            .filter(pk=run.pk, state=Run.State.QUEUED)
            .update(state=Run.State.RUNNING, started_at=at, heartbeat_at=at)
        )
        if not taken:
            return None
        try:
            report = seeding.seed_alone(
                location=source or location(),
                at=at,
                program=program,
                force=run.force,
                allow_private=allow_private or settings.OPPORTUNITY_ZONES_ALLOW_PRIVATE,
                progress=_Written(run, progress or Progress()),
            )
        except BaseException as error:
            _failed(run, error)
            raise
        unchanged = report.outcome is Outcome.UNCHANGED
        _end(
            run,
            Run.State.UNCHANGED if unchanged else Run.State.DONE,
            source=report.source,
            rows_written=report.rows_written,
        )
    _tell(run.program, "")
    return report


def _failed(run: Run, error: BaseException) -> None:
    reason = _reason(error)
    try:
        _end(run, Run.State.FAILED, error=reason)
    except Error:
        # The database is gone: the next look finds that nobody works on it.
        logger.warning("zones.run.not_ended", extra={"id": str(run.pk)})
    if not isinstance(error, KeyboardInterrupt | SystemExit):
        _tell(run.program, reason)


def fail(run: Run, *, error: str) -> None:
    """Write down that a run could not even begin."""
    _end(run, Run.State.FAILED, error=error)


def find(run_id: uuid.UUID) -> Run | None:
    """Return a run, None when there is none."""
    return _runs().filter(pk=run_id).first()


class _Written(Progress):
    """Writes progress into the run's row, once a second and where a part begins; hands it on."""

    def __init__(self, run: Run, onward: Progress) -> None:
        self._run = run
        self._onward = onward
        self._written_at = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._news: dict[str, object] = {}
        self._names_states = False

    def stage(self, name: str) -> None:
        """Say what is being done now."""
        self._onward.stage(name)
        self._note(stage=name[:60], done=0, total=0, at_once=True)

    def wrote(self, done: int, total: int) -> None:
        """Say how many zones are written."""
        self._onward.wrote(done, total)
        self._note(done=done, total=total)

    def fetched(self, done: int, total: int) -> None:
        """Say how many features are fetched."""
        self._onward.fetched(done, total)
        self._note(done=done, total=total)

    def stored(self, by_state: Mapping[str, tuple[int, int]]) -> None:
        """Say how many zones of each state are stored."""
        self._onward.stored(by_state)
        states = {fips: list(counts) for fips, counts in by_state.items()}
        self._note(states=states, at_once=not self._names_states)
        self._names_states = True

    def _note(self, *, at_once: bool = False, **news: object) -> None:
        self._news |= news
        now = timezone.now()
        if at_once or now - self._written_at >= TOLD_EVERY:
            _runs().filter(pk=self._run.pk, slot=1).update(heartbeat_at=now, **self._news)
            self._written_at, self._news = now, {}


def _end(run: Run, state: Run.State, **told: object) -> int:
    ended = (
        _runs()
        .filter(pk=run.pk, slot=1)
        .update(state=state, slot=None, ended_at=timezone.now(), **told)
    )
    logger.info("zones.run.ended", extra={"id": str(run.pk), "state": str(state)})
    return ended


def _reason(error: BaseException) -> str:
    known = as_polystore_error(error)
    if known is None:
        return type(error).__name__
    return f"{redact(known.detail)} {known.remedy}".strip()


def _tell(program: str, reason: str) -> None:
    raise_alert(
        code=FAILED,
        severity="warning",
        title=f"The refresh of {program} "
        + ("failed" if reason else "succeeded: the zones are fresh again"),
        detail=f"{reason} The zones of before answer on." if reason else "Nothing is left to do.",
        store=program,
        recovered=not reason,
    )


def _runs() -> QuerySet[Run]:
    return Run.objects.using(router.db_for_write(Run))
