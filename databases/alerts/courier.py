"""The thread that takes alerts out of the house, so that no request ever waits for a mail server.

Of each key only the newest state waits: what flaps is told once, when its hold has passed.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from databases.alerts import channels, ledger
from databases.alerts.channels import Channel
from databases.alerts.ledger import Claim
from databases.alerts.message import Alert

logger = logging.getLogger("databases.alerts")

MOST_WAITING: Final = 200
RETRY_PAUSES: Final = (5.0, 30.0)
"""Seconds before a channel that did not take an alert is tried again."""
FAREWELL_SECONDS: Final = 6.0
"""How long a process that ends waits for what is being delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """An alert that is claimed or delivered when it is due."""

    alert: Alert
    due: float
    channel: str = ""
    """The channel that did not take it; empty while nobody has claimed it yet."""
    tries: int = 0

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what it replaces: an unclaimed alert every other of its key."""
        claimed = f"{self.alert.state} {self.alert.at}" if self.channel else ""
        return (self.alert.key, self.channel, claimed)


class Courier:
    """A bounded set of alerts, and one thread that lives while there are any."""

    def __init__(
        self,
        *,
        claim: Claim = ledger.claim,
        ways: Callable[[], Mapping[str, Channel]] = channels.configured,
    ) -> None:
        """Begin idle.

        :param claim: decides whether this process tells (see `ledger`).
        :param ways: the channels, by name.
        """
        self._claim = claim
        self._ways = ways
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Leave what waits to the parent."""
        self._waiting: dict[tuple[str, str, str], _Waiting] = {}
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, alert: Alert) -> None:
        """Take an alert over; returns at once."""
        self._put(_Waiting(alert=alert, due=time.monotonic()))

    def drain(self, *, seconds: float) -> None:
        """Wait until nothing is due any more, for `seconds` at most."""
        deadline = time.monotonic() + seconds
        with self._news:
            while self._thread is not None and self._any_due() and time.monotonic() < deadline:
                self._news.wait(deadline - time.monotonic())

    def _any_due(self) -> bool:
        now = time.monotonic()
        return self._busy or any(item.due <= now for item in self._waiting.values())

    _busy = False

    def _put(self, item: _Waiting, *, newest: bool = True) -> None:
        with self._news:
            if not newest and item.place in self._waiting:
                return
            if item.place not in self._waiting and len(self._waiting) >= MOST_WAITING:
                logger.error("alert.dropped", extra={"code": item.alert.code})
                return
            self._waiting[item.place] = item
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._handle(item)
            except Exception:
                logger.exception("alert.failed")

    def _next(self) -> _Waiting | None:
        """Return the next item when it is due, or None when there is nothing left to do."""
        with self._news:
            self._busy = False
            self._news.notify_all()
            while self._waiting:
                item = min(self._waiting.values(), key=lambda waiting: waiting.due)
                remaining = item.due - time.monotonic()
                if remaining <= 0:
                    self._busy = True
                    return self._waiting.pop(item.place)
                self._news.wait(remaining)
            self._thread = None
            return None

    def _handle(self, item: _Waiting) -> None:
        if item.channel:
            self._deliver(item)
            return
        verdict = self._claim(item.alert.key, item.alert.state)
        if verdict.tell:
            for channel in self._ways():
                self._deliver(_Waiting(alert=item.alert, due=0.0, channel=channel))
        elif verdict.wait > 0:
            later = time.monotonic() + verdict.wait
            self._put(_Waiting(alert=item.alert, due=later), newest=False)

    def _deliver(self, item: _Waiting) -> None:
        send = self._ways().get(item.channel)
        if send is None:
            return
        facts = {"code": item.alert.code, "store": item.alert.store, "channel": item.channel}
        try:
            send(item.alert)
        except Exception as error:  # noqa: BLE001 - whatever the channel says, others are told
            # Only the kind: a driver's words may repeat the webhook's address, which is a secret.
            logger.warning("alert.not_delivered", extra=facts | {"reason": type(error).__name__})
            if item.tries < len(RETRY_PAUSES):
                due = time.monotonic() + RETRY_PAUSES[item.tries]
                self._put(
                    _Waiting(alert=item.alert, due=due, channel=item.channel, tries=item.tries + 1)
                )
        else:
            logger.info("alert.delivered", extra=facts)


_courier = Courier()


def submit(alert: Alert) -> None:
    """Hand an alert to this process's courier; returns at once."""
    _courier.submit(alert)


def drain(*, seconds: float = FAREWELL_SECONDS) -> None:
    """Wait until this process's courier has nothing that is due, for `seconds` at most."""
    _courier.drain(seconds=seconds)


atexit.register(drain)
os.register_at_fork(after_in_child=_courier.reset_after_fork)
