"""Bring recorded events to their sinks: at least once, a shard by one drainer, a newer one wins.

`drain_once` delivers what is there now, in this process; `outbox.tasks` keeps at it in a worker.
"""

from __future__ import annotations

from outbox.delivery.once import drain_once
from outbox.delivery.outcome import Delivered

__all__ = ["Delivered", "drain_once"]
