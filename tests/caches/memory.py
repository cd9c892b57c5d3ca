"""The index in memory, as the tests load it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from caches.services import holding
from caches.services.holding import Held


@contextmanager
def in_memory() -> Iterator[Held]:
    """Answer from memory in this block, from what the database holds now."""
    holding.forget()
    holding.look()
    held = holding.current()
    assert held is not None
    try:
        yield held
    finally:
        holding.forget()
