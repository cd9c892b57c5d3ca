"""One question per new address, whichever of several processes wants to know, and whoever dies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.conf import settings

from caches.models import Geocode, GeocodeLease
from caches.services.geocoding.addresses import address_of
from tests.caches.geocoders import Sent, World, geocoding, lots
from tests.caches.processes import environment
from tests.homes import databases_of
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

PROCESSES = 4
CALLERS = 20
PLACES = lots(8)
POOL = 5
"""Connections of each process; a provider that is asked must not cost one of them."""


@contextmanager
def caller(world: World, *, callers: int = CALLERS) -> Iterator[subprocess.Popen[str]]:
    """Start a process whose callers are ready to ask; killed at the end if it lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.caches.geocoding_process"],
        cwd=settings.BASE_DIR,
        env=environment() | {"CACHE_POOL_MAX": str(POOL), "PRIMARY_POOL_MAX": str(POOL)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            asked = {
                "url": world.url,
                "addresses": list(PLACES),
                "callers": callers,
                "seconds": 120,
            }
            say(process, json.dumps(asked))
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def say(process: subprocess.Popen[str], line: str) -> None:
    """Send a line."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    """Return the next line.

    :raises AssertionError: when the process ends before.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    return line


def all_say(processes: Sequence[subprocess.Popen[str]], line: str) -> None:
    """Send a line to each."""
    for process in processes:
        say(process, line)


@pytest.mark.timeout(400)
def test_eighty_callers_of_four_processes_make_eight_questions_for_eight_addresses(
    record_property,
) -> None:
    with geocoding("census") as world, ExitStack() as stack:
        world.places = dict(PLACES)
        world.open.clear()
        processes = [stack.enter_context(caller(world)) for _ in range(PROCESSES)]
        for process in processes:
            assert hear(process) == "ready\n"
        all_say(processes, "go")
        assert {hear(process) for process in processes} == {"waiting\n"}
        eventually(lambda: world.waiting == 8)
        # The provider is silent until others have made their queries: nobody holds a connection.
        eventually(lambda: GeocodeLease.objects.count() == 8)
        all_say(processes, "on")
        world.open.set()
        told = [json.loads(hear(process)) for process in processes]

        assert Counter(world.of("census")) == dict.fromkeys(PLACES, 1)
    found = [tuple(place) for one in told for place in one["found"]]
    assert len(found) == PROCESSES * CALLERS
    assert set(found) == set(PLACES.values())
    assert Geocode.objects.count() == 8
    assert not GeocodeLease.objects.exists()
    queries = sorted(seconds for one in told for seconds in one["queries"])
    record_property("bystander_p99_ms", queries[len(queries) * 99 // 100] * 1000)
    # Whoever held a connection would have others wait until the provider answers.
    assert queries[len(queries) // 2] < 0.1
    assert len(queries) >= 50 * PROCESSES


@pytest.mark.timeout(400)
def test_a_process_that_is_killed_in_its_question_is_followed_by_another() -> None:
    first = next(iter(PLACES))
    with geocoding("census") as world, ExitStack() as stack:
        world.places = dict(PLACES)
        world.open.clear()
        dying = stack.enter_context(caller(world, callers=1))
        assert hear(dying) == "ready\n"
        say(dying, "go")
        eventually(lambda: world.waiting == 1)
        living = stack.enter_context(caller(world, callers=1))
        assert hear(living) == "ready\n"
        say(living, "go")
        dying.kill()
        dying.wait()
        eventually(lambda: len(world.asked) == 2)
        assert hear(living) == "waiting\n"
        world.open.set()
        say(living, "on")
        told = json.loads(hear(living))
        assert told["found"] == [list(PLACES[first])]
        assert world.of("census") == [first, first]
    assert Geocode.objects.filter(key=address_of(first).key).exists()


@pytest.mark.timeout(400)
def test_a_provider_that_fails_is_not_stormed_by_those_who_waited() -> None:
    with geocoding("census") as world, ExitStack() as stack:
        world.faults["census"] = lambda *_: Sent(status=400)
        world.open.clear()
        processes = [stack.enter_context(caller(world)) for _ in range(2)]
        for process in processes:
            assert hear(process) == "ready\n"
        all_say(processes, "go")
        assert {hear(process) for process in processes} == {"waiting\n"}
        eventually(lambda: world.waiting == 8)
        all_say(processes, "on")
        world.open.set()
        told = [json.loads(hear(process)) for process in processes]
        asked: Any = Counter(world.of("census"))
    assert {code for one in told for code in one["found"]} == {"caches.geocoders_unavailable"}
    # The process that does not hold the lease may learn of it too late, and ask once more.
    assert max(asked.values()) <= 2
    assert not Geocode.objects.exists()
