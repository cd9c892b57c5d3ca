"""Tasks that only the tests' worker knows."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from django.db import router

from customers.models import BusinessEntity
from databases.stores import redis


@shared_task(name="tests.where_it_reads", bind=True, max_retries=1)
def where_it_reads(self: Task[Any, Any], *, key: str) -> None:
    """Note which database serves a read, at the first try and at its retry."""
    alias = router.db_for_read(BusinessEntity)
    with redis.connection() as store:
        store.rpush(key, alias)
    if self.request.retries == 0:
        raise self.retry(countdown=0)
