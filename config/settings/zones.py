"""Opportunity zones: where they come from, and what processes keep of them."""

from __future__ import annotations

from pathlib import Path

from config.settings.env import flag, text

OPPORTUNITY_ZONES_SOURCE = text("OPPORTUNITY_ZONES_SOURCE")
OPPORTUNITY_ZONES_ALLOW_PRIVATE = flag("OPPORTUNITY_ZONES_ALLOW_PRIVATE", default=False)
"""Whether the source may lie in a private network, and be fetched by plain http."""
OPPORTUNITY_ZONES_SNAPSHOTS = text(
    "OPPORTUNITY_ZONES_SNAPSHOTS",
    str(Path(__file__).resolve().parent.parent.parent / ".zones"),
)
"""Folder for copies of the zones that answer, for processes that start while their database is
away; "off" keeps none."""
if OPPORTUNITY_ZONES_SNAPSHOTS == "off":
    OPPORTUNITY_ZONES_SNAPSHOTS = ""
KEEP_ZONES_INDEX = True
