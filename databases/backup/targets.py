"""Which databases there are to back up, each once, and how to reach them around poolers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from django.db import connections
from psycopg.conninfo import make_conninfo

from common.errors import PolystoreError
from common.redaction import redact
from databases.aliases import PRIMARY, SPECS, is_replica
from databases.migration.connect import direct_wrapper
from databases.pools import COCKROACH_BACKEND
from databases.probe import conninfo_of

CONNECT_SECONDS: Final = 10
_UNHURRIED: Final = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c row_security=off "
    "-c default_transaction_read_only=off -c lock_timeout=60000"
)


class NotReached(PolystoreError):
    """A database of the backup does not answer, or not as the programs need it."""

    code = "backups.not_reached"
    status = 503
    title = "A database cannot be reached"

    def __init__(self, detail: str, *, remedy: str) -> None:
        """Say what stands in the way, and what can be done."""
        super().__init__(detail)
        self.remedy = remedy


class NoSuchStore(PolystoreError):
    """A name that was given is no database in use."""

    code = "backups.no_such_store"
    status = 422
    title = "No such database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One database, as the programs reach it."""

    alias: str
    settings: dict[str, Any] = field(repr=False)

    @property
    def password(self) -> str:
        """Return the password, which never stands in a command line."""
        return str(self.settings.get("PASSWORD") or "")

    @property
    def address(self) -> str:
        """Return host, port and name for people, without user and password."""
        entry = self.settings
        host = entry.get("HOST") or "localhost"
        port = f":{entry['PORT']}" if entry.get("PORT") else ""
        return f"{host}{port}/{entry['NAME']}"

    def conninfo(self, *, secret: bool = False, **overrides: Any) -> str:
        """Return the connection string; with the password only where it is no argument."""
        options = str(self.settings["OPTIONS"].get("options", ""))
        hidden = {} if secret else {"password": "", "sslpassword": ""}
        return conninfo_of(
            self.settings,
            **{
                "options": f"{options} {_UNHURRIED}".strip(),
                "application_name": f"polystore:{self.alias}:backup",
                "connect_timeout": CONNECT_SECONDS,
                **hidden,
                **overrides,
            },
        )

    def on(self, database: str) -> Target:
        """Return another database of the same server."""
        return Target(alias=self.alias, settings={**self.settings, "NAME": database})

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Give a connection in autocommit to the block.

        :raises NotReached: when the server does not let us in.
        """
        try:
            connection = psycopg.connect(
                make_conninfo(self.conninfo(secret=True)), autocommit=True, prepare_threshold=None
            )
        except psycopg.OperationalError as error:
            reason = redact(" ".join(str(error).split())[:300])
            raise NotReached(
                f"{self.alias!r} does not answer: {reason}",
                remedy="Start it, or leave it out with --only.",
            ) from None
        with connection:
            yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One database to back up, under the first alias that names it."""

    target: Target
    aliases: tuple[str, ...]
    server: str
    """Tells servers apart: PostgreSQL's system identifier, or the address where it is not told."""
    major: int
    version: str
    size: int
    """Bytes that it takes on the server."""

    @property
    def name(self) -> str:
        """Return what the backup calls it."""
        return self.target.alias


def names_in_use() -> list[str]:
    """Return the aliases that can be backed up: all in use but replicas."""
    return [alias for alias in connections.settings if not is_replica(alias)]


def target_of(alias: str) -> Target:
    """Return how the programs reach an alias.

    :raises NoSuchStore: when it is no database in use.
    :raises NotReached: when it is one that the programs cannot speak to.
    """
    if alias not in names_in_use():
        served = alias in SPECS and not is_replica(alias)
        why = "is served by the primary" if served else "is no database in use"
        refused = NoSuchStore(f"{alias!r} {why}.")
        refused.remedy = f"Databases in use: {', '.join(names_in_use())}, mongodb."
        raise refused
    wrapper = direct_wrapper(alias)
    settings: dict[str, Any] = wrapper.settings_dict
    if settings["ENGINE"] == COCKROACH_BACKEND:
        raise NotReached(
            f"{alias!r} is CockroachDB, which PostgreSQL's programs do not back up.",
            remedy="Use its own BACKUP and RESTORE, and --only for the others.",
        )
    if settings["POLYSTORE"]["pooler"]:
        prefix = SPECS[alias].prefixes[0]
        raise NotReached(
            f"{alias!r} is reached through a pooler, which a snapshot does not survive.",
            remedy=f"Set {prefix}_DIRECT_DATABASE_URL to the server behind it.",
        )
    if settings["OPTIONS"].get("sslpassword"):
        raise NotReached(
            f"{alias!r} has an sslpassword, which the programs take in sight of everybody only.",
            remedy="Use a key without a passphrase, readable by the site's user alone.",
        )
    return Target(alias=alias, settings=settings)


def sources(only: tuple[str, ...] = ()) -> list[Source]:
    """Return every database in use, each once, the primary first.

    :param only: aliases; all by default.
    :raises NoSuchStore: for an alias that is not in use.
    :raises NotReached: naming the alias.
    """
    targets = [target_of(alias) for alias in dict.fromkeys(only or names_in_use())]
    found: dict[tuple[str, str], Source] = {}
    for target in sorted(targets, key=lambda each: each.alias != PRIMARY):
        key, source = _looked_at(target)
        known = found.get(key)
        found[key] = source if known is None else _with_alias(known, target.alias)
    return list(found.values())


def _with_alias(source: Source, alias: str) -> Source:
    return Source(
        target=source.target,
        aliases=(*source.aliases, alias),
        server=source.server,
        major=source.major,
        version=source.version,
        size=source.size,
    )


def _looked_at(target: Target) -> tuple[tuple[str, str], Source]:
    with target.connect() as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'),"
            " pg_database_size(current_database()), current_database()"
        ).fetchone()
        assert row is not None  # noqa: S101 - one row, always
        server = _server(connection, target)
    number, version, size, database = row
    source = Source(
        target=target,
        aliases=(target.alias,),
        server=server,
        major=number // 10000,
        version=str(version).partition(" ")[0],
        size=size,
    )
    return (server, str(database)), source


def _server(connection: psycopg.Connection[tuple[Any, ...]], target: Target) -> str:
    try:
        row = connection.execute(
            "SELECT system_identifier::text FROM pg_control_system()"
        ).fetchone()
    except psycopg.Error:  # a service that does not tell
        return target.address.rpartition("/")[0]
    return str(row[0]) if row else ""
