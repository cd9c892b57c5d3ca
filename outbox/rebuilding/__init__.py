"""Bring a whole collection up to date: tell all of its rows again, or build it anew beside itself.

`rebuild` is for a projection whose shape has changed: see Note [No event is lost between two
collections] in `outbox.shadows`. `tell_all` goes through the queue, at a bounded rate.
"""

from __future__ import annotations

from outbox.rebuilding.building import Rebuilt, abort, rebuild
from outbox.rebuilding.refusals import RebuildFailed, RebuildRefused
from outbox.rebuilding.telling import tell_all

__all__ = ["RebuildFailed", "RebuildRefused", "Rebuilt", "abort", "rebuild", "tell_all"]
