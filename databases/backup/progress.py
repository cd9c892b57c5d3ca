"""How far it is: a bar where somebody watches, plain lines in a log."""

from __future__ import annotations

from typing import Any, Self, TextIO

from tqdm import tqdm


class Progress:
    """Told of every step; says nothing itself."""

    def expect(self, tables: int) -> None:
        """So many tables and collections are ahead."""

    def stage(self, text: str) -> None:
        """Something begins."""

    def moved(self, tables: int = 1) -> None:
        """So many of them are done."""


class Shown(Progress):
    """Progress for people."""

    def __init__(self, stream: TextIO, *, name: str) -> None:
        """Write to `stream`, each line under the command's name."""
        self._stream = stream
        self._name = name
        self._bar: tqdm[Any] | None = None
        self._total = 0
        self._done = 0
        self._told = 0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    def expect(self, tables: int) -> None:
        """Add to what is ahead."""
        self._total += tables
        if self._bar is not None:
            self._bar.total = self._total
        elif self._stream.isatty():
            self._bar = tqdm(total=self._total, unit=" tables", file=self._stream)

    def stage(self, text: str) -> None:
        """Show what is being done."""
        if self._bar is not None:
            self._bar.set_description(text)
        else:
            self._line(f"{text} …")

    def moved(self, tables: int = 1) -> None:
        """Show each step on a terminal, each quarter in a log."""
        self._done += tables
        if self._bar is not None:
            self._bar.update(tables)
        elif self._total and self._done * 4 // self._total > self._told:
            self._told = self._done * 4 // self._total
            self._line(f"{self._done:,} of {self._total:,} tables and collections")

    def _line(self, text: str) -> None:
        self._stream.write(f"{self._name}: {text}\n")
        self._stream.flush()
