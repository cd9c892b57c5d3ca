"""Which replica may serve this read? Decided without waiting, and without a query when possible.

A read goes to a replica only when that replica has replayed what its caller wrote (the gate), and
is a living copy: in recovery, connected to its primary, and not far behind. See
`docs/replicas.md`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connections

from databases import breaker as breakers
from databases.aliases import is_replica, primary_of
from databases.causality import CausalState
from databases.probe import ProbeFailed, Session, conninfo_of

CHECK_EVERY = 0.005
"""Seconds between two checks of one replica for a caller whose token it is not known to have."""
CHECK_SECONDS = 0.1
HEALTH_EVERY = 1.0
"""Seconds between two looks at a replica's health while reads ask for it."""
SAMPLE_EVERY = 0.5
SAMPLES = 64
MAX_LAG_SECONDS = 10.0
DOWN = "down"
CUT_OFF = "cut off"
NOT_REPLAYED = "has not replayed the caller's write"
NOT_LOOKED_AT = "not looked at yet"
MAX_LAG_BYTES = 64 * 1024 * 1024
"""A replica further behind is left alone also by callers who wrote nothing."""

HEALTH_SQL = """
SELECT pg_is_in_recovery()::int,
       (COALESCE(pg_last_wal_replay_lsn(), '0/0') - '0/0')::bigint,
       (COALESCE(pg_last_wal_receive_lsn(), '0/0') - '0/0')::bigint,
       COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0),
       (SELECT count(*) FROM pg_stat_wal_receiver)
"""
PRIMARY_SQL = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """What operators see of a replica."""

    alias: str
    usable: bool
    reason: str
    """Why it is left alone, or an empty string."""
    replayed: int
    """WAL position that it has replayed, in bytes."""
    lag_bytes: int
    lag_seconds: float
    region: str


class Replica:
    """One streaming copy as this process knows it."""

    def __init__(self, alias: str) -> None:
        """Know nothing yet: the first read that asks looks."""
        self.alias = alias
        self.primary = primary_of(alias)
        self.skipped: Counter[str] = Counter()
        """Why reads did not come here."""
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget the sessions, locks and knowledge of the parent process."""
        self.replayed = 0
        self.received = 0
        self.lag_seconds = 0.0
        self._stands_still = True
        self.reason = NOT_LOOKED_AT
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._primary_session: Session | None = None
        self._checked_at = 0.0
        self._looked_at = 0.0
        self._positions: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    @property
    def settings(self) -> dict[str, Any]:
        """Return its DATABASES entry."""
        entry: dict[str, Any] = connections.settings[self.alias]
        return entry

    @property
    def is_down(self) -> bool:
        """Tell whether it does not answer at all."""
        breaker = breakers.get(self.alias)
        return self.reason.startswith(DOWN) or (breaker is not None and breaker.is_open)

    def may_serve(self, position: int) -> bool:
        """Tell whether a caller who must see the WAL up to `position` may read here.

        Costs no query while the replica is known to be well and to have passed the position;
        otherwise at most one check per CHECK_EVERY, by one caller, bounded by CHECK_SECONDS.
        """
        breaker = breakers.get(self.alias)
        if breaker is not None and breaker.is_open:
            return self._skip(DOWN)
        now = time.monotonic()
        if now - self._looked_at > HEALTH_EVERY or (
            not self.reason and position > self.replayed and now - self._checked_at > CHECK_EVERY
        ):
            self._check(now)
        if self.reason and not self._stands_in():
            return self._skip(self.reason.partition(":")[0])
        if position > self.replayed:
            return self._skip(NOT_REPLAYED)
        return True

    def _stands_in(self) -> bool:
        """Tell whether it is cut off because its primary is down, and has all that one had.

        Then nobody can write, and it shows the newest rows there are.
        """
        breaker = breakers.get(self.primary)
        return (
            self.reason.startswith(CUT_OFF)
            and breaker is not None
            and breaker.is_open
            and bool(self._positions)
            and self.replayed >= self._positions[-1][1]
        )

    @property
    def why_not(self) -> str:
        """Tell in a few fixed words why it did not serve a caller just now."""
        if self.is_down:
            return DOWN
        return self.reason.partition(":")[0] or NOT_REPLAYED

    def state(self) -> ReplicaState:
        """Return what operators see, as of the last look."""
        newest = self._positions[-1][1] if self._positions else self.received
        breaker = breakers.get(self.alias)
        reason = self.reason
        if breaker is not None and breaker.is_open:
            reason = f"{DOWN}: {breaker.state().reason}"
        return ReplicaState(
            alias=self.alias,
            usable=not reason,
            reason=reason,
            replayed=self.replayed,
            lag_bytes=max(0, newest - self.replayed),
            lag_seconds=self.lag_seconds,
            region=self.settings["POLYSTORE"]["region"],
        )

    def look(self) -> ReplicaState:
        """Look now, for a command or a page, and return what was seen."""
        with self._lock:
            self._ask(newest=True)
        return self.state()

    def close(self) -> None:
        """End the sessions with the replica and its primary; the next look opens new ones."""
        with self._lock:
            self._lose_session()
            self._lose_primary_session()

    def _skip(self, reason: str) -> bool:
        self.skipped[reason] += 1
        return False

    def _check(self, now: float) -> None:
        """Look at the replica, unless another thread does so right now."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._ask()
        finally:
            self._checked_at = self._looked_at = now
            self._lock.release()

    def _ask(self, *, newest: bool = False) -> None:
        started = time.monotonic()
        try:
            if self._session is None:
                self._session = Session(conninfo_of(self.settings), timeout=CHECK_SECONDS)
            remaining = max(0.01, CHECK_SECONDS - (time.monotonic() - started))
            (row,) = self._session.query(HEALTH_SQL, timeout=remaining)
        except ProbeFailed as failed:
            self._lose_session()
            self._judge_silence(failed)
            return
        recovering, replayed, received, seconds, receivers = (float(value or 0) for value in row)
        self._sample_primary(at_once=newest or not receivers)
        self._stands_still = int(replayed) <= self.replayed or self.replayed == 0
        self.replayed = int(replayed) if recovering else 0
        self.received = int(received)
        self.lag_seconds = seconds if received != replayed else 0.0
        self.reason = self._judge(recovering=bool(recovering), receivers=int(receivers))

    def _judge_silence(self, failed: ProbeFailed) -> None:
        self.reason = f"{DOWN}: {' '.join(failed.reason.split())[:200]}"
        wrapper_breaker = breakers.get(self.alias)
        if wrapper_breaker is not None:
            wrapper_breaker.suspect(failed.reason)

    def _judge(self, *, recovering: bool, receivers: int) -> str:
        """Return why the replica must be left alone, or an empty string."""
        if not recovering:
            return "promoted: it is a primary of its own now"
        if not receivers:
            return f"{CUT_OFF}: it receives nothing from its primary"
        behind = self._bytes_behind()
        if behind > MAX_LAG_BYTES or self._seconds_behind() > MAX_LAG_SECONDS or self._stuck():
            return f"behind: {behind} bytes, {self.lag_seconds:.1f} s"
        return ""

    def _bytes_behind(self) -> int:
        newest = self._positions[-1][1] if self._positions else self.received
        return max(0, max(newest, self.received) - self.replayed)

    def _seconds_behind(self) -> float:
        """Return for how long, in seconds, a position of the primary has been awaited here.

        The replica's own clock says little: it counts on while the primary is idle, and stands
        still while the stream is stuck. Positions that this process saw on the primary tell both.
        """
        now = time.monotonic()
        awaited = [at for at, position in self._positions if position > self.replayed]
        return max(now - awaited[0] if awaited else 0.0, 0.0)

    def _stuck(self) -> bool:
        """Tell whether replay has stood still for long, as far as the replica itself can tell.

        Counts from its last replayed commit, which may be old on an idle primary; so only while
        there is something to replay and no progress since the last look.
        """
        return self._stands_still and self.lag_seconds > MAX_LAG_SECONDS

    def _sample_primary(self, *, at_once: bool) -> None:
        """Note where the primary is; a primary that is down says nothing about the replica.

        Not at every check for a token: the samples must reach back further than MAX_LAG_SECONDS.

        :param at_once: ask also when the last answer is fresh: an operator looks, or the replica
            lost its primary; perhaps everybody did, and the next reader need not find it out.
        """
        fresh = self._positions and time.monotonic() - self._positions[-1][0] < SAMPLE_EVERY
        if fresh and not at_once:
            return
        breaker = breakers.get(self.primary)
        if breaker is not None and breaker.is_open:
            return
        had_one = self._primary_session is not None
        try:
            if self._primary_session is None:
                conninfo = conninfo_of(connections.settings[self.primary])
                self._primary_session = Session(conninfo, timeout=CHECK_SECONDS)
            ((position,),) = self._primary_session.query(PRIMARY_SQL, timeout=CHECK_SECONDS)
        except ProbeFailed as failed:
            self._lose_primary_session()
            if had_one:
                self._sample_primary(at_once=at_once)  # Perhaps that one connection ended alone.
            elif breaker is not None and not isinstance(failed, TimeoutError):
                breaker.failed(failed.reason)
            return
        if fresh:
            # Looks in quick succession share one sample: many must not push the old ones out.
            self._positions[-1] = (self._positions[-1][0], int(position or 0))
        else:
            self._positions.append((time.monotonic(), int(position or 0)))

    def _lose_session(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _lose_primary_session(self) -> None:
        if self._primary_session is not None:
            self._primary_session.close()
        self._primary_session = None


known: dict[str, tuple[Replica, ...]] = {}
"""By primary: what `replicas_of` has found."""
_turn = 0


def replicas_of(primary: str) -> tuple[Replica, ...]:
    """Return the replicas of an alias that the settings name; those of our own region first."""
    found = known.get(primary)
    if found is None:
        names = [
            alias
            for alias in connections.settings
            if is_replica(alias) and primary_of(alias) == primary
        ]
        found = known[primary] = tuple(Replica(alias) for alias in names)
    return found


def get(alias: str) -> Replica:
    """Return the replica of that name.

    :raises LookupError: where the settings name no such replica.
    """
    for found in replicas_of(primary_of(alias)):
        if found.alias == alias:
            return found
    raise LookupError(f"There is no replica {alias!r}.")


def choose(candidates: tuple[Replica, ...], state: CausalState) -> str | None:
    """Return the one of some replicas of one primary that this caller may read from, or None.

    Replicas of the process's own region come before others; equals take turns.
    """
    primary = candidates[0].primary
    position = state.positions.get(primary, 0)
    for replica in candidates if len(candidates) == 1 else _in_turn(candidates):
        if replica.may_serve(position):
            if replica.reason:
                state.degraded.add(primary)
            return replica.alias
        if replica.is_down:
            state.degraded.add(replica.alias)
    state.reads[f"{primary}: {candidates[0].why_not}"] += 1
    return None


def all_states(*, look: bool = False) -> Mapping[str, ReplicaState]:
    """Return the state of every replica; with `look`, after asking each."""
    copies = [get(alias) for alias in connections.settings if is_replica(alias)]
    return {copy.alias: copy.look() if look else copy.state() for copy in copies}


def close_all() -> None:
    """End the sessions that watch replicas, e.g. before a database is dropped."""
    for group in known.values():
        for copy in group:
            copy.close()


def _in_turn(candidates: tuple[Replica, ...]) -> list[Replica]:
    global _turn  # noqa: PLW0603 - whose turn it is, is one number of the process
    _turn += 1
    at = _turn % len(candidates)
    rotated = [*candidates[at:], *candidates[:at]]
    region = getattr(settings, "REGION", "")
    if not region:
        return rotated
    return sorted(rotated, key=lambda replica: replica.settings["POLYSTORE"]["region"] != region)


def _reset_after_fork() -> None:
    for group in known.values():
        for replica in group:
            replica.reset_after_fork()


os.register_at_fork(after_in_child=_reset_after_fork)
