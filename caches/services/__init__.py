"""What changes zones: reading sources, writing versions, moving the pointer."""

from __future__ import annotations
