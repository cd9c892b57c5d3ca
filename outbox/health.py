"""How synchronisation does right now: asked at most once a second, answered within a second."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from django.db import connections
from django.utils import timezone

from common import latency
from common.errors import PolystoreError
from databases import health, process_state
from databases.placement import alias_of
from databases.stores import mongo, redis
from outbox import figures as queue_figures
from outbox import thresholds
from outbox.figures import Figures
from outbox.recording import APP
from outbox.thresholds import Finding, Severity

logger = logging.getLogger("outbox.health")

ALL_SECONDS: Final = 0.97
"""Everything together; what has not answered by then is not known."""
FRESH_SECONDS: Final = 1.0
SHARE: Final = 0.95
LEAST_ANSWERS: Final = 100
"""Of fewer a handful of slow ones would decide."""
SINCE: Final = "polystore:sync:since:1"
"""A hash in Redis: code of an alert → Unix time since when it holds."""
POSTGRESQL_DOWN: Final = "postgresql.disconnected"
MONGODB_DOWN: Final = "mongodb.disconnected"
NOT_MEASURED: Final = "outbox.not_measured"

Status = Literal["healthy", "degraded", "unhealthy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAlert:
    """Something that is wrong, and since when."""

    code: str
    severity: Severity
    message: str
    value: float | None
    threshold: float | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What was found at one moment."""

    primary: Literal["postgresql", "cockroachdb"]
    """`postgresql`, or `cockroachdb`."""
    primary_up: bool
    mongodb_up: bool
    figures: Figures | None
    """None where the primary did not say in time."""
    p95_ms: float | None
    p95_scope: str
    """Whose answers those are: `all processes`, or `this process`."""
    alerts: Sequence[SyncAlert]
    taken: float = field(repr=False)

    @property
    def status(self) -> Status:
        """Return what the worst alert means."""
        severities = {alert.severity for alert in self.alerts}
        if "critical" in severities:
            return "unhealthy"
        return "degraded" if severities else "healthy"


@dataclass(slots=True)
class _Answers:
    """What came back in time."""

    stores: health.HealthReport | None = None
    figures: Figures | None = None
    p95_ms: float | None = None
    scope: str = process_state.OWN
    since: Mapping[str, float] = field(default_factory=dict)


_lock = threading.Lock()
_last: SyncReport | None = None
_since: dict[str, float] = {}
"""What this process knows of when alerts began; while Redis is away, all there is."""


def report(*, fresh: bool = False) -> SyncReport:
    """Ask all stores at once, or return what was found less than a second ago.

    Callers that come while others ask wait for the same answer.

    :param fresh: ask now.
    """
    global _last  # noqa: PLW0603 - the cache of the process
    with _lock:
        known = _last
        if fresh or known is None or time.monotonic() - known.taken > FRESH_SECONDS:
            known = _last = _ask()
        return known


def percentile() -> tuple[float | None, str]:
    """Return p95 in milliseconds over all processes that publish, and whose that is."""
    processes = process_state.all_processes()
    return _p95([state.latencies for state in processes.states]), processes.scope


def _ask() -> SyncReport:
    answers = _Answers()
    _together(
        lambda: _set(answers, stores=health.report()),
        lambda: _set(answers, figures=queue_figures.measure()),
        lambda: _set(answers, **dict(zip(("p95_ms", "scope"), percentile(), strict=True))),
        lambda: _set(answers, since=_published_since()),
    )
    stores = answers.stores
    alias = alias_of(APP)
    primary_up = answers.figures is not None or (stores is not None and stores.up(alias))
    mongodb_up = stores is not None and stores.up(mongo.STORE)
    if answers.figures is None and answers.scope == process_state.OWN and answers.p95_ms is None:
        answers.p95_ms = _p95([latency.counts()])
    found = [
        *_of_stores(primary_up=primary_up, mongodb_up=mongodb_up, figures=answers.figures),
        *thresholds.findings(answers.figures, answers.p95_ms),
    ]
    since = _began({finding.code for finding in found}, answers.since)
    return SyncReport(
        primary=_name_of(alias),
        primary_up=primary_up,
        mongodb_up=mongodb_up,
        figures=answers.figures,
        p95_ms=answers.p95_ms,
        p95_scope=answers.scope,
        alerts=[_alert(finding, since[finding.code]) for finding in found],
        taken=time.monotonic(),
    )


def _set(answers: _Answers, **found: Any) -> None:
    for name, value in found.items():
        setattr(answers, name, value)


def _together(*questions: Callable[[], None]) -> None:
    """Ask all questions at once; wait for ALL_SECONDS at most."""
    deadline = time.monotonic() + ALL_SECONDS
    threads = [
        threading.Thread(target=_quietly, args=[question], name="sync-health", daemon=True)
        for question in questions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _quietly(question: Callable[[], None]) -> None:
    try:
        question()
    except Exception as error:  # noqa: BLE001 - what is not known is said to be not known
        logger.info("outbox.health.not_known", extra={"reason": type(error).__name__})


def _p95(counted: Sequence[Mapping[str, int]]) -> float | None:
    found = latency.percentile(SHARE, counted, least=LEAST_ANSWERS)
    return None if found is None else round(found * 1000, 1)


def _name_of(alias: str) -> Literal["postgresql", "cockroachdb"]:
    return "cockroachdb" if connections[alias].vendor == "cockroachdb" else "postgresql"


def _of_stores(*, primary_up: bool, mongodb_up: bool, figures: Figures | None) -> Sequence[Finding]:
    found = []
    if not primary_up:
        text = "The primary does not answer: nothing is written, and nothing is known of the queue."
        found.append(_store_finding(POSTGRESQL_DOWN, "critical", text))
    elif figures is None:
        text = "The queue could not be measured in time: its figures are not known."
        found.append(_store_finding(NOT_MEASURED, "critical", text))
    if not mongodb_up and mongo.configured():
        text = "MongoDB does not answer: events wait in the outbox, and PostgreSQL serves."
        found.append(_store_finding(MONGODB_DOWN, "warning", text))
    return found


def _store_finding(code: str, severity: Severity, message: str) -> Finding:
    return Finding(
        code=code, severity=severity, title=message, message=message, value=0, threshold=1
    )


def _alert(finding: Finding, since: float) -> SyncAlert:
    return SyncAlert(
        code=finding.code,
        severity=finding.severity,
        message=finding.message,
        value=finding.value,
        threshold=finding.threshold,
        since=datetime.fromtimestamp(since, tz=timezone.get_current_timezone()),
    )


# Since when --------------------------------------------------------------------------------------


def _published_since() -> dict[str, float]:
    with redis.connection() as client:
        found: Any = client.hgetall(SINCE)
    return {code.decode(): float(at) for code, at in found.items()}


def _began(codes: set[str], published: Mapping[str, float]) -> dict[str, float]:
    """Return since when each of `codes` holds, as far as anybody knows, and publish what is new."""
    now = time.time()
    began = {code: min(published.get(code, now), _since.get(code, now)) for code in codes}
    new = {code: at for code, at in began.items() if code not in published}
    older = {code: at for code, at in began.items() if at < published.get(code, at)}
    over = [code for code in published if code not in codes]
    _since.clear()
    _since.update(began)
    if new or older or over:
        threading.Thread(
            target=_publish, args=[new, older, over], name="sync-health-since", daemon=True
        ).start()
    return began


def _publish(new: Mapping[str, float], older: Mapping[str, float], over: Sequence[str]) -> None:
    with contextlib.suppress(PolystoreError), redis.connection() as client:
        for code, at in new.items():
            client.hsetnx(SINCE, code, repr(at))  # who told of it meanwhile was the first
        if older:
            client.hset(SINCE, mapping={code: repr(at) for code, at in older.items()})
        if over:
            client.hdel(SINCE, *over)


def _reset_after_fork() -> None:
    global _lock, _last  # noqa: PLW0603 - the child asks for itself
    _lock = threading.Lock()
    _last = None


os.register_at_fork(after_in_child=_reset_after_fork)
