"""Charts as shapes: the server computes them, the template draws them as SVG."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 160
FLOOR: Final = 136
"""Where bars stand; the days are written below."""
MOST_LABELS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day's bar."""

    x: float
    y: float
    width: float
    height: float
    said: str
    """What it stands for, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A day below the bars."""

    x: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A series of days as bars."""

    title: str
    top: str
    """What the highest bar stands for."""
    bars: Sequence[Bar]
    labels: Sequence[Label]
    width: int = WIDTH
    height: int = HEIGHT
    floor: int = FLOOR


def bars(
    title: str, unit: str, days: Sequence[tuple[dt.date, float | None]], *, top: float | None = None
) -> Chart:
    """Return the chart of one figure per day.

    :param top: what the full height stands for; by default the highest figure.
    """
    highest = top or max((value or 0 for _, value in days), default=0) or 1
    step = WIDTH / max(len(days), 1)
    every = max(1, -(-len(days) // MOST_LABELS))
    drawn = [
        Bar(
            x=round(number * step + step * 0.1, 2),
            y=round(FLOOR - (value / highest) * (FLOOR - 20), 2),
            width=round(step * 0.8, 2),
            height=round((value / highest) * (FLOOR - 20), 2),
            said=f"{day:%d %b}: {value:g} {unit}",
        )
        for number, (day, value) in enumerate(days)
        if value
    ]
    labels = [
        Label(x=round(number * step + step / 2, 2), text=f"{day:%d %b}")
        for number, (day, _) in enumerate(days)
        if number % every == every // 2
    ]
    return Chart(title=title, top=f"{highest:g} {unit}", bars=drawn, labels=labels)
