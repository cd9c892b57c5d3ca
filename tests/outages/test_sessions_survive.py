"""Redis and the primary end at the worst moment, in a storm of people who come and go.

No session is accepted that should not be, nobody is signed out who need not be, and nobody signs in
without the primary.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import psycopg
import pytest
import redis

from devservers.sets import ServerSet
from tests.session_site import SessionSite
from tests.session_storm import BOUND, Storm
from tests.waiting import eventually

pytestmark = pytest.mark.outage


@pytest.fixture
def site(session_site, servers):
    """Yield the site whose processes remember sessions; its servers run again afterwards."""
    yield session_site
    for server in ("redis", "primary"):
        servers.resume(server)
        servers.start(server)
    _recovered(session_site)


def away_for(chance: random.Random) -> None:
    time.sleep(chance.uniform(0.2, 2.0))  # how long an outage lasts


def redis_is_killed(storm: Storm, servers: ServerSet) -> None:
    servers.kill("redis")
    away_for(storm.chance)
    servers.start("redis")


def redis_restarts(storm: Storm, servers: ServerSet) -> None:
    servers.restart("redis")


def redis_forgets_everything(storm: Storm, servers: ServerSet) -> None:
    with redis.Redis.from_url(servers.url_of("redis")) as client:
        client.flushall()


def redis_hangs(storm: Storm, servers: ServerSet) -> None:
    servers.pause("redis")
    away_for(storm.chance)
    servers.resume("redis")


def the_primary_is_killed(storm: Storm, servers: ServerSet) -> None:
    with storm.primary_away(
        by=lambda: servers.kill("primary"), back=lambda: servers.start("primary")
    ):
        away_for(storm.chance)


def the_primary_restarts(storm: Storm, servers: ServerSet) -> None:
    with storm.primary_away(
        by=lambda: servers.stop("primary"), back=lambda: servers.start("primary")
    ):
        away_for(storm.chance)


def the_primary_hangs(storm: Storm, servers: ServerSet) -> None:
    servers.pause("primary")
    away_for(storm.chance)
    servers.resume("primary")


def both_are_killed(storm: Storm, servers: ServerSet) -> None:
    def start() -> None:
        for server in storm.chance.sample(("redis", "primary"), 2):
            servers.start(server)

    with storm.primary_away(by=lambda: servers.kill("primary"), back=start):
        servers.kill("redis")
        away_for(storm.chance)


FAULTS = (
    *(redis_is_killed, redis_restarts, redis_forgets_everything, redis_hangs),
    *(the_primary_is_killed, the_primary_restarts, the_primary_hangs, both_are_killed),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nobody_is_let_in_or_sent_away_when(fault, site, servers) -> None:
    storm = Storm(site, seed=fault.__name__)
    with storm.raging():
        time.sleep(storm.chance.uniform(0.5, 1.0))  # any moment will do
        fault(storm, servers)
        time.sleep(1.5)  # what came of it
    _recovered(site)
    storm.judge()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_let_in_or_sent_away_whatever_happens(seed, site, servers) -> None:
    storm = Storm(site, seed=seed)
    with storm.raging():
        for _ in range(5):
            time.sleep(storm.chance.uniform(0.1, 1.5))  # any moment will do
            storm.chance.choice(FAULTS)(storm, servers)
        time.sleep(1.5)  # what came of it
    _recovered(site)
    storm.judge()


def _recovered(site: SessionSite) -> None:
    def serves() -> bool:
        with suppress(RuntimeError):  # the process that makes people is as blind as the others
            [person] = site.people(1)
            return site.ask_all(*person.cookies) == {200}
        return False

    eventually(serves)


class TestWithoutThePrimary:
    def test_those_whom_redis_vouches_for_stay_and_nobody_signs_in(self, site, servers) -> None:
        [person] = site.people(1)
        _vouched_for(site, person.cookies[0])
        servers.stop("primary")

        # Longer than memory counts: Redis alone vouches by then.
        until = time.monotonic() + 2 * BOUND
        while time.monotonic() < until:
            assert site.ask(person.cookies[0])[0] == 200
        assert site.send("POST", "/sign-in", user=person.id).status == 503
        assert site.send("POST", "/sign-out", cookie=person.cookies[0]).status == 503

        servers.start("primary")
        eventually(lambda: site.ask_all(*person.cookies) == {200}, seconds=10)

    def test_those_whom_nobody_vouches_for_are_told_to_come_back(self, site, servers) -> None:
        known, unknown = site.people(2)
        _vouched_for(site, known.cookies[0])
        servers.stop("primary")
        assert site.ask(unknown.cookies[0])[0] == 503

        servers.stop("redis")
        eventually(lambda: site.ask_all(*known.cookies) == {503}, seconds=BOUND + 1)
        servers.start("redis")
        servers.start("primary")
        eventually(lambda: site.ask_all(*known.cookies, *unknown.cookies) == {200}, seconds=10)

    def test_what_redis_kept_from_before_its_restart_vouches_for_nobody(
        self, site, servers
    ) -> None:
        [person] = site.people(1)
        _vouched_for(site, person.cookies[0])
        servers.stop("primary")
        servers.restart("redis")

        eventually(lambda: site.ask_all(*person.cookies) == {503}, seconds=BOUND + 1)
        servers.start("primary")
        eventually(lambda: site.ask_all(*person.cookies) == {200}, seconds=10)


def test_an_end_that_the_primary_told_nobody_before_it_was_killed_counts_once_it_is_back(
    site, servers
) -> None:
    """While it is away, nobody can know: docs/adr/0017."""
    [person] = site.people(1)
    _vouched_for(site, person.cookies[0])
    for process in _listeners(site):
        os.kill(process, signal.SIGSTOP)  # they tell the site's processes nothing any more
    site.sql("DELETE FROM accounts_session WHERE user_id = %s", person.id)
    servers.kill("primary")
    eventually(lambda: site.ask_all(*person.cookies) == {200})

    servers.start("primary")
    assert site.accepted_for(*person.cookies) < BOUND


@pytest.mark.parametrize("way", ["kill", "pause"])
def test_without_redis_an_end_is_seen_within_a_second(way, site, servers) -> None:
    people = site.people(5)
    assert site.ask_all(*(person.cookies[0] for person in people)) == {200}
    getattr(servers, way)("redis")

    for person in people:
        assert site.ask_all(*person.cookies) == {200}
        site.sql("DELETE FROM accounts_session WHERE user_id = %s", person.id)
        assert site.accepted_for(*person.cookies) < BOUND


def test_a_process_that_cannot_hear_the_primary_does_not_believe_its_memory(site, servers) -> None:
    [person] = site.people(1)
    assert site.ask_all(*person.cookies) == {200}
    servers.stop("redis")

    # The connection that listens is cut over and over, as by a firewall that forgets it.
    until = time.monotonic() + 2 * BOUND
    while time.monotonic() < until:
        site.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
            " OR query = 'SELECT 1'"
        )
        assert site.ask(person.cookies[0])[0] == 200
    site.sql("DELETE FROM accounts_session WHERE user_id = %s", person.id)
    assert site.accepted_for(*person.cookies) < BOUND


def _listeners(site: SessionSite) -> list[int]:
    """Return the processes of the primary that tell the site's processes of ended sessions."""
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE (query LIKE 'LISTEN%' OR query = 'SELECT 1')"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchall()
    return [pid for (pid,) in rows]


def _vouched_for(site: SessionSite, cookie: str) -> None:
    """Return once Redis keeps the session."""
    name = site.run(
        "from accounts.sessions import keys, vouching\n"
        f"result = vouching.PREFIX + 'entry:' + keys.hash_of(keys.split({cookie!r})[0])"
    )
    with redis.Redis.from_url(site.site.environment["REDIS_URL"]) as client:

        def kept() -> bool:
            site.ask_all(cookie)
            return bool(client.exists(name))

        eventually(kept, seconds=10)
