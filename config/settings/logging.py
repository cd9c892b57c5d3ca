"""Structured logs on standard error: JSON, or readable lines where a person watches."""

from __future__ import annotations

import sys
from typing import Any

from config.settings.databases import LOG_DB_QUERIES
from config.settings.env import refuse, text

LOG_LEVEL = text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise refuse("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_FORMAT = text("LOG_FORMAT", "text" if sys.stderr.isatty() else "json").lower()
if LOG_FORMAT not in {"json", "text"}:
    raise refuse("LOG_FORMAT must be json or text.")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "common.logging.StructuredFormatter"},
        "text": {"()": "common.logging.ReadableFormatter"},
    },
    "filters": {"only_failures": {"()": "common.logging.OnlyFailures"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Django's defaults would write a second, unmasked line.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"filters": ["only_failures"]},
        # The development server's own access lines hold query strings; ours do not.
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "django.db.backends": {"level": "DEBUG" if LOG_DB_QUERIES else "WARNING"},
        # Celery's lines about tasks hold results and arguments; `polystore.tasks` says it instead.
        "celery.app.trace": {"level": "CRITICAL"},
        "celery.worker.strategy": {"level": "WARNING"},
        # At DEBUG both write codes and tokens.
        "oauthlib": {"level": "INFO"},
        "oauth2_provider": {"level": "INFO"},
    },
}
