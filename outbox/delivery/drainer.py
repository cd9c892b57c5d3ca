"""The loop: claim, deliver, settle; share the shards; wait where there is reason to."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from databases.breaker import AliasUnavailable
from databases.stores import mongo
from outbox.delivery import consuming, projecting
from outbox.delivery.claims import Claim, Claims
from outbox.delivery.outcome import Claimed, Delivered, Results
from outbox.delivery.projecting import Prepared
from outbox.delivery.session import Session
from outbox.delivery.settling import Settling
from outbox.delivery.shards import Shards
from outbox.delivery.state import State, enter_epoch, state_of
from outbox.events import MONGODB

logger = logging.getLogger("outbox.delivery")

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the state, the shares, and retries that are due."""
FIRST_POLL: Final = 0.001
LAST_POLL: Final = 0.02
BETWEEN: Final = 0.02
"""Seconds from one batch that was not full to the next, of a drainer that lingers: what comes
meanwhile makes one batch of many, and writers keep their processors."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
"""Seconds that delivery waits for a sink that is away."""

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When a drainer ends."""

    idle: float
    """Seconds without anything to deliver."""
    total: float
    """Seconds altogether; what is in hand is finished."""
    stop: Stop = lambda: False


@dataclass(frozen=True, slots=True)
class _Batch:
    prepared: Prepared
    claim: Claim | None = None
    """None for retries."""


ONCE: Final = Patience(idle=0.0, total=float("inf"))


class Drainer:
    """Delivers the events of one sink, over one session."""

    def __init__(self, session: Session, sink: str) -> None:
        """Own no shard yet.

        :raises databases.breaker.AliasUnavailable: while a new epoch cannot begin.
        """
        self.sink = sink
        self._session = session
        self._shards = Shards(session, sink)
        self._claims = Claims(session, sink, batch=settings.OUTBOX_BATCH_SIZE)
        self._settling = Settling(session, sink)
        self._state = State()
        self._looked = float("-inf")
        self._ahead: _Batch | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix=f"outbox-{sink}")
        self._pause = FIRST_PAUSE
        enter_epoch(session)

    def run(self, patience: Patience, *, worker: str | None = None) -> Delivered:
        """Deliver until `patience` ends.

        :param worker: whose other processes need not drain the same sink beside this one.
        :returns: what was done, and why it ended early if it did.
        :raises psycopg.OperationalError: when the session is lost; what was in hand comes again.
        """
        total = Delivered()
        if not self._shards.join(worker=worker):
            total.reason = "elsewhere"
            return total
        try:
            return self._run(patience, total)
        finally:
            self._beside.shutdown()

    def _run(self, patience: Patience, total: Delivered) -> Delivered:
        begun = worked = time.monotonic()
        poll = FIRST_POLL
        while True:
            total.reason = ""
            stepped = time.monotonic()
            done = self._step()
            total.add(done)
            now = time.monotonic()
            if done.batches and not done.reason:
                worked, poll = now, FIRST_POLL
            elif now - worked >= patience.idle:
                return total
            if now - begun >= patience.total or patience.stop():
                return total
            if done.reason:
                time.sleep(self._longer_pause())
            elif done.batches and patience.idle and self._ahead is None:
                time.sleep(max(0.0, stepped + BETWEEN - now))
            elif not done.batches:
                time.sleep(poll)
                poll = min(LAST_POLL, poll * 2)

    def _step(self) -> Delivered:
        """Deliver at most one batch, and the retries that are due."""
        retries = self._look()
        if retries:
            self._ahead = None  # its rows are older than those that will be shown by the retries
        if reason := self._hindered():
            self._ahead = None
            return Delivered(reason=reason)
        delivered = self._deliver(_Batch(self._prepared(retries))) if retries else Delivered()
        batch = self._next() if not delivered.reason else None
        if batch is not None:
            delivered.add(self._deliver(batch))
        if not delivered.reason:
            self._pause = FIRST_PAUSE
        return delivered

    def _look(self) -> list[Claimed]:
        """Now and then: what is the state, which shards are ours, which retries are due."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return []
        self._looked = now
        self._enter(state_of(self._session))
        change = self._shards.balance()
        if change.lost:
            self._ahead = None  # its events may be somebody else's now
        if change.new:
            self._claims.forget(change.new)
            self._settling.look()
        if self._state.paused or not self._shards.owned:
            return []
        return self._claims.due(self._shards.owned)

    def _enter(self, state: State) -> None:
        if state.epoch != self._state.epoch:
            self._ahead = None
            self._claims.enter(state.epoch)
        self._state = state

    def _hindered(self) -> str:
        """Return why nothing can be delivered now, or ""."""
        if self._state.paused:
            return "paused"
        if not self._shards.owned:
            return "elsewhere"
        if self.sink == MONGODB:
            try:
                mongo.breaker().require()
            except AliasUnavailable as error:
                return error.store
        return ""

    def _next(self) -> _Batch | None:
        """Return the next batch, prepared; None when nothing waits."""
        if self._ahead is not None:
            batch, self._ahead = self._ahead, None
            return batch
        return self._claimed()

    def _claimed(self, besides: Sequence[Claimed] = ()) -> _Batch | None:
        claim = self._claims.new(self._shards.rotated(), besides=besides)
        if claim.hindered:
            self._looked = float("-inf")
            return None
        if not claim.events:
            if not besides:
                self._claims.settled(claim)
            return None
        if claim.full:
            self._shards.read_up_to(claim.events[-1].shard)
        return _Batch(self._prepared(claim.events), claim)

    def _prepared(self, events: Sequence[Claimed]) -> Prepared:
        if self.sink == MONGODB:
            return projecting.prepare(events, epoch=self._state.epoch)
        return Prepared(events, {})

    def _deliver(self, batch: _Batch) -> Delivered:
        started = time.monotonic()
        if batch.claim is not None and batch.claim.full and self.sink == MONGODB:
            # The rows of the next batch are read while MongoDB writes those of this one.
            writing = self._beside.submit(projecting.write, batch.prepared)
            try:
                self._ahead = self._claimed(besides=batch.prepared.claimed)
            finally:
                results = writing.result()
        elif self.sink == MONGODB:
            results = projecting.write(batch.prepared)
        else:
            events = batch.prepared.claimed
            results = consuming.deliver(events, sink=self.sink, epoch=self._state.epoch)
        return self._settle(batch, results, started)

    def _settle(self, batch: _Batch, results: Results, started: float) -> Delivered:
        if results.outage:
            self._ahead = None
            return Delivered(reason=results.outage)
        delivered = self._settling.settle(
            results, waited=time.monotonic() - started, epoch=self._state.epoch
        )
        if batch.claim is not None:
            self._claims.settled(batch.claim)
        return delivered

    def _longer_pause(self) -> float:
        pause, self._pause = self._pause, min(LONGEST_PAUSE, self._pause * 2)
        return pause * random.uniform(0.5, 1.0)
