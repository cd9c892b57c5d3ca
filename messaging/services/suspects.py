"""Messages that the stores show differently, until it is known that nobody is just bringing them.

What a writer is bringing changes within a moment; a difference looks the same twice. Nobody waits
for that moment while there is something else to compare.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.states import State, print_of

AT_ONCE: Final = 500
"""Messages that are looked at as a whole."""
SECONDS: Final = 30.0
"""The longest that MongoDB may take to answer."""
LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at a message."""
LOOKS: Final = 10
"""What still changes then is left to its writers."""
MOST: Final = 50_000
"""Messages that are kept in memory, as hashes, before somebody waits for the first of them."""

Pair = tuple[State | None, State | None]
"""A message as PostgreSQL shows it, and as MongoDB does; None where it is not there."""
Prints = tuple[str, str]
"""What tells the two of a pair from others; empty for None."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """Messages that differed at a look."""

    prints: dict[UUID, Prints]
    due: float
    looks: int


@dataclass(slots=True)
class Suspects:
    """Messages that were seen to differ, in the order of their last looks."""

    _looked: deque[_Looked] = field(default_factory=deque)
    _number: int = 0

    def add(self, ids: Sequence[UUID]) -> None:
        """Look at these for the first time, and keep those that differ."""
        for begin in range(0, len(ids), AT_ONCE):
            found = _unlike(ids[begin : begin + AT_ONCE])
            self._keep({key: prints for key, (prints, _) in found.items()}, looks=1)

    def settled(self, *, to_the_end: bool = False) -> Iterator[dict[UUID, Pair]]:
        """Yield those that a second look, long enough after the first, saw the same.

        :param to_the_end: wait for all. Otherwise only what is due is looked at, and what is too
            much to keep.
        """
        while self._looked:
            first = self._looked[0]
            wait = first.due - time.monotonic()
            if wait > 0:
                if not to_the_end and self._number <= MOST:
                    return
                time.sleep(wait)
            self._looked.popleft()
            self._number -= len(first.prints)
            same: dict[UUID, Pair] = {}
            moving: dict[UUID, Prints] = {}
            for key, (prints, pair) in _unlike(list(first.prints)).items():
                if prints == first.prints[key]:
                    same[key] = pair
                else:
                    moving[key] = prints
            if first.looks < LOOKS:
                self._keep(moving, looks=first.looks + 1)
            if same:
                yield same

    def _keep(self, prints: dict[UUID, Prints], *, looks: int) -> None:
        if prints:
            self._looked.append(_Looked(prints, time.monotonic() + LOOK_AGAIN, looks))
            self._number += len(prints)


def _unlike(ids: Sequence[UUID]) -> dict[UUID, tuple[Prints, Pair]]:
    """Return those that differ now."""
    rows = PostgresMessages().states_of(ids)
    documents = MongoMessages(timeout=SECONDS).states_of(ids)
    found: dict[UUID, tuple[Prints, Pair]] = {}
    for key in ids:
        row, document = pair = rows.get(key), documents.get(key)
        prints = print_of(row) if row else "", print_of(document) if document else ""
        if prints[0] != prints[1]:
            found[key] = prints, pair
    return found
