"""One question per address in this process: the first caller asks, the others wait for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from common.errors import PolystoreError
from databases.transactions import give_connections_back

Found = TypeVar("Found")


class _Flight(Generic[Found]):
    def __init__(self) -> None:
        self.landed = threading.Event()
        self.callers = 0
        self.found: Found | None = None
        self.error: BaseException | None = None


class Flights(Generic[Found]):
    """The questions that are under way."""

    def __init__(self, refused: Callable[[], PolystoreError]) -> None:
        """Have those who waited in vain be told what `refused` returns."""
        self._refused = refused
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight[Found]] = {}
        os.register_at_fork(after_in_child=self._begin_anew)

    def fly(self, key: str, ask: Callable[[], Found], *, deadline: float) -> Found:
        """Return what `ask` returns, here or in the thread that came first.

        :raises PolystoreError: what `ask` raised, whoever called it, or that it took too long.
        """
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
            flight.callers += 1
        if leads:
            return self._lead(key, flight, ask)
        give_connections_back()
        if not flight.landed.wait(max(0.0, deadline - time.monotonic())):
            raise self._refused()
        if flight.error is not None:
            # Each caller gets an error of its own: a traceback belongs to one thread.
            raise self._refused() from None
        return flight.found  # type: ignore[return-value]  # there was no error

    def callers(self) -> int:
        """Return how many callers are asking or waiting."""
        with self._lock:
            return sum(flight.callers for flight in self._flights.values())

    def _lead(self, key: str, flight: _Flight[Found], ask: Callable[[], Found]) -> Found:
        try:
            flight.found = ask()
        except BaseException as error:
            flight.error = error
            raise
        else:
            return flight.found
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.landed.set()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._flights = {}
