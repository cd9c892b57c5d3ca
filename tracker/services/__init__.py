"""What can be done to todos, timers, friendships and reports: one verb per function."""

from __future__ import annotations
