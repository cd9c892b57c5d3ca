"""Stores and processes end at the worst moment, with writers throughout: no message is lost,
doubled, reordered, brought back or missed by a follower, and both stores agree soon after.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pymongo
import pytest
from pymongo.errors import AutoReconnect

from tests.messaging_site import Chatter, MessagingSite, judge
from tests.outbox_site import pause_between
from tests.waiting import eventually

pytestmark = [pytest.mark.outage, pytest.mark.timeout(400)]
FEW_SEEDS = (1,)
MANY_SEEDS = tuple(range(2, 53))


@pytest.fixture(scope="module")
def site(servers_of_the_session):
    """Yield a site with worker and beat."""
    with MessagingSite(servers_of_the_session).serving() as made:
        yield made


class Happening:
    """One test's people, and what befalls them."""

    def __init__(self, site: MessagingSite, seed: int) -> None:
        self.site, self.servers = site, site.servers
        self.chance = random.Random(seed)
        self.seed = seed
        self.chatters = [Chatter(site, seed * 100)]

    def pause(self, least: float = 0.3, most: float = 1.5) -> None:
        pause_between(self.chance, least, most)

    def mongodb_is_killed(self) -> None:
        self.servers.kill("mongodb")
        self.pause()
        self.servers.start("mongodb")

    def mongodb_hangs(self) -> None:
        self.servers.pause("mongodb")
        self.pause(0.5, 2.5)
        self.servers.resume("mongodb")

    def mongodb_restarts(self) -> None:
        self.servers.restart("mongodb")

    def mongodb_steps_down(self) -> None:
        with pymongo.MongoClient(self.site.mongo_url) as client, suppress(AutoReconnect):
            client.admin.command("replSetStepDown", 1, secondaryCatchUpPeriodSecs=0, force=True)

    def postgresql_stops(self) -> None:
        self.servers.stop("primary")
        self.pause()
        self.servers.start("primary")

    def postgresql_is_killed(self) -> None:
        self.servers.kill("primary")
        self.servers.start("primary")

    def those_who_talk_are_killed(self) -> None:
        self.chatters[-1].kill()
        self.chatters.append(Chatter(self.site, self.seed * 100 + len(self.chatters)))

    def the_worker_is_killed(self) -> None:
        self.site.kill(self.site.processes["worker"])
        self.site.processes["worker"] = self.site.worker()

    def until_nothing_waits(self) -> None:
        """Let both stores have what was written before: what only one has may not be shown while
        that one is away."""
        # Writers go on, so that something is always on its way: look for a moment without.
        eventually(self._few_wait)

    def _few_wait(self) -> bool:
        try:
            behind, front = self.site.behind(), self.site.front()
        except Exception:  # noqa: BLE001 - a store is just starting
            return False
        return (
            not any(one[2] for one in behind.values())
            and sum(one[2] for one in front.values()) <= 3
        )


FAULTS = (
    *("mongodb_is_killed", "mongodb_hangs", "mongodb_restarts", "mongodb_steps_down"),
    *("postgresql_stops", "postgresql_is_killed"),
    *("those_who_talk_are_killed", "the_worker_is_killed"),
)
ALWAYS = ("mongodb_is_killed", "mongodb_hangs", "postgresql_stops")
"""Faults that every run of the tests tries alone; a schedule mixes all of them."""


def run(site: MessagingSite, seed: int, faults: list[str]) -> None:
    """Let these faults happen, one after the other."""
    happening = Happening(site, seed)
    try:
        for fault in faults:
            happening.pause(0.2, 0.8)
            happening.until_nothing_waits()
            getattr(happening, fault)()
            happening.pause(0.2, 0.8)
        judge(site, happening.chatters)
    finally:
        for chatter in happening.chatters:
            chatter.kill()


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=() if fault in ALWAYS else pytest.mark.long) for fault in FAULTS],
)
def test_nothing_is_lost_when(fault, site, servers) -> None:
    site.talk_anew()
    run(site, FAULTS.index(fault) + 1_000, [fault])


@pytest.mark.long
def test_nothing_is_lost_when_both_fail_in_turn(site, servers) -> None:
    site.talk_anew()
    run(site, 2_000, ["mongodb_is_killed", "postgresql_stops", "mongodb_hangs"])


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_nothing_is_lost_with_a_schedule_by_chance(seed, site, servers) -> None:
    by_seed(site, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_nothing_is_lost_with_any_seed(seed, site, servers) -> None:
    by_seed(site, seed)


def by_seed(site: MessagingSite, seed: int) -> None:
    """Let a schedule happen that the seed alone decides; it is in the test's name."""
    site.talk_anew()
    chance = random.Random(seed)
    run(site, seed, [chance.choice(FAULTS) for _ in range(4)])
