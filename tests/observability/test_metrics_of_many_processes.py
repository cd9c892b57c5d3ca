"""Under gunicorn with several workers, /metrics speaks for all of them."""

from __future__ import annotations

import os
import signal

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.observability.web import a_free_port, running

TOKEN = "a-token-for-the-collector"


@pytest.fixture
def site(tmp_path):
    """Run gunicorn with two workers, and what a crash left in its folder of metrics."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"left behind by a crash")
    port = a_free_port()
    with running(
        "gunicorn",
        "-c",
        "config/gunicorn.py",
        "config.wsgi",
        BIND=f"127.0.0.1:{port}",
        WEB_CONCURRENCY="2",
        METRICS_TOKEN=TOKEN,
        PROMETHEUS_MULTIPROC_DIR=str(folder),
        LOG_LEVEL="DEBUG",
        DJANGO_SETTINGS_MODULE="config.settings.test",
    ) as program:
        program.wait_for(lambda line: "Listening at" in line.get("event", ""))
        yield program, f"http://127.0.0.1:{port}"


def counted(base):
    """Return how many answers of /health all workers together counted, and all metrics' names."""
    response = httpx.get(
        f"{base}/metrics", headers={"authorization": f"Bearer {TOKEN}"}, timeout=60
    )
    assert response.status_code == 200, response.text
    samples = [
        sample
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    ]
    count = sum(
        sample.value
        for sample in samples
        if sample.name == "polystore_http_requests_total" and sample.labels["route"] == "health"
    )
    return count, {sample.name for sample in samples}


def served_by(program):
    """Return the process that answered the next request in the log."""
    return program.wait_for(lambda line: line.get("route") == "health")["process"]


def test_counts_are_summed_and_survive_the_death_of_a_worker(site):
    program, base = site
    workers: set[int] = set()
    sent = 0
    while len(workers) < 2:
        assert sent < 500, "one worker answers everything"
        assert httpx.get(f"{base}/health", timeout=60).json() == {"status": "ok"}
        sent += 1
        workers.add(served_by(program))

    assert [counted(base)[0] for _ in range(6)] == [sent] * 6

    os.kill(workers.pop(), signal.SIGKILL)
    program.wait_for(lambda line: "Booting worker" in line.get("event", ""))
    httpx.get(f"{base}/health", timeout=60)

    assert counted(base)[0] == sent + 1


def test_pools_of_every_worker_are_shown(site):
    _, base = site

    # A session's cookie makes the worker open its pool, whatever becomes of the session.
    httpx.get(f"{base}/metrics", cookies={"sessionid": "x" * 32}, timeout=60)

    assert any("polystore_db_pool_connections" in counted(base)[1] for _ in range(2_000))
