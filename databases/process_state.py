"""What each process knows of its databases, published to Redis so that operators see all processes.

Breakers, pools and counts live in processes. Every PUBLISH_EVERY seconds each web process, Celery
worker and beat writes its own into Redis, where they vanish when the process does. Nobody waits
for this: it happens in a thread of its own, and while Redis is away readers see their own process
and say so.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from django.conf import settings
from django.db import connections

from common import latency
from common.errors import PolystoreError
from common.metrics import CROSSINGS
from databases import breaker as breakers
from databases import fallback, pool_figures, read_totals, reasons, replica, totals
from databases.alerts import watch
from databases.aliases import is_replica
from databases.pool_figures import PoolFigures
from databases.stores import redis

logger = logging.getLogger("databases.process_state")

PUBLISH_EVERY: Final = 3.0
KEPT_SECONDS: Final = 10
"""How long a process that ended, or cannot reach Redis, is still shown."""
LEAST_PAUSE: Final = 0.2
"""Seconds after a breaker changed, so that what flaps is not published each time."""
MAKE_UP_EVERY: Final = 60.0
"""Seconds between two looks for failures that were told and whose recovery nobody told."""
PREFIX: Final = "polystore:process:2:"
"""The number is the version of what is written: processes of two releases run side by side."""
INDEX: Final = f"{PREFIX}index"

ALL: Final = "all processes"
OWN: Final = "this process"
Role = Literal["web", "worker", "beat", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerFigures:
    """A breaker as its process has it."""

    open: bool
    reason: str
    """The kind of failure (see `reasons`), never a driver's text."""
    since: str
    """ISO 8601."""
    opened: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFigures:
    """A replica as a process sees it."""

    usable: bool
    reason: str
    lag_bytes: int
    lag_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process: who it is, and what it knows of its databases."""

    id: str
    role: str
    host: str
    pid: int
    region: str
    at: float
    """Unix time of these figures."""
    breakers: Mapping[str, BreakerFigures]
    pools: Mapping[str, PoolFigures]
    replicas: Mapping[str, ReplicaFigures]
    reads: Mapping[str, int]
    """As in `CausalState.reads`, since the process began."""
    crossings: Mapping[str, int]
    """Statements and transactions that crossed databases, by code (see `crossings`)."""
    fallbacks: Mapping[str, int]
    """Answers that declared fallbacks gave, by function (see `fallback`)."""
    latencies: Mapping[str, int] = field(default_factory=dict)
    """Answers of the API in the last minutes, by how long they took (see `common.latency`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Every process that is known, and whether that is all of them."""

    scope: Literal["all processes", "this process"]
    states: tuple[ProcessState, ...]


_id = ""
_role: Role = "command"
_thread: threading.Thread | None = None
_lock = threading.Lock()
_news = threading.Event()
"""Set when a breaker opens or closes: that is published at once."""


def keep_publishing(role: Role) -> None:
    """Publish this process's state from now on, in one thread per process.

    Does nothing where the setting PUBLISH_PROCESS_STATE is false.
    """
    global _thread, _role  # noqa: PLW0603 - one thread per process
    if _thread is not None or not settings.PUBLISH_PROCESS_STATE:
        return
    with _lock:
        if _thread is None:
            _role = role
            _listen_once()
            _thread = threading.Thread(target=_publish_in_turn, name="process-state", daemon=True)
            _thread.start()


def own_state() -> ProcessState:
    """Return the state of this process, now."""
    return ProcessState(
        id=_own_id(),
        role=_role,
        host=socket.gethostname(),
        pid=os.getpid(),
        region=settings.REGION,
        at=time.time(),
        breakers={state.store: _figures_of(state) for state in breakers.states()},
        pools=pool_figures.by_alias(),
        replicas=_replicas(),
        reads=read_totals.totals(),
        crossings=_crossings(),
        fallbacks=dict(fallback.served),
        latencies=latency.counts(),
    )


def publish() -> None:
    """Write this process's state to Redis.

    :raises AliasUnavailable: while Redis is down.
    :raises RedisNotConfigured: without REDIS_URL.
    """
    state = own_state()
    with redis.connection() as client, client.pipeline(transaction=False) as pipeline:
        pipeline.set(PREFIX + state.id, json.dumps(asdict(state)), ex=KEPT_SECONDS)
        pipeline.zadd(INDEX, {state.id: state.at + KEPT_SECONDS})
        pipeline.zremrangebyscore(INDEX, "-inf", state.at - KEPT_SECONDS)
        pipeline.expire(INDEX, KEPT_SECONDS * 6)
        pipeline.execute()


def all_processes() -> Processes:
    """Return the processes that publish; only the own one while Redis cannot be asked.

    A command does not count itself: it serves nobody.
    """
    own = own_state()
    try:
        states = {state.id: state for state in _published()}
    except Exception as error:  # noqa: BLE001 - whatever Redis says, operators see something
        if not isinstance(error, PolystoreError):
            logger.warning("process_state.not_read", extra={"reason": type(error).__name__})
        states = {}
    if not states:
        return Processes(scope=OWN, states=(own,))
    if _thread is not None:
        states[own.id] = own
    ordered = sorted(states.values(), key=lambda state: (state.role, state.host, state.pid))
    return Processes(scope=ALL, states=tuple(ordered))


def _published() -> list[ProcessState]:
    with redis.connection() as client:
        ids: Any = client.zrangebyscore(INDEX, time.time(), "+inf")
        texts: Any = client.mget([PREFIX + found.decode() for found in ids]) if ids else []
    return [_read(text) for text in texts if text is not None]


def _read(text: bytes) -> ProcessState:
    """Return what `publish` wrote."""
    found = json.loads(text)
    found["breakers"] = {k: BreakerFigures(**v) for k, v in found["breakers"].items()}
    found["pools"] = {k: PoolFigures(**v) for k, v in found["pools"].items()}
    found["replicas"] = {k: ReplicaFigures(**v) for k, v in found["replicas"].items()}
    return ProcessState(**found)


def _crossings() -> dict[str, int]:
    """Return what the guards have counted in this process."""
    return {
        sample.labels["code"]: int(sample.value)
        for metric in CROSSINGS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def _figures_of(state: breakers.BreakerState) -> BreakerFigures:
    return BreakerFigures(
        open=state.open,
        reason=reasons.kind_of(state.reason) if state.open else "",
        since=state.since.isoformat(timespec="seconds"),
        opened=state.opened,
        refused=state.refused,
    )


def _replicas() -> dict[str, ReplicaFigures]:
    """Return the replicas that this process has looked at."""
    states = replica.all_states()
    return {
        alias: ReplicaFigures(
            usable=state.usable,
            reason=reasons.of_replica(state.reason),
            lag_bytes=state.lag_bytes,
            lag_seconds=round(state.lag_seconds, 2),
        )
        for alias, state in states.items()
        if state.reason != replica.NOT_LOOKED_AT
    }


def _publish_in_turn() -> None:
    made_up = float("-inf")
    while True:
        try:
            _look_at_replicas()
            if time.monotonic() - made_up > MAKE_UP_EVERY:
                made_up = time.monotonic()
                watch.make_up()
            totals.note()
            publish()
        except PolystoreError:
            pass  # Redis is away, which its breaker has said already
        except Exception:
            # Whatever it is, the next turn may do better; a thread that ended would not.
            logger.exception("process_state.not_published")
        if _news.wait(PUBLISH_EVERY):
            time.sleep(LEAST_PAUSE)
            _news.clear()


_listening = False


def _listen_once() -> None:
    global _listening  # noqa: PLW0603 - a child keeps what its parent listens to
    if not _listening:
        _listening = True
        breakers.listen(lambda _state: _news.set())


def _look_at_replicas() -> None:
    """Keep the figures of replicas that this process reads fresh, and tell when one drops out."""
    for alias in connections.settings:
        if not is_replica(alias):
            continue
        copy = replica.get(alias)
        if copy.state().reason != replica.NOT_LOOKED_AT:
            watch.note_replica(copy.look())


def _own_id() -> str:
    global _id  # noqa: PLW0603 - made on first use, anew in each child
    if not _id:
        _id = uuid.uuid4().hex[:12]
    return _id


def _forget_after_fork() -> None:
    global _id, _role, _thread, _lock, _news
    _id, _role, _thread = "", "command", None
    _lock, _news = threading.Lock(), threading.Event()


os.register_at_fork(after_in_child=_forget_after_fork)
