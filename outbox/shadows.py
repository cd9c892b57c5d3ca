"""Which collections a projection's documents go to: its own, and while it is rebuilt a second one.

Note [No event is lost between two collections]: delivery asks after it has claimed its events, and
believes an answer for FRESH_SECONDS. A rebuild makes its collection known, waits for longer than
that, draws a version from the same sequence as events have, waits until every transaction that was
open then has ended, and copies rows with that version. So an event is either older, and then its
row's change is in what is copied, or newer, and then it is written to both and wins, whichever
comes first. The second collection is written first: when it takes the place of the other between
the two writes, the second write finds the document there already.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

from databases.placement import alias_of
from outbox.models import ProjectionState
from outbox.recording import APP

FRESH_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 4 * FRESH_SECONDS
"""After a change for so long nobody believes the old answer."""

_lock = threading.Lock()
_known: dict[str, str] = {}
_asked = float("-inf")


def collections_of(projection: str) -> tuple[str, ...]:
    """Return where its documents are written, in this order.

    :raises django.db.Error: when the primary does not answer.
    """
    global _known, _asked  # noqa: PLW0603 - the answer of the process
    with _lock:
        now = time.monotonic()
        if now - _asked > FRESH_SECONDS:
            _known = _ask()
            _asked = now
        shadow = _known.get(projection)
    return (shadow, projection) if shadow else (projection,)


def forget() -> None:
    """Ask anew at the next call."""
    global _asked  # noqa: PLW0603 - the answer of the process
    with _lock:
        _asked = float("-inf")


def _ask() -> dict[str, str]:
    rows = ProjectionState.objects.using(alias_of(APP)).exclude(shadow="")
    return dict(rows.values_list("projection", "shadow"))


def _new_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    forget()


os.register_at_fork(after_in_child=_new_lock)
