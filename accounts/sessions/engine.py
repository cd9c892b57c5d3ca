"""The SESSION_ENGINE: Django's interface to sessions that end everywhere at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Session
from accounts.sessions import keys, primary, reading
from accounts.sessions.entries import Entry
from accounts.sessions.memory import memory
from accounts.sessions.origin import Origin
from databases.transactions import after_commit

CLEARED_AT_ONCE: Final = 5_000


class SessionStore(SessionBase):
    """A session of one request.

    Its cookie holds the key and, once data has changed, the version of the data: whichever process
    answers next knows what the browser has seen.
    """

    origin: Origin | None = None
    """Where somebody signed in with this request; saved with the rest."""

    def __init__(self, session_key: str | None = None) -> None:
        """Take the cookie, or None for a new session."""
        key, self._version = keys.split(session_key or "")
        self._entry: Entry | None = None
        self._base: Mapping[str, Any] | None = None
        """The data as it was read or written last; None before."""
        super().__init__(key or None)

    @property
    def session_key(self) -> str | None:
        """What the cookie holds."""
        key = self._session_key
        return keys.joined(key, self._version) if key else None

    @property
    def entry(self) -> Entry | None:
        """The session as it was found, loaded on first use; None for a new one."""
        self._data()
        return self._entry

    def load(self) -> dict[str, Any]:
        """Return the data, or nothing for a key that does not exist."""
        found = reading.find(self._key_hash(), seen=self._version, decoder=self)
        if found is None:
            self._session_key = None  # nobody chooses the key of a new session
            self._version = 0
            return {}
        self._entry, self._base = found, found.values
        self._version = found.version
        return copy.deepcopy(dict(found.values))

    def exists(self, session_key: str) -> bool:
        """Tell whether the primary has this session."""
        key, _ = keys.split(session_key)
        return bool(primary.rows().filter(key_hash=keys.hash_of(key)).exists())

    def create(self) -> None:
        """Make a new session with the data there is; saved at once."""
        while True:
            self._session_key = keys.new_key()
            self._version, self._entry = 0, None
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        """Write the data.

        Where somebody else has written since it was read, what this request changed is added to
        theirs.

        :raises CreateError: where the key is taken.
        :raises UpdateError: where the session has ended meanwhile.
        """
        if self._session_key is None:
            self.create()
            return
        data = self._data(no_load=must_create)
        if must_create:
            self._insert(data)
            return
        if not self._update(data, version=self._version):
            self._merge(data)
        _forget(self._key_hash())

    def delete(self, session_key: str | None = None) -> None:
        """End the session, or the one with that key."""
        key = keys.split(session_key)[0] if session_key is not None else self._session_key
        if key is None:
            return
        key_hash = keys.hash_of(key)
        primary.rows().filter(key_hash=key_hash).delete()
        _forget(key_hash)

    def flush(self) -> None:
        """End the session and begin with nothing."""
        super().flush()
        self._version, self._entry, self._base = 0, None, None

    @classmethod
    def clear_expired(cls) -> None:
        """Delete the rows of expired sessions, some thousands at a time."""
        at = timezone.now()
        while True:
            some = list(primary.rows().expired(at=at).values_list("pk")[:CLEARED_AT_ONCE])
            if not some:
                return
            primary.rows().filter(pk__in=[pk for (pk,) in some]).delete()

    def _data(self, *, no_load: bool = False) -> dict[str, Any]:
        base: Any = super()
        data: dict[str, Any] = base._get_session(no_load=no_load)
        return data

    def _key_hash(self) -> str:
        return keys.hash_of(self._session_key or "")

    def _columns(self, data: Mapping[str, Any]) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "data": self.encode(dict(data)),
            "expires_at": self.get_expiry_date(),
            "user_id": _user_id(data),
        }
        if self.origin is not None:
            columns |= {"device": self.origin.device, "network": self.origin.network}
        return columns

    def _insert(self, data: Mapping[str, Any]) -> None:
        try:
            with transaction.atomic(using=primary.alias()):
                primary.rows().create(key_hash=self._key_hash(), **self._columns(data))
        except IntegrityError:
            raise CreateError from None
        self._version, self._base = 0, copy.deepcopy(dict(data))

    def _update(self, data: Mapping[str, Any], *, version: int) -> bool:
        """Write over that version; return False where it is not the current one."""
        written = (
            primary.rows()
            .filter(key_hash=self._key_hash(), version=version)
            .update(version=version + 1, **self._columns(data))
        )
        if written:
            self._version, self._base = version + 1, copy.deepcopy(dict(data))
        return bool(written)

    def _merge(self, data: Mapping[str, Any]) -> None:
        with transaction.atomic(using=primary.alias()):
            row: Session | None = (
                primary.rows().filter(key_hash=self._key_hash()).select_for_update().first()
            )
            if row is None:
                raise UpdateError
            theirs = self.decode(row.data)
            if self._base is not None:
                data = _added(self._base, ours=data, to=theirs)
            if not self._update(data, version=row.version):
                raise UpdateError
        self._session_cache = dict(data)


def _added(
    base: Mapping[str, Any], *, ours: Mapping[str, Any], to: Mapping[str, Any]
) -> dict[str, Any]:
    """Return their data with what we changed since we read `base`."""
    gone = base.keys() - ours.keys()
    changed = {key: value for key, value in ours.items() if key not in base or base[key] != value}
    return {key: value for key, value in to.items() if key not in gone} | changed


def _forget(key_hash: str) -> None:
    """Forget the session in this process now, and again when the transaction has committed; the
    others are told by a trigger."""
    memory.hear(key_hash)
    after_commit("accounts", lambda: memory.hear(key_hash))


def _user_id(data: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(data[SESSION_KEY])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
