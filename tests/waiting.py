"""Wait for something to come true: a test never sleeps for a guess."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.01


def eventually(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Return as soon as `condition` holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"It did not come true within {seconds} s."
        time.sleep(PAUSE)
