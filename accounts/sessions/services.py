"""What can be done to sessions. Each of these ends them everywhere, at once: triggers tell."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from accounts.models import Session
from accounts.querysets import SessionQuerySet
from accounts.services import lock_users
from accounts.sessions import primary
from accounts.sessions.engine import SessionStore
from accounts.sessions.memory import memory
from common.access import SignInNeeded
from common.errors import PolystoreError
from databases.transactions import after_commit, atomic_for
from outbox.recording import record_event
from outbox.registry import NobodySubscribed

AGGREGATE: Final = "session"
ENDED: Final = "session.ended"
"""The event of a session that somebody ended who was not signing out of it."""
MOST_AT_ONCE: Final = 1_000


class SessionNotFound(PolystoreError):
    """There is no such session, or it is somebody else's."""

    code, status, title = "accounts.session_not_found", 404, "No such session"
    remedy = "List your sessions; it may have ended already."


def sessions_of(user_id: UUID, *, at: datetime) -> SessionQuerySet:
    """Return the sessions in which somebody is signed in.

    :param at: now.
    """
    found: SessionQuerySet = primary.rows().of_user(user_id).current(at=at)
    return found


def require_living(*, user_id: UUID, session_id: UUID) -> None:
    """Return where the session still lives, which a new password of its user ends.

    For what is made with a session and outlives it. Locks the user in the open transaction: who
    gives another password at this moment either comes later, and ends what was made, or was first.

    :raises SignInNeeded: where the session has ended meanwhile.
    """
    lock_users([user_id])
    if not primary.rows().of_user(user_id).filter(pk=session_id).exists():
        raise SignInNeeded


def end_session(*, user_id: UUID, session_id: UUID, client: str = "") -> None:
    """End one session of this user.

    :param client: the address of the device that asks.
    :raises SessionNotFound: where the user has no such session.
    """
    sessions = primary.rows().of_user(user_id).filter(pk=session_id)
    if not end_sessions(sessions=sessions, actor_id=user_id, client=client):
        raise SessionNotFound("You have no session with this id.")


def end_other_sessions(*, user_id: UUID, keep: UUID | None, client: str = "") -> int:
    """End the user's sessions on all other devices.

    :param keep: the session that asks; None ends all.
    :param client: the address of the device that asks.
    :returns: how many ended.
    """
    others = primary.rows().of_user(user_id)
    if keep is not None:
        others = others.exclude(pk=keep)
    return end_sessions(sessions=others, actor_id=user_id, client=client)


def end_sessions(
    *, sessions: SessionQuerySet, actor_id: UUID | None = None, client: str = ""
) -> int:
    """End these sessions, a thousand in a transaction; each is told to the audit trail.

    :param actor_id: who ends them.
    :param client: the address of the actor's device.
    :returns: how many ended.
    """
    ended = 0
    keys = list(sessions.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), MOST_AT_ONCE):
        some = keys[start : start + MOST_AT_ONCE]
        with atomic_for("accounts"):
            rows = list(
                primary.rows().filter(pk__in=some).order_by("pk").select_for_update(of=("self",))
            )
            hashes = [row.key_hash for row in rows]
            primary.rows().filter(pk__in=[row.pk for row in rows]).delete()
            for row in rows:
                _tell(row, actor_id=actor_id, client=client)
            memory.hear(*hashes)
            after_commit("accounts", lambda hashes=hashes: memory.hear(*hashes))  # type: ignore[misc]
        ended += len(rows)
    return ended


def clear_expired_sessions() -> None:
    """Delete the rows of sessions that have expired, some thousands at a time."""
    SessionStore.clear_expired()


def _tell(row: Session, *, actor_id: UUID | None, client: str) -> None:
    payload = {
        "user_id": str(row.user_id) if row.user_id else None,
        "actor_id": str(actor_id) if actor_id else None,
        "client": client,
        "device": row.device,
        "reason": "own" if actor_id == row.user_id else "operator",
    }
    try:
        record_event(
            aggregate_type=AGGREGATE, aggregate_id=row.pk, event_type=ENDED, payload=payload
        )
    except NobodySubscribed:
        return
