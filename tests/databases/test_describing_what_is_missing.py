"""describe_databases tells a database that is not configured from one that must be."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from databases import placement

pytestmark = pytest.mark.django_db(databases="__all__")


def described() -> tuple[dict[str, dict[str, Any]], int]:
    """Return the rows by store, and the exit code."""
    out = StringIO()
    code = 0
    try:
        call_command("describe_databases", "--json", stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return {row["store"]: row for row in json.loads(out.getvalue())["stores"]}, code


@pytest.fixture
def rows_elsewhere():
    """Let the rows of workspace live on an alias that nothing names."""
    placement.record({"workspace": "data"})
    yield
    placement.forget()


def test_an_alias_that_is_not_configured_is_served_by_the_primary_but_a_replica_is_not():
    rows, _ = described()

    for store in ("cache", "analytics", "documents", "compliance", "data"):
        configured = store in connections.settings
        assert rows[store]["served_by"] == (store if configured else "default")
    if "replica" not in connections.settings:
        assert rows["replica"]["state"] == "not configured"
        assert rows["replica"]["served_by"] == ""


def test_rows_on_a_database_that_is_not_configured_are_a_finding(rows_elsewhere):
    known = connections.settings.pop("data", None)
    try:
        placement.refresh()
        rows, code = described()
    finally:
        if known is not None:
            connections.settings["data"] = known
        placement.forget()

    assert code == 1
    assert rows["data"]["state"].startswith("down: not configured")
    assert rows["data"]["apps"] == ["workspace"]
