"""From which figures on something is wrong, and what that means to people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from outbox import shapes
from outbox.figures import Figures
from outbox.queue import MOST_COUNTED

Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Two limits of one figure: from each on, it is worth telling."""

    code: str
    title: str
    warning: float
    critical: float
    remedy: str


LAG: Final = Threshold(
    code="outbox.lag",
    title="Events wait too long",
    warning=30,
    critical=60,
    remedy="Read models are behind. Look at the workers of the queue `outbox`, and at the sinks.",
)
QUEUE: Final = Threshold(
    code="outbox.queue",
    title="Many events wait",
    warning=1_000,
    critical=10_000,
    remedy="Look whether workers of the queue `outbox` run, and whether delivery is paused.",
)
FAILED: Final = Threshold(
    code="outbox.failed",
    title="Events fail",
    warning=10,
    critical=100,
    remedy="`manage.py outbox dead` lists them, `manage.py outbox replay` puts them back.",
)
P95: Final = Threshold(
    code="api.p95",
    title="The API answers slowly",
    warning=500,
    critical=1_000,
    remedy="Look at the databases' pools and lag, and at the slowest routes in /metrics.",
)
REBUILD: Final = "outbox.rebuild_needed"
ALL: Final = (LAG, QUEUE, FAILED, P95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A figure beyond a limit."""

    code: str
    severity: Severity
    title: str
    message: str
    value: float
    threshold: float


def findings(figures: Figures | None, p95_ms: float | None) -> Iterator[Finding]:
    """Yield what is wrong; of what is not known, nothing.

    :param figures: of the queue, or None where the primary did not say.
    :param p95_ms: milliseconds that 95 of 100 answers of the API did not pass, or None.
    """
    if figures is not None:
        paused = " Delivery is paused." if figures.paused_at else ""
        lag, waiting = figures.lag_seconds, figures.waiting
        at_least = "at least " if waiting >= MOST_COUNTED else ""
        yield from _judged(LAG, lag, f"The oldest event has waited {lag:.0f} s.{paused}")
        yield from _judged(QUEUE, waiting, f"{at_least}{waiting:,} events wait.{paused}")
        yield from _judged(
            FAILED,
            figures.failed,
            f"{figures.dead:,} dead letters, and {figures.tried_often:,} events that were tried "
            "more than 5 times.",
        )
        for name, fault in shapes.faults_in(figures.shapes).items():
            yield Finding(
                code=REBUILD,
                severity="warning",
                title="A projection must be rebuilt",
                message=f"{name} was {fault}.",
                value=figures.shapes[name],
                threshold=figures.shapes[name] + 1,
            )
    if p95_ms is not None:
        text = f"Of the API's answers of the last 5 minutes, 1 in 20 took over {p95_ms:.0f} ms."
        yield from _judged(P95, p95_ms, text)


def _judged(limits: Threshold, value: float, message: str) -> Iterator[Finding]:
    if value < limits.warning:
        return
    critical = value >= limits.critical
    yield Finding(
        code=limits.code,
        severity="critical" if critical else "warning",
        title=limits.title,
        message=message,
        value=value,
        threshold=limits.critical if critical else limits.warning,
    )
