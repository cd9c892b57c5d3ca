"""The JSON API: how callers are recognised, and how much they may send."""

from __future__ import annotations

from config.settings.env import integer

AUTHENTICATORS = [
    "config.authenticators.metrics_token",
    "config.authenticators.access_token",
    "config.authenticators.session",
]
"""Asked in this order; the first that recognises the caller answers."""

DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
"""Bytes of a body that is not a file."""
MAX_REQUEST_BYTES = integer("MAX_REQUEST_MB", 32, least=1, most=10_240) * 1_048_576
"""Bytes of a whole request, files included."""
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_000
DATA_UPLOAD_MAX_NUMBER_FILES = 20
FILE_UPLOAD_PERMISSIONS = 0o600
MAX_JSON_DEPTH = 32
"""Lists and objects within each other in a body."""
MAX_JSON_VALUES = 100_000
"""Values of a body, keys not counted: a small body may stand for many."""
