"""Tasks that only the tests' worker knows."""

from __future__ import annotations

import os

from celery import shared_task
from django.db import connections

from databases.stores import redis


@shared_task(name="tests.ask_every_database")
def ask_every_database(*, counter: str) -> None:
    """Ask each database something, then count this task as done."""
    for alias in connections.settings:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            cursor.fetchone()
    with redis.connection() as store:
        store.hincrby(f"done-{counter}", str(os.getpid()), 1)
