"""A session as it is remembered: its data, and what a request needs to know of its user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core import signing

USER_FIELDS: Final = (
    "id", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser",
    "date_joined", "updated_at",
)  # fmt: skip
"""What is remembered of a user: enough for `save()` to do what it always does. Triggers tell of
changes to what people change here, and to the password."""
_SALT: Final = "accounts.sessions.entries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the primary said of one session."""

    id: str
    key_hash: str
    user_id: str
    """"" while nobody is signed in."""
    values: Mapping[str, Any]
    """The session's data. Copy before you change it."""
    version: int
    seen: int
    """The newest version that a browser showed when this was read: it is no older than that,
    whatever `version` says."""
    expires_at: float
    """Unix time."""
    last_seen_at: float
    user: Mapping[str, Any] | None
    """USER_FIELDS in JSON's values, where the user may go on in this session: active, and with the
    password that was in force at sign-in. None for strangers and where Django itself must judge."""
    lasting: bool
    """Whether it may be remembered: what must be judged each time may not."""


def sealed(entry: Entry) -> str:
    """Return the text that Redis keeps; whoever can write there can still not sign anybody in."""
    return signing.dumps(
        {
            "id": entry.id,
            "key_hash": entry.key_hash,
            "user_id": entry.user_id,
            "values": entry.values,
            "version": entry.version,
            "seen": entry.seen,
            "expires_at": entry.expires_at,
            "last_seen_at": entry.last_seen_at,
            "user": entry.user,
        },
        salt=_SALT,
    )


def opened(text: str, *, key_hash: str) -> Entry | None:
    """Return the entry in what `sealed` made for this very session, or None."""
    try:
        found = signing.loads(text, salt=_SALT)
        entry = Entry(**found, lasting=True)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    return entry if entry.key_hash == key_hash else None
