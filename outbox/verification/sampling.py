"""Choose some rows and documents at random."""

from __future__ import annotations

import random
from uuid import UUID

from databases.stores import copies
from outbox.registry import Projection

PAGE = 10_000


def some_ids(projection: Projection, count: int) -> list[str]:
    """Return up to `count` ids, half of them of documents, the others of rows."""
    ids = set(copies.random_ids(projection.name, count // 2)) if count > 1 else set()
    first = projection.page(None, PAGE)
    if 0 < len(first) < PAGE:
        rows = random.sample(first, min(count, len(first)))
    elif first and _is_uuid(first[0]):
        rows = _near(projection, first[0], count)
    else:
        rows = _of_all(projection, count)
    others = [key for key in rows if key not in ids]
    return sorted(ids.union(others[: count - len(ids)]))


def _near(projection: Projection, first: str, count: int) -> list[str]:
    """Return the rows that follow random points between the first id and the last."""
    low, high = UUID(first).int, _last(projection, first)
    found: set[str] = set()
    for _ in range(count * 3):
        found.update(projection.page(str(UUID(int=random.randint(low - 1, high - 1))), 1))
        if len(found) >= count:
            break
    return random.sample(sorted(found), len(found))


def _last(projection: Projection, first: str) -> int:
    """Return a number near the last id, found by halving: a page there is empty or not."""
    low, high = UUID(first).int, (1 << 128) - 1
    for _ in range(128):
        if low >= high:
            break
        middle = (low + high) // 2
        if projection.page(str(UUID(int=middle)), 1):
            low = middle + 1
        else:
            high = middle
    return high


def _of_all(projection: Projection, count: int) -> list[str]:
    """Return a fair choice of all rows; reads every id."""
    chosen: list[str] = []
    seen, after = 0, None
    while ids := projection.page(after, PAGE):
        after = ids[-1]
        for key in ids:
            seen += 1
            if len(chosen) < count:
                chosen.append(key)
            elif (place := random.randrange(seen)) < count:
                chosen[place] = key
    return chosen


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
