"""Sessions as the primary has them: one query for a session and its user."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    load_backend,
)
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.base import SessionBase
from django.db import connections, router
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import Session, User
from accounts.sessions import feed
from accounts.sessions.entries import USER_FIELDS, Entry
from databases.backend.wrapper import breaker_of
from databases.breaker import Breaker, BreakerState, listen

_COLUMNS: Final = ("id", "user_id", "data", "version", "expires_at", "last_seen_at")
_OF_USER: Final = (*USER_FIELDS, "password")
_DATES: Final = frozenset({"date_joined", "updated_at"})


def alias() -> str:
    """Return the alias where sessions are read and written; never a replica."""
    return router.db_for_write(Session)


def breaker() -> Breaker:
    """Return what this process knows of whether the primary answers."""
    return breaker_of(connections[alias()].settings_dict)


def _note_recovery(state: BreakerState) -> None:
    if not state.open and state.store == breaker().store:
        feed.note_an_answer()


listen(_note_recovery)


def rows() -> Any:
    """Return all sessions, on the primary."""
    return Session.objects.using(alias())


def load(key_hash: str, *, seen: int, decoder: SessionBase) -> Entry | None:
    """Return the session with this key, or None where there is none, or it has expired.

    :param seen: the version that its browser has seen.
    :param decoder: the store whose salt the data is signed with.
    """
    found = (
        rows()
        .current(at=timezone.now())
        .filter(key_hash=key_hash)
        .values_list(*_COLUMNS, *(f"user__{name}" for name in _OF_USER))
        .first()
    )
    if found is None:
        return None
    row_id, user_id, data, version, expires_at, last_seen_at = found[: len(_COLUMNS)]
    values = decoder.decode(data)
    of_user = dict(zip(_OF_USER, found[len(_COLUMNS) :], strict=True))
    user = _who_may_go_on(values, of_user)
    return Entry(
        id=str(row_id),
        key_hash=key_hash,
        user_id=str(user_id or ""),
        values=values,
        version=version,
        seen=seen,
        expires_at=expires_at.timestamp(),
        last_seen_at=last_seen_at.timestamp(),
        user=user,
        # Within a transaction, what was read may never be committed.
        lasting=(user is not None or SESSION_KEY not in values)
        and not connections[alias()].in_atomic_block,
    )


def user_of(entry: Entry) -> User:
    """Return the user as Django would have loaded them; what is not remembered is loaded late."""
    known = dict(entry.user or {})
    known["id"] = UUID(known["id"])
    for name in _DATES:
        known[name] = datetime.fromisoformat(known[name])
    return _made(known)


def _made(known: Mapping[str, Any]) -> User:
    """Return a user with these columns; the others are deferred."""
    # from_db takes the values in the order of the model's columns, whatever the names' order is.
    names = [field.attname for field in User._meta.concrete_fields if field.attname in known]
    return User.from_db(alias(), names, [known[name] for name in names])


def _who_may_go_on(values: Mapping[str, Any], row: dict[str, Any]) -> dict[str, Any] | None:
    """Return what to remember of the user, judged as `django.contrib.auth.get_user` would; None
    where it must judge itself: a signature by an older SECRET_KEY, a backend with other rules."""
    backend = _plain_backend(values.get(BACKEND_SESSION_KEY, ""))
    if backend is None or row["email"] is None or values.get(SESSION_KEY) != str(row["id"]):
        return None
    user = _made(row)
    given = str(values.get(HASH_SESSION_KEY) or "")
    if not backend.user_can_authenticate(user):
        return None
    if not constant_time_compare(given, user.get_session_auth_hash()):
        return None
    known = {name: row[name] for name in USER_FIELDS}
    known["id"] = str(known["id"])
    return known | {name: row[name].isoformat() for name in _DATES}


def _plain_backend(path: str) -> ModelBackend | None:
    if path not in settings.AUTHENTICATION_BACKENDS:
        return None
    backend: Any = load_backend(path)
    if not isinstance(backend, ModelBackend):
        return None
    return backend if type(backend).get_user is ModelBackend.get_user else None
