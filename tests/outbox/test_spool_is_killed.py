"""Whoever delivers accepted rows may be killed at any moment: none is lost, none comes twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import connections, transaction

from analytics import services
from analytics.models import ActivityEvent
from databases.placement import alias_of
from outbox.delivery import drain_once
from outbox.models import DeadLetter, OutboxEvent
from tests.caches.processes import environment
from tests.homes import databases_of
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("analytics"))
AT = datetime(2026, 3, 1, tzinfo=UTC)
FEW_SEEDS = (1, 2, 3)
MANY_SEEDS = tuple(range(4, 28))
ROWS = 3_000
LONGEST = 0.6
"""Seconds that a kill may come after the delivery began; all of it takes about as long."""
DELIVERER = """
import django
django.setup()
from django.conf import settings
settings.OUTBOX_BATCH_SIZE = 20
from outbox.delivery import drain_once
print("begins", flush=True)
while True:
    drain_once("analytics")
"""


def accept(first: int, last: int) -> None:
    """Have rows accepted, in transactions of the primary of a hundred each."""
    for start in range(first, last, 100):
        with transaction.atomic(using="default"):
            for number in range(start, min(start + 100, last)):
                services.record_activity(
                    name="page.viewed", occurred_at=AT, subject_type="page", subject_id=str(number)
                )


@pytest.mark.parametrize(
    "seed", [*FEW_SEEDS, *(pytest.param(seed, marks=pytest.mark.long) for seed in MANY_SEEDS)]
)
def test_a_kill_loses_and_doubles_no_row_and_keeps_the_order(seed: int) -> None:
    chance = random.Random(seed)
    accept(0, ROWS - 500)
    with subprocess.Popen(
        [sys.executable, "-c", DELIVERER],
        cwd=settings.BASE_DIR,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as deliverer:
        try:
            assert deliverer.stdout.readline() == "begins\n"
            moment = time.monotonic() + chance.uniform(0, LONGEST)
            accept(ROWS - 500, ROWS)
            time.sleep(max(0.0, moment - time.monotonic()))
        finally:
            deliverer.kill()

    def is_delivered() -> bool:
        # Until the server has noticed the end of the killed session, its shards are taken.
        return drain_once("analytics").reason == "" and not OutboxEvent.objects.exists()

    eventually(is_delivered)

    with connections[alias_of("analytics")].cursor() as cursor:
        cursor.execute(
            "SELECT subject_id::int, xmin::text::bigint FROM analytics_activityevent ORDER BY id"
        )
        found = cursor.fetchall()
    assert [number for number, _ in found] == list(range(ROWS))
    transactions = [number for _, number in found]
    assert transactions == sorted(transactions)
    assert ActivityEvent.objects.count() == ROWS
    assert not DeadLetter.objects.exists()
