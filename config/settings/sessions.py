"""Sessions: our own engine, see docs/adr/0014."""

from __future__ import annotations

SESSION_ENGINE = "accounts.sessions.engine"
SESSION_MEMORY = True
"""Whether processes remember sessions between requests; False asks the primary each time."""
