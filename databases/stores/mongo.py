"""MongoDB: one client per process, every call bounded, nothing called while it is down."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pymongo
from django.conf import settings
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from common.errors import PolystoreError
from databases.breaker import AliasUnavailable, Breaker, register
from databases.transactions import require_no_transaction

STORE = "mongodb"
LONGEST_BUILD = 3_600.0
"""Seconds that all indexes may take: of a collection that is large already, each takes minutes."""
PROBE_SECONDS = 0.8
_SHARE_OF_A_CALL = 0.9
"""The driver's part of MONGO_TIMEOUT_MS: it looks for a server in steps of half a second, and must
not begin another one just before the end."""
DEFAULT_DATABASE = "polystore"
_OTHER_OPTIONS = 85
"""MongoDB's code for an index that is there with other options."""
_READ_WAS_ENDED = 175
"""MongoDB's code (QueryPlanKilled) for a read whose collection was dropped or replaced under it."""

Document = dict[str, Any]


class MongoNotConfigured(PolystoreError):
    """No MONGO_URL is set; PostgreSQL serves instead."""

    code = "databases.mongodb_not_configured"
    status = 503
    remedy = "Set MONGO_URL to use MongoDB."


class NoAnswerInTime(PyMongoError, TimeoutError):
    """No server refused, and none answered: MongoDB hangs, or the way to it is cut."""

    @property
    def timeout(self) -> bool:
        """As of the driver's own errors."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index that some query needs; `ensure_mongo_indexes` makes it."""

    collection: str
    keys: Sequence[tuple[str, int]]
    unique: bool = False
    sparse: bool = False
    partial: Mapping[str, Any] | None = None
    """Only documents that match this are in it; queries must name the same."""
    expire_after: int | None = None
    """Seconds after the moment in its one field at which MongoDB deletes a document."""


_client: pymongo.MongoClient[Document] | None = None
_lock = threading.Lock()
_indexes: list[Index] = []


def configured() -> bool:
    """Tell whether MONGO_URL is set."""
    return bool(settings.MONGO_URL)


def client() -> pymongo.MongoClient[Document]:
    """Return this process's client; a child made by fork gets its own.

    :raises MongoNotConfigured: without MONGO_URL, or with one that cannot be read.
    """
    global _client  # noqa: PLW0603 - one client per process
    if not configured():
        raise MongoNotConfigured("MongoDB is not configured.")
    with _lock:
        if _client is None:
            _client = _new_client()
        return _client


def _new_client() -> pymongo.MongoClient[Document]:
    milliseconds = settings.MONGO_TIMEOUT_MS
    try:
        return pymongo.MongoClient(
            settings.MONGO_URL,
            # Ours win over the URL's: a request never waits longer, whatever the URL asks for.
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            heartbeatFrequencyMS=2000,
            appname="polystore",
            tz_aware=True,
            uuidRepresentation="standard",
        )
    except (ConfigurationError, InvalidURI, ValueError):
        # The driver's message may repeat the URL with its password.
        raise MongoNotConfigured("MONGO_URL cannot be read as a MongoDB URL.") from None


def ping(*, timeout: float = PROBE_SECONDS) -> None:
    """Return when MongoDB's primary answers within `timeout` seconds.

    :raises MongoNotConfigured: without MONGO_URL.
    :raises NoAnswerInTime: when nothing comes back.
    :raises pymongo.errors.PyMongoError: when it refuses.
    """
    try:
        with pymongo.timeout(timeout):
            client().admin.command("ping")
    except PyMongoError as error:
        if _is_silence(error):
            raise NoAnswerInTime(f"no answer within {timeout:g} s") from error
        raise


def _require_a_server() -> None:
    """Spare a request the driver's wait where the driver knows already that nobody would serve it.

    :raises pymongo.errors.ServerSelectionTimeoutError: when there is none.
    """
    known = client().topology_description
    servers = known.server_descriptions().values()
    was_asked = any(one.error is not None or one.is_server_type_known for one in servers)
    if was_asked and not known.has_readable_server(client().read_preference):
        raise ServerSelectionTimeoutError("No server is known to serve.")


def _is_silence(error: PyMongoError) -> bool:
    """Tell a server that does not answer from one that refuses: the driver waits for both."""
    if not error.timeout:
        return False
    seen = client().topology_description.server_descriptions().values()
    return all(one.error is None or getattr(one.error, "timeout", False) for one in seen)


def breaker() -> Breaker:
    """Return MongoDB's breaker."""
    # The driver takes half a second to find that nobody is there, and PostgreSQL serves meanwhile.
    return register(Breaker(STORE, probe=ping, patient=False))


@contextmanager
def database(*, timeout: float | None = None) -> Iterator[Database[Document]]:
    """Give the database to one operation, bounded in time.

    :param timeout: seconds for all calls of the block; MONGO_TIMEOUT_MS by default.
    :raises AliasUnavailable: at once while MongoDB is known to be down, and when it fails now; also
        when a rebuilt collection took the place of the one that was being read.
    :raises TransactionHeldOpen: while a PostgreSQL transaction is open in this thread.
    """
    require_no_transaction(before="MongoDB was called")
    guard = breaker()
    guard.require()
    chosen = client().get_default_database(DEFAULT_DATABASE)
    try:
        if timeout is None:
            _require_a_server()
        bound = settings.MONGO_TIMEOUT_MS / 1000 * _SHARE_OF_A_CALL
        with pymongo.timeout(bound if timeout is None else timeout):
            yield chosen
    except (ServerSelectionTimeoutError, NetworkTimeout, AutoReconnect) as error:
        guard.failed(type(error).__name__, silent=_is_silence(error))
        raise AliasUnavailable(STORE) from error
    except OperationFailure as error:
        if error.code == _READ_WAS_ENDED:
            raise AliasUnavailable(STORE) from error
        raise


def declare_index(index: Index) -> None:
    """Make an index known that `ensure_indexes` shall make."""
    if index not in _indexes:
        _indexes.append(index)


def ensure_indexes() -> Mapping[str, int]:
    """Make every declared index; safe to repeat.

    :returns: collection to how many indexes are declared for it.
    :raises AliasUnavailable: when MongoDB does not answer.
    """
    made: dict[str, int] = {}
    with database(timeout=LONGEST_BUILD) as chosen:
        for index in _indexes:
            _ensure_index(chosen, index)
            made[index.collection] = made.get(index.collection, 0) + 1
    return made


def ensure_indexes_of(collection: str, *, on: str) -> None:
    """Make the indexes that are declared for one collection on another one; safe to repeat.

    :raises AliasUnavailable: when MongoDB does not answer.
    """
    with database(timeout=LONGEST_BUILD) as chosen:
        for index in _indexes:
            if index.collection == collection:
                _ensure_index(chosen, replace(index, collection=on))


def _ensure_index(chosen: Database[Document], index: Index) -> None:
    options: dict[str, Any] = {"unique": index.unique, "sparse": index.sparse}
    if index.partial is not None:
        options["partialFilterExpression"] = dict(index.partial)
    if index.expire_after is not None:
        options["expireAfterSeconds"] = index.expire_after
    try:
        chosen[index.collection].create_index(list(index.keys), **options)
    except OperationFailure as error:
        if index.expire_after is None or error.code != _OTHER_OPTIONS:
            raise
        changed = {"keyPattern": dict(index.keys), "expireAfterSeconds": index.expire_after}
        chosen.command("collMod", index.collection, index=changed)


def is_failure(error: Exception) -> bool:
    """Tell whether `error` is one of the driver's."""
    return isinstance(error, PyMongoError)


def _forget_client() -> None:
    """Leave the parent's client alone: its threads and sockets do not live in a child."""
    global _client, _lock  # noqa: PLW0603 - the child makes its own
    _of_the_parent.append(_client)
    _client = None
    _lock = threading.Lock()


_of_the_parent: list[Any] = []
os.register_at_fork(after_in_child=_forget_client)
