"""The connections that migrations, seeding and bulk loads use: around poolers, without hurry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend


@contextmanager
def direct_connection(alias: str) -> Iterator[BaseDatabaseWrapper]:
    """Use, in this block and thread, the way around the pooler for `alias`.

    `<NAME>_DIRECT_DATABASE_URL` names it; without one the ordinary URL serves. Statements may take
    as long as they need; waiting for a lock is still bounded, so that a migration that waits does
    not make everybody queue behind it.

    :raises databases.breaker.AliasUnavailable: when the server does not answer.
    """
    before = connections[alias]
    direct = direct_wrapper(alias)
    connections[alias] = direct
    try:
        _lift_statement_timeout(direct)
        yield direct
    finally:
        direct.close()
        connections[alias] = before


def direct_wrapper(alias: str) -> BaseDatabaseWrapper:
    """Return a connection of its own around the pooler, which the caller closes."""
    entry = _direct_entry(connections[alias].settings_dict)
    made: BaseDatabaseWrapper = load_backend(entry["ENGINE"]).DatabaseWrapper(entry, alias)
    return made


def _lift_statement_timeout(direct: BaseDatabaseWrapper) -> None:
    """Let statements take their time, on this connection only."""
    polystore = direct.settings_dict["POLYSTORE"]
    if polystore["pooler"]:
        # A setting of the session would stay with the pooler's connection and so with others:
        # each transaction lifts the bound for itself.
        polystore["session"] = {**polystore["session"], "statement_timeout": "0"}
        direct.ensure_connection()
        return
    with direct.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")


def _direct_entry(entry: dict[str, Any]) -> dict[str, Any]:
    chosen = entry["POLYSTORE"].get("direct", entry)
    # The name may have been replaced since (test databases), and defaults filled in.
    filled = {**entry, **{k: v for k, v in chosen.items() if k != "NAME"}}
    if chosen is not entry and entry["NAME"] == entry["POLYSTORE"].get("name"):
        filled["NAME"] = chosen["NAME"]
    filled["OPTIONS"] = {k: v for k, v in chosen["OPTIONS"].items() if k != "pool"}
    filled["POLYSTORE"] = dict(chosen["POLYSTORE"])
    if chosen is not entry:
        # Another address, and so another breaker: it may answer while the pooler does not.
        filled["POLYSTORE"]["alias"] = f"{chosen['POLYSTORE']['alias']} (direct)"
    return filled
