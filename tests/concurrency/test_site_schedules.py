"""Whatever happens to a whole site, by any schedule: what was answered is there, once, and shown.

Web, worker and beat; people over HTTP who ask again until they are answered; SQL that commits late;
events that nobody can deliver; two or three faults by seed, sometimes two at the same time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from devservers.sets import ServerSet
from tests import faults
from tests.outbox_site import pause_between
from tests.whole_site import WholeSite, in_use, start_again

pytestmark = pytest.mark.outage
FEW_SEEDS = (1,)
MANY_SEEDS = tuple(range(2, 52))


@pytest.fixture(scope="module")
def site(servers_of_the_session):
    """Yield a whole site."""
    made = WholeSite(servers_of_the_session)
    try:
        made.up()
        yield made
    finally:
        made.stop()
        made.forget()


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_what_was_answered_is_there_once(site, servers, seed) -> None:
    run(site, servers, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_what_was_answered_is_there_once_with_any_seed(site, servers, seed) -> None:
    run(site, servers, seed)


def run(site: WholeSite, servers: ServerSet, seed: int) -> None:
    """Let a schedule of faults happen."""
    chance = random.Random(seed)
    with in_use(site, seed=seed):
        for _ in range(chance.choice((2, 3))):
            pause_between(chance, 0.2, 0.8)
            happen(site, servers, chance)
        pause_between(chance, 0.2, 0.8)


Fault = Callable[[WholeSite, ServerSet], None]


def happen(site: WholeSite, servers: ServerSet, chance: random.Random) -> None:
    """Let one fault happen, or one of a server and one of a process at the same time."""
    of_a_server, of_a_process = chance.choice(OF_SERVERS), of_processes(chance)
    which = chance.randrange(3)
    if which == 0:
        of_a_server(site, servers)
    elif which == 1:
        of_a_process(site, servers)
    else:
        beside = threading.Thread(target=of_a_server, args=(site, servers))
        beside.start()
        try:
            pause_between(chance, 0.0, 0.5)
            of_a_process(site, servers)
        finally:
            beside.join()


OF_SERVERS: tuple[Fault, ...] = (
    faults.mongodb_is_killed,
    faults.mongodb_hangs,
    faults.mongodb_steps_down,
    faults.redis_is_killed,
    faults.redis_hangs,
    faults.redis_forgets_everything,
    faults.redis_forgets_all_that_it_acknowledged,
    faults.the_primary_restarts,
    faults.the_primary_is_killed,
)


def of_processes(chance: random.Random) -> Fault:
    """Return a fault of a process, or of one of its children."""
    name = chance.choice(("web", "worker", "beat"))

    def is_killed(site: WholeSite, servers: ServerSet) -> None:
        site.kill(site.processes[name])
        site.processes[name] = start_again(site, name)

    def loses_a_child(site: WholeSite, servers: ServerSet) -> None:
        site.kill_a_child_of(name, chance)

    return is_killed if name == "beat" or chance.random() < 0.5 else loses_a_child
