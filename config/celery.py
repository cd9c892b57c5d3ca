"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

app = Celery("polystore")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["accounts.oauth"])

import config.task_tracing  # noqa: E402, F401 - connects to the signals of the application above


@setup_logging.connect(weak=False)
def keep_our_logging(**_: Any) -> None:
    """Leave logging as Django's settings have it: a receiver here stops Celery's own set-up."""


@worker_init.connect(weak=False)
def start_working(**_: Any) -> None:
    """End the worker before its first task when rows live in databases that it does not know."""
    from config.starting import spare_what_is_loaded
    from databases.starting import RowsElsewhere, require_reachable_rows

    try:
        require_reachable_rows()
    except RowsElsewhere as refused:
        # Celery logs what a receiver raises and goes on, unless the process is asked to end.
        raise SystemExit(refused.detail) from None
    spare_what_is_loaded()
