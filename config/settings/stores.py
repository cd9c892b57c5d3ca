"""Redis and MongoDB."""

from __future__ import annotations

from typing import Any

from config.settings.env import integer, text

REDIS_URL = text("REDIS_URL")
MONGO_URL = text("MONGO_URL")
MONGO_TIMEOUT_MS = integer("MONGO_TIMEOUT_MS", 500, least=10, most=60_000)
"""Bounds every MongoDB call that a request waits for, also where the URL asks for more."""

CACHES: dict[str, dict[str, Any]] = (
    {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "polystore",
            "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
        }
    }
    if REDIS_URL
    else {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
)
