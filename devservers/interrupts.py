"""Being asked to stop, and being told of children that ended, without missing either."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType


class StopAsked(BaseException):
    """Somebody pressed Ctrl-C, or asked the process to end; no error, so nothing swallows it."""

    def __init__(self, number: int) -> None:
        """Keep the signal."""
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """Turns the first SIGINT, SIGTERM or SIGHUP into `StopAsked`; later ones are ignored."""

    def __init__(self) -> None:
        """Take over the signals (SIGHUP only where it is not ignored, as under nohup)."""
        self._heed = True
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # Only so that `wait` wakes up.

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._heed:
            self._heed = False
            raise StopAsked(number)

    def heed_no_more(self) -> None:
        """Let what is being stopped be stopped in peace."""
        self._heed = False

    def wait(self) -> None:
        """Return when a child ended (or any signal came).

        :raises StopAsked: when it was one that asks to stop.
        """
        select.select([self._woken], [], [])
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
