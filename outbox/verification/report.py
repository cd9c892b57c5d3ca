"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Kind = Literal["missing", "stale", "extra", "tombstone"]
MOST_KEPT: Final = 10_000
"""Differences that a report keeps; those behind are counted and told only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One aggregate whose document is not what its row is."""

    kind: Kind
    """missing: a row without a document. stale: other fields. extra: a document without a row.
    tombstone: a row whose document says that it was deleted."""
    id: str
    fields: tuple[str, ...] = ()
    """Names of those that differ; values may be personal."""
    dead_letter: bool = False
    """The event that would have brought it could not be delivered."""

    def __str__(self) -> str:
        """Return one line."""
        which = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{self.kind} {self.id}{which}{'; dead letter' if self.dead_letter else ''}"


@dataclass(slots=True, kw_only=True)
class Report:
    """One projection's comparison."""

    projection: str
    rows: int = 0
    documents: int = 0
    """Live ones."""
    tombstones: int = 0
    ranges: int = 0
    ranges_that_differed: int = 0
    """Before a second look."""
    differences: list[Difference] = field(default_factory=list)
    found: int = 0
    """How many differences there are."""
    waiting: int = 0
    """Aggregates that differ while events of them still wait: no difference yet."""
    repaired: int = 0
    """Differences that are gone since."""
    recorded: int = 0
    """Events that were recorded to mend differences."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Tell whether there was no difference."""
        return self.found == 0

    def add(self, difference: Difference) -> None:
        """Take a difference."""
        self.found += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(difference)

    def figures(self) -> dict[str, Any]:
        """Return everything, as JSON takes it."""
        return asdict(self)

    @classmethod
    def continued(cls, projection: str, figures: Mapping[str, Any]) -> Report:
        """Return the report that `figures` was made of."""
        kept = dict(figures) | {"projection": projection}
        kept["differences"] = [
            Difference(**{**found, "fields": tuple(found["fields"])})
            for found in kept.get("differences", [])
        ]
        return cls(**kept)
