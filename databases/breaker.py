"""One circuit breaker per process and store: nobody waits for a server that is down.

Nygard, "Release It!", chapter 5: closed, open, and one probe that decides. The probe runs in a
thread of its own that lives only while the breaker is open or in doubt, so that no request pays
for it; a child made by fork starts with closed breakers and no threads.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.utils import OperationalError
from django.utils import timezone

from common.errors import PolystoreError
from databases import causality

logger = logging.getLogger("databases.breaker")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5
"""Seconds between two probes of an open breaker: doubled from the first to the longest."""
RECHECK_AFTER = 0.02
RECHECK_WAIT = 0.03
"""A server that refuses at once also says at once that it is back: a caller may wait this long
for a probe's answer when the last one is older than RECHECK_AFTER and was as quick."""
QUICK = 0.005
RARE = 0.1
RARE_WAIT = 0.25
"""Whoever comes RARE seconds after the caller before is told what is true now: unless the store
hangs, a probe that began after they came may take RARE_WAIT, though a refusal takes a millisecond.
So the first caller after a recovery is let in, and a crowd is still answered at once."""


class AliasUnavailable(PolystoreError, OperationalError):
    """A store does not answer; its callers are told at once instead of waiting for it."""

    code = "databases.unavailable"
    status = 503
    title = "A database is not available"
    remedy = "Try again in a moment; the rest of the site works."
    retry_after = 1

    def __init__(self, store: str) -> None:
        """Name the store; its address and the driver's words stay in the log."""
        super().__init__(f"The database {store!r} is not available.", store=store)
        self.store = store
        # Whoever catches this serves from elsewhere, or not at all: the answer says so.
        if (state := causality.current()) is not None:
            state.degraded.add(store)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """What operators see of a breaker."""

    store: str
    open: bool
    reason: str
    since: datetime
    opened: int
    """How often it opened since the process began."""
    refused: int
    """Callers that were turned away since the process began."""


Listener = Callable[[BreakerState], None]


class Breaker:
    """Closed while the store answers; open from the first refusal until a probe gets through.

    :param store: its name in logs, health and errors.
    :param probe: returns when the store answers and raises when it does not; it must keep a
        deadline of its own.
    :param on_recovery: called when the breaker closes again, before callers are let through.
    :param patient: a caller may wait for a probe's answer. Not where callers are served from
        elsewhere meanwhile, or where even a refusal takes its time.
    """

    def __init__(
        self,
        store: str,
        *,
        probe: Callable[[], None],
        on_recovery: Callable[[], None] = lambda: None,
        patient: bool = True,
    ) -> None:
        """Start closed."""
        self.store = store
        self._probe = probe
        self._on_recovery = on_recovery
        self._patient = patient
        self._opened = 0
        self._refused = 0
        self._since = timezone.now()
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget threads, locks and doubts, which belong to the parent process."""
        self.is_open = False
        """True while callers are turned away."""
        self.silent = False
        """True while the server accepts connections and never answers (SIGSTOP, a cut cable):
        then statements that wait for it are given up too."""
        self.opened_at = float("-inf")
        """`time.monotonic()`"""
        self._reason = ""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._nudged = threading.Event()
        self._answered = threading.Event()
        self._called_at = 0.0
        self._probed_since = 0.0
        self._probed_at = 0.0
        self._probe_seconds = 0.0

    def state(self) -> BreakerState:
        """Return what operators see."""
        return BreakerState(
            store=self.store,
            open=self.is_open,
            reason=self._reason,
            since=self._since,
            opened=self._opened,
            refused=self._refused,
        )

    def require(self) -> None:
        """Return when the store may be called.

        :raises AliasUnavailable: at once while the breaker is open.
        """
        if not self.is_open or self._came_back_just_now():
            return
        self._refused += 1
        raise AliasUnavailable(self.store)

    def failed(self, reason: str, *, silent: bool = False) -> None:
        """Open: the store refused, or did not answer in time.

        :param silent: it did not answer; until a probe says otherwise nobody waits for one.
        """
        with self._lock:
            self.silent = self.silent or silent
            self._change(is_open=True, reason=reason)
            self._watch()

    def suspect(self, reason: str) -> None:
        """Ask in the background whether the store still answers; open only if it does not."""
        if self._thread is not None:
            return
        with self._lock:
            self._reason = self._reason or reason
            self._watch()

    def succeeded(self) -> None:
        """Close: somebody just got an answer."""
        if not self.is_open:
            return
        self._on_recovery()
        with self._lock:
            self._change(is_open=False, reason="")
        self._nudged.set()

    def _came_back_just_now(self) -> bool:
        now = time.monotonic()
        rare, self._called_at = now - self._called_at > RARE, now
        if self.silent:
            return False  # nobody waits for silence; the probe that is under way hears its end
        if not self._patient:
            if now - self._probed_at > RARE:
                self._nudged.set()
            return False
        if rare:
            return self._answers_a_new_probe(now)
        age = now - self._probed_at
        if age < RECHECK_AFTER or self._nudged.is_set():
            return False
        if self._probe_seconds > QUICK:
            # It takes its time to refuse, perhaps because it is starting: callers do not wait for
            # its answer, but have it asked sooner than nobody's interest would.
            self._nudged.set()
            return False
        self._answered.clear()
        self._nudged.set()
        self._answered.wait(RECHECK_WAIT)
        return not self.is_open

    def _answers_a_new_probe(self, since: float) -> bool:
        while self.is_open and self._probed_since < since:
            remaining = since + RARE_WAIT - time.monotonic()
            if remaining <= 0:
                break
            self._answered.clear()
            self._nudged.set()
            self._answered.wait(min(remaining, RECHECK_WAIT))
        return not self.is_open

    def _watch(self) -> None:
        """Start the probing thread, unless it runs. The caller holds the lock."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._probe_until_it_answers, name=f"breaker-{self.store}", daemon=True
            )
            self._thread.start()

    def _probe_until_it_answers(self) -> None:
        pause = FIRST_PAUSE
        while not self._probe_once():
            self._answered.set()
            self._nudged.wait(pause * random.uniform(0.75, 1.25))
            self._nudged.clear()
            pause = min(LONGEST_PAUSE, pause * 2)
        self._answered.set()

    def _probe_once(self) -> bool:
        """Return True when the store answered, and so the thread's work is done."""
        started = time.monotonic()
        try:
            self._probe()
            if self.is_open:
                self._on_recovery()
        except Exception as error:  # noqa: BLE001 - whatever it is, the store does not serve
            with self._lock:
                self._note_probe(started)
                self.silent = isinstance(error, TimeoutError)
                self._change(is_open=True, reason=_in_one_line(error))
            return False
        with self._lock:
            self._note_probe(started)
            self._thread = None
            self._nudged.clear()
            self._change(is_open=False, reason="")
        return True

    def _note_probe(self, started: float) -> None:
        self._probed_at = time.monotonic()
        self._probed_since = started
        self._probe_seconds = self._probed_at - started

    def _change(self, *, is_open: bool, reason: str) -> None:
        """Move to a state; the caller holds the lock."""
        self._reason = reason
        self.silent = self.silent and is_open
        if is_open == self.is_open:
            return
        self.is_open = is_open
        self._since = timezone.now()
        self._opened += is_open
        if is_open:
            self.opened_at = time.monotonic()
            logger.error("database.breaker.opened", extra={"store": self.store, "reason": reason})
        else:
            logger.warning("database.breaker.closed", extra={"store": self.store})
        for listener in _listeners:
            try:
                listener(self.state())
            except Exception:
                logger.exception("database.breaker.listener_failed")


_breakers: dict[str, Breaker] = {}
_listeners: list[Listener] = []


def register(breaker: Breaker) -> Breaker:
    """Make `breaker` known by its store's name; the first one of a name wins."""
    return _breakers.setdefault(breaker.store, breaker)


get = _breakers.get
"""Return the breaker of a store by its name, or None where the store was never used here."""


def states() -> list[BreakerState]:
    """Return the state of every breaker of this process."""
    return [breaker.state() for breaker in list(_breakers.values())]


def listen(listener: Listener) -> Callable[[], None]:
    """Call `listener` with the new state whenever a breaker opens or closes.

    :returns: a function that ends it.
    """
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _reset_all_after_fork() -> None:
    for breaker in _breakers.values():
        breaker.reset_after_fork()


os.register_at_fork(after_in_child=_reset_all_after_fork)
