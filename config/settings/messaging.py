"""Messaging: how far cursors look back, how old membership may be, how much people may send."""

from __future__ import annotations

from config.settings.env import integer, text

MESSAGING_LOOKBACK_SECONDS = integer("MESSAGING_LOOKBACK_SECONDS", 10, least=5, most=600)
"""How far cursors that follow a room look back. A message whose id is older than this when it is
stored gets a fresh one before it is acknowledged."""
MESSAGING_MEMBERSHIP_SECONDS = integer("MESSAGING_MEMBERSHIP_SECONDS", 900, least=10, most=86_400)
"""How old may be what MongoDB knows of members when PostgreSQL is down; then nobody gets in."""
MESSAGING_POSTS_PER_MINUTE = integer("MESSAGING_POSTS_PER_MINUTE", 120, least=1, most=1_000_000)
MESSAGING_SEARCHES_PER_MINUTE = integer(
    "MESSAGING_SEARCHES_PER_MINUTE", 60, least=1, most=1_000_000
)
STREAM_URL = text("STREAM_URL")
"""Where the ASGI process is reached, by browsers too; without it clients poll."""
