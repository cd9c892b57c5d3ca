"""Nobody ever misses their own write, whatever the replica does meanwhile.

200 users, a tenth of whose requests write, go through the real middleware with real cookies; the
replica's replay stops and goes on at random, and somebody writes rows by the thousand beside them.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import contextmanager
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, router
from django.http import HttpResponse
from django.test import AsyncRequestFactory

from accounts.models import User as Account
from benchmarks.crowd import Crowd, bulk_writer, make_users
from customers.models import BusinessEntity
from databases import replica
from databases.causality import COOKIE
from databases.middleware import CausalReadsMiddleware
from databases.testing import replica_lag
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif("replica" not in connections.settings, reason="this shape has no replica"),
    pytest.mark.django_db(transaction=True, databases=["default", "replica"]),
]
USERS = 200
SECONDS = 5.0
FEW_SEEDS = (1, 2)
MANY_SEEDS = tuple(range(3, 15))
LONGEST_PAUSE = 0.4


@pytest.fixture
def owner():
    """Return an account, once the replica has caught up with the test's database."""
    made = Account.objects.create(email="owner@example.org")
    copy = replica.get("replica")
    eventually(lambda: copy.look().usable and copy.state().lag_bytes == 0)
    yield made
    connections["replica"].close()


@contextmanager
def replay_stops_and_goes(seed: int):
    """Stop the replica's replay and let it go on, at random, until the end of the block."""
    chance = random.Random(seed)
    over = threading.Event()

    def disturb() -> None:
        while not over.wait(chance.uniform(0, LONGEST_PAUSE)):
            with replica_lag(catch_up=False):
                over.wait(chance.uniform(0, LONGEST_PAUSE))
        connections.close_all()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        yield
    finally:
        over.set()
        disturber.join()


def simulate(seed: int, owner: Account) -> None:
    users = make_users(USERS, owner_id=owner.pk)
    crowd = Crowd(CausalReadsMiddleware, users, think_seconds=0.05, seed=seed)

    with bulk_writer(), replay_stops_and_goes(seed):
        seen = crowd.run(SECONDS)

    told = f"Seed {seed}: {seen.reads} reads, {len(seen.stale)} stale. {seen.stale[:5]}"
    assert not seen.stale, told
    assert not seen.failures, f"Seed {seed}: {seen.failures[:5]}"
    # It was put to the test: there were writes, and reads on both servers.
    assert seen.writes > 50
    assert 0.05 < seen.replica_share < 1.0, f"Seed {seed}: {seen.replica_share:.2f}"


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_nobody_misses_their_own_write(seed, owner):
    simulate(seed, owner)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_nobody_misses_their_own_write_with_many_seeds(seed, owner):
    simulate(seed, owner)


def test_coroutines_of_many_users_never_share_pins(owner):
    # Every other user has written; all are served at once, in one event loop, and meet in between.
    users = 20

    async def view(request):
        writes = request.method == "POST"
        if writes:
            await sync_to_async(BusinessEntity.objects.create)(legal_name="x", owner_id=owner.pk)
        await everybody_is_here.wait()
        alias = await sync_to_async(router.db_for_read)(BusinessEntity)
        return HttpResponse(alias)

    async def serve(number: int) -> tuple[str, bool]:
        method = "POST" if number % 2 else "GET"
        layer: Any = CausalReadsMiddleware(cast(Any, view))
        response = await layer(AsyncRequestFactory().generic(method, "/"))
        return response.content.decode(), COOKIE in response.cookies

    async def all_at_once() -> list[tuple[str, bool]]:
        try:
            return await asyncio.gather(*(serve(number) for number in range(users)))
        finally:
            await sync_to_async(connections.close_all)()

    everybody_is_here = asyncio.Barrier(users)
    with replica_lag():
        answers = asyncio.run(all_at_once())

    assert answers == [
        ("default", True) if number % 2 else ("replica", False) for number in range(users)
    ]
