"""Whose rows the open transaction of one connection has changed, savepoint by savepoint. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class ChangedHomes:
    """The homes whose rows changed in a transaction; what is rolled back is forgotten."""

    __slots__ = ("_block", "_homes", "_savepoints")

    def __init__(self) -> None:
        """Start with nothing changed."""
        self._block: object = None
        self._homes: set[str] = set()
        self._savepoints: list[tuple[str, frozenset[str]]] = []

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self._homes)

    def add(self, homes: Iterable[str], *, within: object) -> None:
        """Note changes.

        :param within: the outermost `atomic` block that is open, which stands for the transaction
            where it ends without a word (a block without a savepoint, in a TestCase).
        """
        self.about(within)
        self._homes.update(homes)

    def about(self, block: object) -> frozenset[str]:
        """Return the homes changed in the transaction that `block` opened."""
        if self._block is not block:
            self._block = block
            self._homes.clear()
        return frozenset(self._homes)

    def savepoint(self, name: str) -> None:
        """Remember what had changed when the savepoint was set."""
        self._savepoints.append((name, frozenset(self._homes)))

    def rolled_back_to(self, name: str) -> None:
        """Return to what had changed at the savepoint."""
        for at, (known, homes) in enumerate(self._savepoints):
            if known == name:
                self._homes = set(homes)
                del self._savepoints[at + 1 :]
                return

    def released(self, name: str) -> None:
        """Forget the savepoint, and those set after it; what changed since then stays."""
        for at, (known, _) in enumerate(self._savepoints):
            if known == name:
                del self._savepoints[at:]
                return

    def ended(self) -> frozenset[str]:
        """Forget everything; return what had changed."""
        homes = frozenset(self._homes)
        self._homes.clear()
        self._savepoints.clear()
        self._block = None
        return homes
