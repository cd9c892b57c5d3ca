"""What can be done to sessions. Each of these ends them everywhere, at once: triggers tell."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from accounts.querysets import SessionQuerySet
from accounts.sessions import primary
from accounts.sessions.engine import SessionStore
from accounts.sessions.memory import memory
from common.errors import PolystoreError
from databases.transactions import after_commit


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


def end_session(*, user_id: UUID, session_id: UUID) -> None:
    """End one session of this user.

    :raises SessionNotFound: where the user has no such session.
    """
    if not end_sessions(sessions=primary.rows().of_user(user_id).filter(pk=session_id)):
        raise SessionNotFound("You have no session with this id.")


def end_other_sessions(*, user_id: UUID, keep: UUID | None) -> int:
    """End the user's sessions on all other devices.

    :param keep: the session that asks; None ends all.
    :returns: how many ended.
    """
    others = primary.rows().of_user(user_id)
    return end_sessions(sessions=others if keep is None else others.exclude(pk=keep))


def end_sessions(*, sessions: SessionQuerySet) -> int:
    """End these sessions.

    :returns: how many ended.
    """
    hashes = list(sessions.values_list("key_hash", flat=True))
    ended: int = primary.rows().filter(key_hash__in=hashes).delete()[0]
    memory.hear(*hashes)
    after_commit("accounts", lambda: memory.hear(*hashes))
    return ended


def clear_expired_sessions() -> None:
    """Delete the rows of sessions that have expired."""
    SessionStore.clear_expired()
