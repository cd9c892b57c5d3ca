"""Walk rows and documents side by side, a range of ids at a time; yield what looks different."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from databases.stores import contents, copies
from databases.stores.copies import Copy
from databases.stores.mongo import Document
from outbox import registry
from outbox.registry import Projection

IDS: Final = 1_000
"""Ids of one range."""
LEAST_IDS: Final = 10
BYTES: Final = 16 * 1024 * 1024
"""What the documents of one range may come to: large ones are compared fewer at a time."""

Page = Callable[[str | None, int], Sequence[str]]


@dataclass(slots=True)
class Range:
    """What one range holds."""

    last: str | None
    """The last id that was compared; None: everything behind was, too."""
    rows: int = 0
    documents: int = 0
    tombstones: int = 0
    bytes: int = 0
    suspects: list[str] = field(default_factory=list)
    """Ids that look different at first sight."""


def whole(projection: Projection, *, collection: str, after: str | None) -> Iterator[Range]:
    """Yield the ranges behind `after`; together they cover every row and every document."""
    size = IDS
    while True:
        ids = projection.page(after, size)
        last = ids[-1] if len(ids) == size else None
        for found in _between(projection, collection, ids, after=after, last=last):
            yield found
            size = _next_size(found, size)
        if last is None:
            return
        after = last


def of_ids(projection: Projection, page: Page, *, after: str | None) -> Iterator[Range]:
    """Yield ranges of the rows that `page` names, without the documents between them."""
    while True:
        ids = page(after, IDS)
        if not ids:
            return
        after = ids[-1]
        found = Range(last=after)
        wanted = _wanted(registry.load(projection, ids), found)
        there = {copy.id: copy for copy in copies.marks_of(projection.name, ids)}
        for copy in there.values():
            _count(copy, found)
        found.suspects.extend(_differing(wanted, there))
        yield found


def page_since(projection: Projection, since: datetime) -> tuple[Page, bool]:
    """Return the page of rows that changed since, and whether it knows of changes at all.

    A projection that cannot tell is asked for rows that were made since, by the time in UUIDv7s.

    :raises LookupError: where its ids hold no time either.
    """
    if (changed := projection.changed_since) is not None:
        return lambda after, limit: changed(since, after, limit), True
    first = projection.page(None, 1)
    if first and not _is_uuid7(first[0]):
        raise LookupError(projection.name)
    begin = first_id_at(since)
    return lambda after, limit: projection.page(max(after or "", begin), limit), False


def first_id_at(moment: datetime) -> str:
    """Return a text that no UUIDv7 of that moment or later is below."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def _is_uuid7(text: str) -> bool:
    try:
        return UUID(text).version == 7
    except ValueError:
        return False


def _between(
    projection: Projection,
    collection: str,
    ids: Sequence[str],
    *,
    after: str | None,
    last: str | None,
) -> Iterator[Range]:
    """Compare these rows with the documents in (after, last], which may be far more."""
    found = Range(last=last)
    wanted = _wanted(registry.load(projection, ids) if ids else {}, found)
    most = 2 * IDS
    while True:
        batch = list(copies.marks(collection, after=after, upto=last, limit=most))
        there = {copy.id: copy for copy in batch}
        for copy in batch:
            _count(copy, found)
        whole = len(batch) < most
        upto = None if whole else batch[-1].id
        here = {key: mark for key, mark in wanted.items() if upto is None or key <= upto}
        found.rows = len(here)
        # One comparison clears a range; what differs is told apart only where it fails.
        if {key: copy.mark for key, copy in there.items() if copy.live} != here or any(
            not (copy.live or copy.tombstone) for copy in batch
        ):
            found.suspects.extend(_differing(here, there))
        if whole:
            yield found
            return
        wanted = {key: mark for key, mark in wanted.items() if key not in here}
        found.last = upto  # whoever goes on from here has the rest of them before him
        yield found
        after, found = upto, Range(last=last)


def _wanted(documents: dict[str, Document], found: Range) -> dict[str, bytes]:
    wanted: dict[str, bytes] = {}
    for key, document in documents.items():
        wanted[key], length = copies.mark(key, document)
        found.bytes += length
    found.rows = len(documents)
    return wanted


def _count(copy: Copy, found: Range) -> None:
    found.documents += copy.live
    found.tombstones += copy.tombstone


def _differing(wanted: dict[str, bytes], there: dict[str, Copy]) -> Iterator[str]:
    for key, mark in wanted.items():
        copy = there.get(key)
        if copy is None or not copy.live or copy.mark != mark:
            yield key
    for key, copy in there.items():
        if key not in wanted and not copy.tombstone:
            yield key


def _next_size(found: Range, size: int) -> int:
    if not found.rows:
        return IDS
    fit = BYTES // max(1, found.bytes // found.rows)
    return max(LEAST_IDS, min(IDS, fit))


def same(one: Document, other: Document) -> bool:
    """Tell whether two documents say the same."""
    return contents.digest(one) == contents.digest(other)
