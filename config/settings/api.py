"""The JSON API: how callers are recognised, and how much they may send."""

from __future__ import annotations

AUTHENTICATORS = [
    "config.authenticators.metrics_token",
    "config.authenticators.access_token",
    "config.authenticators.session",
]
"""Asked in this order; the first that recognises the caller answers."""

DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
"""Bytes of a body that is not a file."""
