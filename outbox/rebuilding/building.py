"""Build a collection anew beside the live one, compare it, and put it in the other's place.

Every step is written down in the primary before the next, so that whoever comes after a crash goes
on, or gives it up; the live collection serves all the while.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from databases.causality import use_primary
from databases.placement import alias_of
from databases.stores import copies, mongo, versioned
from databases.stores.versioned import Write
from outbox import registry, shadows
from outbox.delivery.session import Session
from outbox.events import MONGODB, version_of
from outbox.models import ProjectionState
from outbox.rebuilding.refusals import RebuildFailed, RebuildRefused
from outbox.recording import APP
from outbox.registry import Projection
from outbox.verification import Options, verify
from outbox.verification.recheck import recheck
from outbox.verification.repair import horizon

logger = logging.getLogger("outbox.rebuilding")

PAGE: Final = 1_000
SAVE_EVERY: Final = 1.0
PATIENCE: Final = 60.0
"""Seconds to wait for open transactions at the beginning, and for deliveries at the end."""
MARK: Final = "__rebuild_"
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('outbox rebuild'), hashtext(%s))"
_NEXT_ID: Final = "SELECT nextval('outbox_outboxevent_id_seq')"
_EPOCH: Final = "SELECT coalesce(max(epoch), 1) FROM outbox_deliverystate"

Step = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild did."""

    rows: int
    refused: int
    """Rows that MongoDB does not take; they are missing as they were before."""
    seconds: float


def rebuild(
    projection: Projection,
    *,
    indexes_first: bool = False,
    patience: float = PATIENCE,
    step: Step = lambda _what, _count: None,
) -> Rebuilt:
    """Build the projection's collection anew and put it in place; goes on with one that crashed.

    Writers and delivery go on. Not within a transaction of the primary.

    :param indexes_first: make indexes before the documents rather than after them.
    :param patience: seconds to wait for open transactions, and for deliveries.
    :param step: told what is being done, and how many rows are copied.
    :raises RebuildRefused: while another one runs, or a transaction stays open for too long.
    :raises RebuildFailed: when the new collection does not become what the rows are.
    :raises AliasUnavailable: when a store does not answer; run it again to go on.
    """
    begun = time.monotonic()
    with _alone(projection.name) as session, use_primary():
        building = _Building(projection, session, step)
        if not building.is_in_place():
            if not building.can_go_on():
                building.begin(patience)
            if indexes_first:
                building.index()
            building.copy()
            building.index()
            building.bring_tombstones()
            building.compare(patience)
            building.put_in_place()
        building.finish()
        return Rebuilt(
            rows=building.state.copied,
            refused=len(building.refused),
            seconds=time.monotonic() - begun,
        )


def abort(projection: Projection) -> bool:
    """Give up a rebuild that was ended; the live collection stays. False: there was none.

    :raises RebuildRefused: while it runs.
    """
    with _alone(projection.name) as session:
        building = _Building(projection, session, lambda _what, _count: None)
        if not building.state.shadow or building.is_in_place():
            return False
        building.give_up()
        return True


class _Building:
    """One rebuild, as far as it is written down."""

    def __init__(self, projection: Projection, session: Session, step: Step) -> None:
        self.projection = projection
        self.refused: set[str] = set()
        self._session = session
        self._step = step
        self.state, _ = ProjectionState.objects.using(alias_of(APP)).get_or_create(
            projection=projection.name, defaults={"schema": projection.schema}
        )

    def is_in_place(self) -> bool:
        """Tell whether an earlier one ended between the switch and writing that down."""
        identity = self.state.identity
        return bool(identity) and copies.identity(self.projection.name) == identity

    def can_go_on(self) -> bool:
        """Tell whether an earlier one's collection is there, and of the shape that is asked for."""
        state = self.state
        return (
            bool(state.identity)
            and state.shadow_schema == self.projection.schema
            and copies.identity(state.shadow) == state.identity
        )

    def begin(self, patience: float) -> None:
        """Make the second collection, have events flow to it, and settle on a version."""
        if self.state.shadow:
            self.give_up()
        self._drop_strays()
        self._step("begin", 0)
        shadow = f"{self.projection.name}{MARK}{uuid.uuid4().hex[:8]}"
        copies.create(shadow)
        self._save(
            shadow=shadow, shadow_schema=self.projection.schema, identity="", after="", copied=0,
            complete=False, version=0, began_at=timezone.now(),
        )  # fmt: skip
        time.sleep(shadows.GRACE_SECONDS)
        try:
            version = self._settled_version(patience)
        except RebuildRefused:
            self.give_up()
            raise
        self._save(version=version, identity=copies.identity(shadow))
        logger.info("outbox.rebuild.begun", extra={"projection": self.projection.name})

    def copy(self) -> None:
        """Copy every row behind the last that was copied."""
        saved = time.monotonic()
        after = self.state.after or None
        while not self.state.complete:
            ids = self.projection.page(after, PAGE)
            self._write(ids, self.state.version)
            self.state.copied += len(ids)
            self._step("copy", self.state.copied)
            if len(ids) < PAGE:
                self._save(after=ids[-1] if ids else after or "", complete=True)
            elif time.monotonic() - saved >= SAVE_EVERY:
                self._save(after=ids[-1])
                saved = time.monotonic()
            after = ids[-1] if ids else after

    def index(self) -> None:
        """Make the indexes that the live collection shall have."""
        self._step("index", self.state.copied)
        mongo.ensure_indexes_of(self.projection.name, on=self.state.shadow)

    def bring_tombstones(self) -> None:
        """Keep what refuses a late write of a deleted row: events before the copy made those."""
        copies.bring_tombstones(self.projection.name, self.state.shadow)

    def compare(self, patience: float) -> None:
        """Return when the new collection is what the rows are, but for what MongoDB refuses.

        :raises RebuildFailed: when it does not become that.
        """
        self._step("compare", self.state.copied)
        options = Options(wait=patience)
        report = verify(self.projection, options, collection=self.state.shadow)
        if report.found > len(report.differences):
            raise RebuildFailed(f"{report.found} documents differ from their rows.")
        wrong = [one.id for one in report.differences]
        if wrong:
            self._write(wrong, self._settled_version(patience))
            verdict = recheck(
                self.projection, wrong, collection=self.state.shadow,
                deadline=time.monotonic() + patience,
            )  # fmt: skip
            wrong = [one.id for one in verdict.differences if one.id not in self.refused]
            report.waiting += len(verdict.waiting)
        if wrong or report.waiting:
            raise RebuildFailed(
                f"{len(wrong)} documents differ from their rows, and {report.waiting} more have "
                "events that still wait."
            )

    def put_in_place(self) -> None:
        """Switch: readers see the old collection, or the new one, and nothing between."""
        self._step("switch", self.state.copied)
        copies.put_in_place(self.state.shadow, self.projection.name)

    def finish(self) -> None:
        """Write down that it is in place; events flow to one collection again."""
        shadow = self.state.shadow
        self._save(
            schema=self.state.shadow_schema, built_at=timezone.now(), shadow="", identity="",
            after="", complete=False,
        )  # fmt: skip
        time.sleep(shadows.GRACE_SECONDS)
        copies.drop(shadow)  # what a delivery that was under way has made of it
        logger.info(
            "outbox.rebuild.done",
            extra={"projection": self.projection.name, "rows": self.state.copied},
        )

    def give_up(self) -> None:
        """Have events flow to the live collection alone, and drop the other one."""
        shadow = self.state.shadow
        self._save(shadow="", identity="", after="", copied=0, complete=False)
        time.sleep(shadows.GRACE_SECONDS)
        copies.drop(shadow)

    def _write(self, ids: Sequence[str], version: int) -> None:
        documents = registry.load(self.projection, ids) if ids else {}
        writes = [Write(key, version, documents.get(key)) for key in ids]
        self.refused.update(versioned.write(self.state.shadow, writes, at=timezone.now()))

    def _settled_version(self, patience: float) -> int:
        """Return a version that no event is older than and will be delivered, once all have ended.

        :raises RebuildRefused: when a transaction stays open for too long.
        """
        event_id = int(self._session.run(_NEXT_ID)[0][0])
        epoch = int(self._session.run(_EPOCH)[0][0])
        passed = horizon()
        deadline = time.monotonic() + patience
        while not passed():
            if time.monotonic() >= deadline:
                raise RebuildRefused("A transaction that writes is open for too long.")
            time.sleep(0.05)
        return version_of(epoch, event_id)

    def _drop_strays(self) -> None:
        begin = f"{self.projection.name}{MARK}"
        for name in copies.names():
            if name.startswith(begin):
                copies.drop(name)

    def _save(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self.state, name, value)
        self.state.save(using=alias_of(APP))


@contextmanager
def _alone(name: str) -> Iterator[Session]:
    """Hold the projection's lock, on a connection of its own: it ends with this process."""
    if not mongo.configured():
        raise RebuildRefused("MongoDB is not configured.")
    session = Session()
    try:
        if not session.postgres:
            raise RebuildRefused("This database has no locks for it.")
        if not session.run(_LOCK, (f"{MONGODB}:{name}",))[0][0]:
            raise RebuildRefused(f"{name} is being rebuilt already.")
        yield session
    finally:
        session.close()
