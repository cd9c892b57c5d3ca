"""What apps above must do when a database was restored; they register it in `AppConfig.ready()`.

The machinery knows none of them::

    after_restore(Listener(name="outbox", before=..., within=..., after=...))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from databases.aliases import PRIMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A database that is about to be replaced, or was."""

    on: str
    """The alias through which it is reached now."""
    of: tuple[str, ...]
    """The aliases whose rows the backup has in it."""
    taken_at: str
    """The moment that its rows are of, by the clock of the server that was dumped."""

    @property
    def is_primary(self) -> bool:
        """Tell whether it holds what the primary holds."""
        return PRIMARY.value in self.of


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Told before a database is replaced, and when its new rows are there."""

    name: str
    after: Callable[[Restored, Any], str]
    """Given what `before` returned; returns a line for people, or an empty one. It comes after the
    commit, and not at all when the process is killed there: what must happen goes into `within`."""
    before: Callable[[Restored], Any] = lambda _: None
    """May look at the rows that are about to go. Whatever it returns is given to the others."""
    within: Callable[[Restored, Any], str] = lambda _, __: ""
    """Given what `before` returned; returns SQL that runs in the transaction that restores, when
    all rows are there: it commits with them or not at all."""


_listeners: dict[str, Listener] = {}


def after_restore(listener: Listener) -> None:
    """Have `listener` told of every restore from now on; the same name again replaces it."""
    _listeners[listener.name] = listener


def remember(restored: Restored) -> dict[str, Any]:
    """Ask every listener what it must keep of the rows that are about to be replaced."""
    return {listener.name: listener.before(restored) for listener in _listeners.values()}


def within(restored: Restored, kept: dict[str, Any]) -> str:
    """Return the SQL of all listeners that commits with the rows."""
    found = [listener.within(restored, kept.get(listener.name)) for listener in _listeners.values()]
    return "\n".join(statement for statement in found if statement)


def tell(restored: Restored, kept: dict[str, Any]) -> list[str]:
    """Tell every listener that the rows are there; return their lines."""
    said = [listener.after(restored, kept.get(listener.name)) for listener in _listeners.values()]
    return [line for line in said if line]
