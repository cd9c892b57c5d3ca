"""Metrics, traces and error tracking. All of it is off, or private, unless a variable says so."""

from __future__ import annotations

from config.error_tracking import start as _start_error_tracking
from config.settings.env import refuse, text

METRICS_TOKEN = text("METRICS_TOKEN")
"""Bearer token of the collector of metrics. It counts as staff for operations, nothing else."""
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise refuse("METRICS_TOKEN must have at least 16 characters.")

SENTRY_DSN = text("SENTRY_DSN")
if SENTRY_DSN:
    try:
        _start_error_tracking(
            dsn=SENTRY_DSN,
            environment=text("SENTRY_ENVIRONMENT"),
            release=text("SENTRY_RELEASE"),
        )
    except Exception:  # noqa: BLE001 - whatever it says, it may quote the DSN and its key
        raise refuse("SENTRY_DSN must be a DSN such as https://key@host/1.") from None
