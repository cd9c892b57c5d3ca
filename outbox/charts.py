"""Charts of the last hour and day, as inline SVG: drawn on the server, nothing is loaded for them.

Colours are those of the text around them (`currentColor`), so that they fit the theme's dark side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from outbox.models import QueueSample

WIDTH: Final = 560
HEIGHT: Final = 150
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 22
MOST_POINTS: Final = 180
"""A longer time is drawn with fewer points, each the highest of those it stands for."""
GAP: Final = timedelta(minutes=3)
"""Where samples lie further apart, nobody measured, and no line is drawn."""

Point = tuple[datetime, float]
Figure = Callable[[Sequence[QueueSample]], Sequence[Point]]
_SPANS: Final = (("last hour", timedelta(hours=1)), ("last day", timedelta(days=1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure over one time."""

    title: str
    span: str
    latest: str
    svg: SafeString


def charts(samples: Sequence[QueueSample], *, now: datetime) -> list[Chart]:
    """Return the charts of the queue, lag, throughput and failures, each of an hour and a day."""
    spans = [(name, length, [s for s in samples if s.minute >= now - length])
             for name, length in _SPANS]  # fmt: skip
    figures: list[tuple[str, Figure]] = [
        ("Waiting events", lambda some: [(one.minute, one.waiting) for one in some]),
        ("Lag, seconds", lambda some: [(one.minute, one.lag_seconds) for one in some]),
        ("Events a minute", lambda some: list(throughput(some))),
        (
            "Events that failed and are tried again",
            lambda some: [(one.minute, one.retrying) for one in some],
        ),
        ("Dead letters", lambda some: [(one.minute, one.dead) for one in some]),
    ]
    return [
        _chart(title, name, figure(recent), now, length)
        for title, figure in figures
        for name, length, recent in spans
    ]


def throughput(samples: Iterable[QueueSample]) -> Iterable[Point]:
    """Yield how many events a minute left the queue between each two samples.

    Recorded, by the ids that were given out, less what waits more and what became a dead letter.
    Ids of transactions that were rolled back count, too: it is a figure for a chart.
    """
    for before, after in pairwise(samples):
        minutes = (after.minute - before.minute).total_seconds() / 60
        if after.last_id < before.last_id or not 0 < minutes <= GAP.total_seconds() / 60:
            continue
        recorded = after.last_id - before.last_id
        left = recorded - (after.waiting - before.waiting) - max(0, after.dead - before.dead)
        yield after.minute, max(0.0, left / minutes)


def _chart(
    title: str, span: str, points: Sequence[Point], now: datetime, length: timedelta
) -> Chart:
    every = -(-len(points) // MOST_POINTS) or 1
    lines = [_thinned(line, every) for line in _lines(points)]
    latest = _figure(points[-1][1]) if points else "no samples"
    return Chart(title=title, span=span, latest=latest, svg=_svg(title, span, lines, now, length))


def _lines(points: Sequence[Point]) -> list[list[Point]]:
    """Return the parts between which nobody measured."""
    lines: list[list[Point]] = []
    last: datetime | None = None
    for at, value in points:
        if last is None or at - last > GAP:
            lines.append([])
        lines[-1].append((at, value))
        last = at
    return lines


def _thinned(points: Sequence[Point], every: int) -> list[Point]:
    parts = [points[start : start + every] for start in range(0, len(points), every)]
    return [(part[-1][0], max(value for _, value in part)) for part in parts]


def _svg(
    title: str, span: str, lines: Sequence[Sequence[Point]], now: datetime, length: timedelta
) -> SafeString:
    top = _round_up(max((value for line in lines for _, value in line), default=0))
    placed = [[_place(at, value, now, length, top) for at, value in line] for line in lines]
    drawn = format_html_join(
        "",
        '<polyline points="{}" fill="none" stroke="currentColor" stroke-width="1.5"/>',
        ((" ".join(f"{x:.1f},{y:.1f}" for x, y in _visible(line)),) for line in placed),
    )
    return format_html(
        '<svg viewBox="0 0 {} {}" width="100%" role="img" aria-label="{}, {}">{}{}{}</svg>',
        WIDTH,
        HEIGHT,
        title,
        span,
        _grid(top),
        _times(now, length),
        drawn,
    )


def _visible(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Draw a single point a little longer: it would be no line."""
    return line if len(line) > 1 else [line[0], (line[0][0] + 1, line[0][1])]


def _place(
    at: datetime, value: float, now: datetime, length: timedelta, top: float
) -> tuple[float, float]:
    x = LEFT + (WIDTH - LEFT - RIGHT) * (1 - (now - at) / length)
    y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)
    return max(LEFT, x), y


def _grid(top: float) -> SafeString:
    height = HEIGHT - TOP - BOTTOM
    return format_html_join(
        "",
        '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="currentColor" opacity=".15"/>'
        '<text x="{}" y="{}" text-anchor="end" font-size="11" fill="currentColor">{}</text>',
        (
            (LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4, _figure(top * share))
            for share in (0.0, 0.5, 1.0)
            for y in [round(TOP + height * (1 - share), 1)]
        ),
    )


def _times(now: datetime, length: timedelta) -> SafeString:
    return format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="{}" font-size="11" fill="currentColor">{}</text>',
        (
            (
                round(LEFT + (WIDTH - LEFT - RIGHT) * share),
                HEIGHT - 6,
                anchor,
                f"{timezone.localtime(now - length * (1 - share)):%H:%M}",
            )
            for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
        ),
    )


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50 …"""
    top = 1.0
    while True:
        for step in (1, 2, 5):
            if value <= top * step:
                return top * step
        top *= 10


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
