"""A real worker on the real broker: the request id follows into tasks, retries and their tasks."""

from __future__ import annotations

import uuid

import pytest
from celery import Celery
from django.conf import settings

from common.tracing import begin, working_for
from tests.observability.web import running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def worker():
    """Run a prefork worker on a queue of its own."""
    queue = f"tests-{uuid.uuid4().hex}"
    with running(
        "celery",
        "-A",
        "config",
        "worker",
        "--queues",
        queue,
        "--concurrency=1",
        "--without-gossip",
        "--without-mingle",
        "--include",
        "tests.observability.tasks_of_the_tests",
        DJANGO_SETTINGS_MODULE="config.settings.test",
    ) as program:
        program.wait_for(lambda line: line.get("event", "").endswith("ready."))
        yield program, queue


@pytest.fixture
def send(worker):
    """Return a function that sends a task of the tests to the worker."""
    _, queue = worker
    app = Celery("sender", broker=settings.CELERY_BROKER_URL, set_as_current=False)

    def send(name, **arguments):
        app.send_task(name, kwargs=arguments, queue=queue)

    yield send
    app.close()


def event(name, **fields):
    """Return a test for lines about this event."""
    return lambda line: line.get("event") == name and fields.items() <= line.items()


def test_the_request_id_reaches_the_task_its_retry_and_the_task_that_it_sends(worker, send):
    program, _ = worker
    trace = begin(request_id="request-1", traceparent=f"00-{TRACE}-{'1' * 16}-01")

    with working_for(trace):
        send("tests.tried_twice", person="a@example.org")

    first = program.wait_for(event("tests.tried", attempt=0))
    retried = program.wait_for(event("task.retried"))
    second = program.wait_for(event("tests.tried", attempt=1))
    finished = program.wait_for(event("task.finished", task="tests.tried_twice", state="success"))
    followed = program.wait_for(event("tests.followed"))
    for line in (first, retried, second, finished, followed):
        assert line["request_id"] == "request-1"
        assert line["trace_id"] == TRACE
    assert first["task_id"] == second["task_id"] != followed["task_id"]
    assert finished["retries"] == 1


def test_a_task_that_nobody_requested_begins_a_trace_and_leaves_none(worker, send):
    program, _ = worker

    send("tests.follows")
    one = program.wait_for(event("tests.followed"))
    send("tests.follows")
    another = program.wait_for(event("tests.followed"))

    assert one["request_id"] != another["request_id"]
    assert one["request_id"] != "request-1"


def test_a_task_that_fails_says_why_once_and_without_secrets(worker, send):
    program, _ = worker

    send("tests.breaks", url="redis://:s3cret@host")

    failed = program.wait_for(event("task.failed"))
    program.wait_for(event("task.finished", state="failure"))
    assert failed["exception"]["type"] == "builtins.ValueError"
    assert len([line for line in program.raw if "Traceback" in line]) == 1
    assert "s3cret" not in "".join(program.raw)


def test_arguments_and_results_of_tasks_are_not_written_down(worker, send):
    program, _ = worker

    send("tests.tried_twice", person="somebody@example.org")
    program.wait_for(event("task.finished", task="tests.tried_twice", state="success"))
    program.wait_for(event("tests.followed"))

    assert "somebody@example.org" not in "".join(program.raw)
