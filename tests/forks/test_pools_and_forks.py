"""A pool opened before a fork is never shared; children serve as if they were the first."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery
from django.db import connection, connections

from tests.running_site import IN_A_ZONE, ROOT, Site
from tests.waiting import eventually

ROUNDS = 1000


def in_a_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a child made by fork."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = {"answer": work()}
        except BaseException as error:  # noqa: BLE001 - the parent shall see it
            answer = {"error": repr(error)}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = json.loads(pipe.read())
    os.waitpid(pid, 0)
    assert "error" not in told, told
    return told["answer"]


def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def grow(size: int) -> int:
    """Take `size` connections from the pool at once; return how many were different."""
    pool = connections["default"].pool  # type: ignore[attr-defined]  # our backend has one
    pool.open()
    taken = [pool.getconn(timeout=5) for _ in range(size)]
    pids = {found.info.backend_pid for found in taken}
    for found in taken:
        pool.putconn(found)
    return len(pids)


@pytest.mark.django_db(transaction=True, databases=["default"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestAfterAFork:
    def test_the_child_speaks_over_a_connection_of_its_own(self):
        mine = backend_pid()

        theirs = in_a_child(backend_pid)

        assert theirs != mine
        assert backend_pid() == mine

    def test_the_child_s_pool_grows(self):
        backend_pid()

        assert in_a_child(lambda: grow(5)) == 5

    def test_the_parent_s_pool_goes_on(self):
        backend_pid()
        in_a_child(lambda: grow(3))

        assert grow(5) == 5

    def test_a_transaction_that_the_parent_has_open_is_not_the_child_s(self):
        from django.db import transaction

        with transaction.atomic():
            mine = backend_pid()
            assert in_a_child(lambda: connection.in_atomic_block) is False
            assert backend_pid() == mine


@pytest.mark.outage
def test_forked_web_processes_serve_a_thousand_requests_without_a_pool_error(site):
    paths = ["/admin/login/", IN_A_ZONE, "/api/health/databases"]
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        statuses = Counter(
            answer.status_code
            for answer in clients.map(site.get, (paths[n % 3] for n in range(ROUNDS)))
        )

    assert statuses == {200: ROUNDS}


BEGINNING = """
import celery.fixups.django as celery_s
import django
django.setup()
from celery.signals import worker_process_init
from config.celery import app

fixup = celery_s.DjangoWorkerFixup(app)
worker_process_init.connect(fixup.on_worker_process_init)
closed = []
celery_s._maybe_close_fd = closed.append
worker_process_init.send(sender=None)
assert closed == [], closed
"""


def test_celery_closes_no_descriptor_of_a_connection_that_the_child_opened_itself(
    servers_of_the_session,
):
    environment = Site(servers_of_the_session.environment()).environment

    subprocess.run([sys.executable, "-c", BEGINNING], cwd=ROOT, env=environment, check=True)


@pytest.mark.outage
def test_forked_workers_run_a_thousand_tasks_without_a_pool_error(site):
    queue = f"tests-{uuid.uuid4().hex}"
    site.spawn(
        *("celery", "-A", "config", "worker", "--queues", queue, "--concurrency", "2"),
        *("--include", "tests.forks.tasks_of_the_tests", "--without-mingle", "--without-gossip"),
    )
    store = redis.Redis.from_url(site.environment["REDIS_URL"])
    with Celery("sender", broker=site.environment["REDIS_URL"], set_as_current=False) as sender:
        for _ in range(ROUNDS):
            sender.send_task("tests.ask_every_database", kwargs={"counter": queue}, queue=queue)

    eventually(lambda: sum(map(int, store.hvals(f"done-{queue}"))) == ROUNDS, seconds=120)
    assert store.hlen(f"done-{queue}") == 2
