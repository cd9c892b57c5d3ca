"""Epoch and pause: the one row that all drainers go by, which may be missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import psycopg

from databases.stores import mongo, versioned
from outbox import registry
from outbox.delivery.session import Session
from outbox.events import ID_BITS

logger = logging.getLogger("outbox.delivery")

_SERVER: Final = """
SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
FROM pg_control_system()
"""
_STATE: Final = "SELECT epoch, server, paused_at IS NOT NULL FROM outbox_deliverystate"
_NOTE_SERVER: Final = """
INSERT INTO outbox_deliverystate AS s (id, epoch, server, paused_by, reason)
VALUES (1, 1, %s, '', '')
ON CONFLICT (id) DO UPDATE SET server = excluded.server WHERE s.server = ''
"""
_NEW_EPOCH: Final = """
INSERT INTO outbox_deliverystate AS s (id, epoch, server, paused_by, reason)
VALUES (1, %(least)s, %(server)s, '', '')
ON CONFLICT (id) DO UPDATE
SET epoch = greatest(s.epoch + 1, %(least)s), server = excluded.server
WHERE %(anyway)s OR s.server <> excluded.server
RETURNING epoch
"""


@dataclass(frozen=True, slots=True)
class State:
    """What the row says."""

    epoch: int = 1
    server: str = ""
    paused: bool = False


def state_of(session: Session) -> State:
    """Read the row; defaults where there is none."""
    rows = session.run(_STATE)
    return State(*rows[0]) if rows else State()


def enter_epoch(session: Session) -> None:
    """Begin a new epoch if another server gives out the ids now: a promotion, a restored copy.

    Its sequence may be behind what the old one gave out, so that new events would look old. To be
    called on every new connection, before anything is delivered.

    :raises databases.breaker.AliasUnavailable: while MongoDB cannot be asked for its versions.
    """
    server = _server(session)
    known = state_of(session).server
    if not server or server == known:
        return
    if not known:
        session.run(_NOTE_SERVER, (server,))
        return
    begun = _begin(session, server, anyway=False)
    if begun:
        logger.warning("outbox.epoch.begun", extra={"epoch": begun})


def begin_new_epoch() -> int:
    """Begin a new epoch, whatever server this is, and return it: after ids were set back.

    For `restore`: everything that is delivered from now on is newer than all that MongoDB holds.

    :raises databases.breaker.AliasUnavailable: while MongoDB or the primary does not answer.
    """
    session = Session()
    try:
        return _begin(session, _server(session), anyway=True)
    finally:
        session.close()


def _begin(session: Session, server: str, *, anyway: bool) -> int:
    parameters = {"least": highest_epoch() + 1, "server": server, "anyway": anyway}
    rows = session.run(_NEW_EPOCH, parameters)
    return int(rows[0][0]) if rows else 0


def highest_epoch() -> int:
    """Return the highest epoch of any document: a restored row may not know of it.

    :raises databases.breaker.AliasUnavailable: while MongoDB does not answer.
    """
    if not mongo.configured():
        return 0
    names = [projection.name for projection in registry.projections()]
    return max((versioned.highest_version(name) >> ID_BITS for name in names), default=0)


def _server(session: Session) -> str:
    """Return system identifier and timeline, or "" where they cannot be had."""
    if not session.postgres:
        return ""
    try:
        return str(session.run(_SERVER)[0][0])
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState):
        return ""
