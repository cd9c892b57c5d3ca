"""Reads after writes: what one caller has written, and how far a replica must be to show it.

The token is a WAL position of the primary, taken after the commit. It follows the caller: in a
mutable state that all coroutines and threads of a request share, in the cookie `ps_lsn`, in the
header `X-Causal-Token`, and in a header of the tasks that the request sends.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

COOKIE = "ps_lsn"
HEADER = "X-Causal-Token"
TOKEN_SECONDS = 30
"""How long a token is kept. Longer than the lag at which replicas are left alone, so that whoever
lost theirs cannot meet a replica that has not replayed it."""
PIN_SECONDS = 15.0
"""How long reads stay on the primary where no WAL position could be had."""

_TOKEN = re.compile(r"v1((?:\.[a-z_]+-[0-9a-f]{1,16}){1,8})")
_PIN = "pin"


class CausalState:
    """What one caller must see. Shared by every coroutine and thread that serves them."""

    __slots__ = (
        "advanced",
        "degraded",
        "pins",
        "positions",
        "primary_only_until",
        "reads",
        "wrote",
    )

    def __init__(self) -> None:
        """Start with nothing seen and nothing written."""
        self.positions: dict[str, int] = {}
        """WAL position per alias that reads must have replayed."""
        self.wrote: set[str] = set()
        """Aliases with a commit whose position is not known yet."""
        self.advanced = False
        """True once the caller wrote: whoever answers them must hand out the newer token."""
        self.primary_only_until = 0.0
        """Unix time until which reads stay on primaries, where positions do not exist."""
        self.pins = 0
        self.degraded: set[str] = set()
        """Stores that should have served and did not; the answer names them."""
        self.reads: Counter[str] = Counter()
        """Reads by the alias that served them, and as "alias: reason" those that could have gone
        to a replica of it and did not."""

    def requires_primary(self, alias: str) -> bool:
        """Tell whether reads of `alias` must not go to a replica, whatever it has replayed."""
        return (
            self.pins > 0
            or alias in self.wrote
            or (self.primary_only_until > 0 and time.time() < self.primary_only_until)
        )

    def absorb(self, token: str | None) -> None:
        """Raise the positions to those of `token`; what cannot be read is ignored.

        A forged token can only send its own sender's reads to the primary.
        """
        match = _TOKEN.fullmatch(token or "")
        if match is None:
            return
        for part in match[1].removeprefix(".").split("."):
            alias, _, text = part.partition("-")
            value = int(text, 16)
            if alias == _PIN:
                self._pin_until(float(value))
            else:
                self.positions[alias] = max(value, self.positions.get(alias, 0))

    def pin(self, seconds: float = PIN_SECONDS) -> None:
        """Keep reads on primaries for `seconds`."""
        self._pin_until(time.time() + seconds)

    def _pin_until(self, moment: float) -> None:
        bounded = min(moment, time.time() + TOKEN_SECONDS)
        self.primary_only_until = max(self.primary_only_until, bounded)

    def token(self) -> str:
        """Return the opaque token of what is known, or an empty string."""
        parts = [f"{alias}-{value:x}" for alias, value in sorted(self.positions.items())]
        if self.primary_only_until > time.time():
            parts.append(f"{_PIN}-{int(self.primary_only_until) + 1:x}")
        return ".".join(["v1", *parts]) if parts else ""


_current: ContextVar[CausalState | None] = ContextVar("causal_state", default=None)


current = _current.get
"""Return the state of the caller being served, or None outside any scope.

Without a scope (commands, the shell, migrations) nothing is read from a replica."""


@contextmanager
def causal_scope(state: CausalState | None = None) -> Iterator[CausalState]:
    """Serve one caller in this block: reads may use replicas that have what the caller wrote.

    :param state: the caller's state, to hand it to a thread; a new one if None.
    """
    state = CausalState() if state is None else state
    reset = _current.set(state)
    try:
        yield state
    finally:
        _current.reset(reset)


@contextmanager
def use_primary() -> Iterator[None]:
    """Keep every read of this block on primaries."""
    state = current()
    if state is None:
        yield
        return
    state.pins += 1
    try:
        yield
    finally:
        state.pins -= 1


def note_commit(alias: str) -> None:
    """Remember that the current caller has committed a change on `alias`."""
    state = _current.get()
    if state is not None:
        state.wrote.add(alias)
