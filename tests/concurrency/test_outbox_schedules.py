"""Whatever happens to those who deliver, nothing is lost and no document goes backwards.

Two drainers in processes of their own, four writers with transactions that commit late, somebody
who watches, and a schedule of faults by seed.
"""

from __future__ import annotations

import random
import subprocess

import pytest

from tests.outbox_site import OutboxSite, busy, pause_between, stopped
from tests.waiting import eventually

FEW_SEEDS = (1, 2)
MANY_SEEDS = tuple(range(3, 51))
FAULTS = 5


@pytest.fixture(scope="module")
def site(servers_of_the_session):
    """Yield a site of its own; processes are started by the tests."""
    made = OutboxSite(servers_of_the_session)
    made.manage("migrate_all")
    made.forget()
    yield made
    made.stop()
    made.forget()


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_nothing_is_lost_and_nothing_goes_backwards(site, seed) -> None:
    run(site, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_nothing_is_lost_with_any_seed(site, seed) -> None:
    run(site, seed)


def run(site: OutboxSite, seed: int) -> None:
    """Let a schedule of faults happen."""
    chance = random.Random(seed)
    drainers = [site.drainer(), site.drainer()]
    try:
        eventually(lambda: site.drainers() == 2)
        with busy(site, seed=seed, pause=0.005):
            for _ in range(FAULTS):
                pause_between(chance, 0.1, 0.6)
                chance.choice((is_killed, is_cut, hangs, comes_back_as_a_zombie))(
                    site, drainers, chance
                )
    finally:
        site.stop()


Drainers = list[subprocess.Popen[bytes]]


def is_killed(site: OutboxSite, drainers: Drainers, chance: random.Random) -> None:
    """End one for good and start another."""
    number = chance.randrange(2)
    site.kill(drainers[number])
    drainers[number] = site.drainer()


def is_cut(site: OutboxSite, drainers: Drainers, chance: random.Random) -> None:
    """Take one's locks away while it delivers."""
    site.cut(chance.choice(drainers))


def hangs(site: OutboxSite, drainers: Drainers, chance: random.Random) -> None:
    """Stop one for a while; nobody else may have its shards meanwhile."""
    with stopped(chance.choice(drainers)):
        pause_between(chance, 0.1, 1.0)


def comes_back_as_a_zombie(site: OutboxSite, drainers: Drainers, chance: random.Random) -> None:
    """Stop one with events in hand, give its shards to the other, and let it go on."""
    chosen = chance.choice(drainers)
    with stopped(chosen):
        site.cut(chosen)
        pause_between(chance, 0.3, 1.0)
