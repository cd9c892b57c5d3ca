"""The loop: claim, deliver, settle; share the shards; wait where there is reason to."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from databases.stores import mongo
from outbox.delivery import consuming, projecting
from outbox.delivery.claims import Claims
from outbox.delivery.measuring import count
from outbox.delivery.outcome import Claimed, Delivered, Results
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
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
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
        self._looked = 0.0
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
        begun = worked = time.monotonic()
        poll = FIRST_POLL
        while True:
            total.reason = ""
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
            elif not done.batches:
                time.sleep(poll)
                poll = min(LAST_POLL, poll * 2)

    def _step(self) -> Delivered:
        """Deliver at most one batch."""
        retries = self._look()
        if self._state.paused:
            return Delivered(reason="paused")
        if not self._shards.owned:
            return Delivered(reason="elsewhere")
        if self.sink == MONGODB and mongo.breaker().is_open:
            return Delivered(reason=mongo.STORE)
        delivered = Delivered()
        if retries:
            delivered.add(self._deliver(retries))
        claimed = [] if delivered.reason else self._claims.new(self._shards.rotated())
        if claimed:
            delivered.add(self._deliver(claimed))
        if not delivered.reason:
            self._claims.settled()
            self._pause = FIRST_PAUSE
        return delivered

    def _look(self) -> list[Claimed]:
        """Now and then: what is the state, which shards are ours, which retries are due."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return []
        self._looked = now
        self._state = state_of(self._session)
        new = self._shards.balance()
        if new:
            self._claims.forget(new)
            self._settling.look()
        if self._state.paused or not self._shards.owned:
            return []
        return self._claims.due(self._shards.owned)

    def _deliver(self, claimed: list[Claimed]) -> Delivered:
        started = time.monotonic()
        results = self._results(claimed)
        if results.outage:
            return Delivered(reason=results.outage)
        acknowledged = time.monotonic() - started
        delivered = self._settling.settle(results)
        count(self.sink, results, delivered, waited=acknowledged)
        return delivered

    def _results(self, claimed: list[Claimed]) -> Results:
        if self.sink == MONGODB:
            return projecting.deliver(claimed, epoch=self._state.epoch)
        return consuming.deliver(claimed, sink=self.sink, epoch=self._state.epoch)

    def _longer_pause(self) -> float:
        pause, self._pause = self._pause, min(LONGEST_PAUSE, self._pause * 2)
        return pause * random.uniform(0.5, 1.0)
