"""Questions about zones: what holds a point, and how the data stands."""

from __future__ import annotations
