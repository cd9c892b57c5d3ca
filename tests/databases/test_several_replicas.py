"""Several replicas share the reads; those of the process's own region come first."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.db import connections

from tests.running_site import ROOT

pytestmark = pytest.mark.skipif(
    "replica" not in connections.settings, reason="this shape has no replica"
)

COUNT_READS = """
import collections, json, time, django
django.setup()
from django.db import router
from customers.models import BusinessEntity
from databases import replica
from databases.causality import causal_scope
living = lambda copy: "nonexistent" not in copy.settings["HOST"]
copies = list(filter(living, replica.replicas_of("default")))
deadline = time.monotonic() + 20
# What other tests wrote may still be on its way: a replica that stands still is left alone.
while not all(copy.look().usable for copy in copies) and time.monotonic() < deadline:
    time.sleep(0.02)
counts = collections.Counter()
for _ in range(300):
    with causal_scope():
        counts[router.db_for_read(BusinessEntity)] += 1
print(json.dumps(counts))
"""


def reads_of_three_hundred_callers(servers, **extra: str) -> dict[str, int]:
    """Return how many callers each alias would have served, in a process of its own."""
    environment = os.environ | servers.environment() | extra
    done = subprocess.run(
        [sys.executable, "-c", COUNT_READS],
        cwd=ROOT,
        env=environment | {"DJANGO_SETTINGS_MODULE": "config.settings.test"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def two(servers) -> str:
    """Name the one embedded replica twice: two aliases that are balanced like two servers."""
    return ",".join([servers.environment()["READ_REPLICA_DATABASE_URL"]] * 2)


def test_equals_take_turns(servers):
    counts = reads_of_three_hundred_callers(servers, READ_REPLICA_DATABASE_URL=two(servers))

    assert counts == {"replica": 150, "replica_2": 150}


def test_when_one_is_gone_the_others_serve(servers):
    gone = "postgresql://polystore@/default?host=/nonexistent"
    live = servers.environment()["READ_REPLICA_DATABASE_URL"]

    counts = reads_of_three_hundred_callers(servers, READ_REPLICA_DATABASE_URL=f"{gone},{live}")

    assert counts == {"replica_2": 300}


def test_replicas_of_the_own_region_come_first_and_the_others_stand_in(servers):
    regions = {"READ_REPLICA_DATABASE_URL": two(servers), "READ_REPLICA_REGION": "east,west"}

    near = reads_of_three_hundred_callers(servers, REGION="west", **regions)
    far = reads_of_three_hundred_callers(servers, REGION="south", **regions)

    assert near == {"replica_2": 300}
    assert far == {"replica": 150, "replica_2": 150}


def test_any_alias_may_have_replicas_and_reads_of_others_do_not_go_there(servers):
    live = servers.environment()["READ_REPLICA_DATABASE_URL"]

    counts = reads_of_three_hundred_callers(servers, CACHE_REPLICA_DATABASE_URL=live)

    assert counts == {"replica": 300}
