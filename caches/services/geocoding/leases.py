"""Who asks for an address: one process of all, until it is done or its lease runs out.

# Note [One question, whoever dies]
A lease is a row of the cache's own database, which every process that could store an answer
reaches: no lock and no transaction is held while a provider is asked, and the thread gives its
connections back to their pools. Its owner makes it longer every other second, so that whoever
waits takes over soon after the owner died. An owner that slept through its lease finds another
token there, and may not store. Times are those of the database alone.

An end without anything to store leaves the row with its token and what became of it: those who
waited for that token are told the same. Whoever comes later asks anew, so no failure is kept.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, router

from caches.models import GeocodeLease
from common.ids import uuid7

LEASE_SECONDS: Final = 10.0
"""From the last sign of life of its owner; above what a busy machine may stall."""
KEPT: Final = dt.timedelta(minutes=10)

_CLAIM: Final = """
INSERT INTO caches_geocodelease (key, token, until, outcome)
SELECT key, %(token)s, clock_timestamp() + %(seconds)s * interval '1 second', ''
FROM unnest(%(keys)s::text[]) AS key
ON CONFLICT (key) DO UPDATE
SET token = EXCLUDED.token, until = EXCLUDED.until, outcome = ''
WHERE caches_geocodelease.until <= clock_timestamp()
RETURNING key
"""
_EXTEND: Final = """
UPDATE caches_geocodelease SET until = clock_timestamp() + %(seconds)s * interval '1 second'
WHERE key = ANY(%(keys)s::text[]) AND token = %(token)s
"""
_END: Final = """
UPDATE caches_geocodelease SET until = clock_timestamp(), outcome = %(outcome)s
WHERE key = %(key)s AND token = %(token)s
"""
_GIVE_BACK: Final = """
DELETE FROM caches_geocodelease
WHERE key = ANY(%(keys)s::text[]) AND token = %(token)s AND outcome = ''
"""
_LOOK: Final = """
SELECT token, until <= clock_timestamp(), outcome FROM caches_geocodelease WHERE key = %(key)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The lease of somebody else."""

    token: uuid.UUID
    ended: bool
    outcome: str


def claim(keys: Iterable[str]) -> tuple[uuid.UUID, frozenset[str]]:
    """Take the leases of these addresses that nobody holds; return the token, and whose they are.

    :raises django.db.OperationalError: when the database does not answer.
    """
    token = uuid7()
    # In one order, so that two batches never wait for each other in a circle.
    asked = sorted(set(keys))
    taken = _run(_CLAIM, keys=asked, token=token, seconds=LEASE_SECONDS)
    return token, frozenset(row[0] for row in taken)


def extend(keys: Iterable[str], token: uuid.UUID) -> int:
    """Hold leases for longer from now; return how many are still those of the token."""
    return len(_run(_EXTEND, keys=list(keys), token=token, seconds=LEASE_SECONDS))


def end(key: str, token: uuid.UUID, *, outcome: str = "") -> None:
    """Give a lease back, with what became of it where nothing was stored."""
    if outcome:
        _run(_END, key=key, token=token, outcome=outcome)
    else:
        end_all([key], token)


def look(key: str) -> Seen | None:
    """Return the lease of an address, or None where there is none (any more)."""
    rows = _run(_LOOK, key=key)
    return Seen(token=rows[0][0], ended=rows[0][1], outcome=rows[0][2]) if rows else None


def prune(*, at: dt.datetime) -> int:
    """Delete leases that ended a while ago."""
    rows = GeocodeLease.objects.using(router.db_for_write(GeocodeLease))
    return rows.filter(until__lt=at - KEPT).delete()[0]


def end_all(keys: Iterable[str], token: uuid.UUID) -> None:
    """Give back the leases that are still those of the token; those with an outcome stay."""
    _run(_GIVE_BACK, keys=list(keys), token=token)


def _run(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows, or for an update one empty row for each that it changed."""
    with connections[router.db_for_write(GeocodeLease)].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else [()] * cursor.rowcount
