"""The outbox: how much at a time, how often, how long."""

from __future__ import annotations

from config.settings.env import flag, integer

OUTBOX_BATCH_SIZE = integer("OUTBOX_BATCH_SIZE", 500, least=1, most=5_000)
"""Events of one delivery."""
OUTBOX_SWEEP_SECONDS = integer("OUTBOX_SWEEP_SECONDS", 2, least=1, most=3_600)
"""How often beat looks for events that no hint told of."""
OUTBOX_MAX_ATTEMPTS = integer("OUTBOX_MAX_ATTEMPTS", 8, least=1, most=100)
"""Tries of an event before it becomes a dead letter. Outages cost none."""
OUTBOX_RETENTION_DAYS = integer("OUTBOX_RETENTION_DAYS", 7, least=1, most=3_650)
"""Days that dead letters, tombstones and the history of deliveries are kept."""
OUTBOX_HISTORY = flag("OUTBOX_HISTORY", default=False)
"""Whether delivered events are kept, for OUTBOX_RETENTION_DAYS, instead of deleted."""
OUTBOX_WAKE = True
"""Whether commits send hints to the workers."""
