"""A log line is one JSON object that says which request it belongs to."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

from common.logging import OnlyFailures, ReadableFormatter, StructuredFormatter
from common.tracing import begin, in_task, working_for


def a_record(message="zones.seeded", *arguments, name="caches", exc_info=None, **extra):
    record = logging.LogRecord(name, logging.INFO, "f.py", 1, message, arguments, exc_info)
    vars(record).update(extra)
    return record


def the_line(record):
    line = StructuredFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def the_exception():
    try:
        raise ValueError("cannot reach redis://:s3cret@host")
    except ValueError:
        return sys.exc_info()


def test_it_says_what_happened_when_and_where():
    line = the_line(a_record("zones.seeded", features=8764))

    assert line["event"] == "zones.seeded"
    assert line["level"] == "info"
    assert line["logger"] == "caches"
    assert line["features"] == 8764
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
    assert "request_id" not in line


def test_it_names_the_request_the_trace_and_the_task():
    trace = in_task(begin(request_id="abc"), task_id="t-1")

    with working_for(trace):
        line = the_line(a_record())

    assert (line["request_id"], line["trace_id"], line["task_id"]) == ("abc", trace.trace_id, "t-1")


def test_extras_cannot_replace_the_fields_of_the_line():
    assert the_line(a_record(event="x", level="y"))["level"] == "info"


def test_it_masks_secrets_in_message_arguments_and_extras():
    line = json.dumps(
        the_line(
            a_record(
                "cannot reach %s",
                "postgres://u:s3cret@h/x",
                url="redis://:s3cret@h",
                token="s3cret",
            )
        )
    )

    assert "s3cret" not in line


def test_an_exception_is_structured_and_masked():
    line = the_line(a_record("task.failed", exc_info=the_exception()))

    assert line["exception"]["type"] == "builtins.ValueError"
    assert line["exception"]["message"] == "cannot reach redis://:***@host"
    assert "Traceback" in line["exception"]["stack"]
    assert "s3cret" not in json.dumps(line)


def test_statements_are_logged_without_the_data_in_them():
    line = the_line(
        a_record(
            "(%.3f) %s; args=%s; alias=%s",
            0.1,
            "SELECT 's3cret'",
            ("s3cret",),
            "default",
            name="django.db.backends",
            sql="SELECT 's3cret'",
            params=("s3cret",),
            alias="default",
            duration=0.1,
        )
    )

    assert line["event"] == "database.query"
    assert line["sql"] == "SELECT '?'"
    assert line["alias"] == "default"
    assert "s3cret" not in json.dumps(line)


def test_a_request_and_the_arguments_of_tasks_are_left_out():
    request = the_line(a_record(name="django.request", request="<GET /x?email=a@b>", status_code=4))
    task = the_line(a_record(name="celery.app.trace", data={"args": "a@b"}))

    assert "a@b" not in json.dumps([request, task])


def test_arguments_that_do_not_fit_cost_no_line():
    assert the_line(a_record("%d zones", "x"))["event"] == "%d zones"


def test_at_a_terminal_people_read_the_same():
    line = ReadableFormatter().format(a_record("zones.seeded", features=3, password="s3cret"))

    assert "INFO" in line.upper()
    assert "caches: zones.seeded  features=3 password=***" in line


def test_at_a_terminal_the_stack_follows():
    line = ReadableFormatter().format(a_record("failed", exc_info=the_exception()))

    assert line.count("\n") > 1
    assert "s3cret" not in line


@pytest.mark.parametrize(("exc_info", "stays"), [(None, False), (the_exception(), True)])
def test_djangos_second_line_about_an_answer_stays_only_with_an_exception(exc_info, stays):
    assert OnlyFailures().filter(a_record(exc_info=exc_info)) is stays
