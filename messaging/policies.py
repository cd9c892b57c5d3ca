"""Who may read, post, edit, delete and add members: the one place that says so.

Whoever is no member of a room learns nothing of it: 404, as for a room that does not exist. A
member without the right gets 403.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from common.errors import PolystoreError
from messaging.queries.standing import Standing


class NotAllowed(PolystoreError):
    """The caller belongs to the room, and may not do this in it."""

    code, status, title = "messaging.not_allowed", 403, "Not allowed"
    remedy = "Ask somebody whose role allows it."


class Action(StrEnum):
    """What people do in rooms."""

    READ = "read"
    POST = "post"
    EDIT = "edit"
    DELETE = "delete"
    ADD_MEMBERS = "add members"
    REMOVE_MEMBERS = "remove members"
    MANAGE = "manage"
    """Make channels, give roles."""


class Authored(Protocol):
    """A message, as far as rights go."""

    @property
    def member_id(self) -> UUID:
        """Return who wrote it."""


_LEADERS: Final = frozenset({"owner", "moderator"})


def may(standing: Standing, action: Action, *, message: Authored | None = None) -> bool:
    """Tell whether somebody may do this.

    :param message: that is edited or deleted.
    """
    if action in {Action.READ, Action.POST}:
        return True
    if action in {Action.EDIT, Action.DELETE}:
        own = message is not None and message.member_id == standing.member_id
        return own or (action is Action.DELETE and standing.role in _LEADERS)
    if standing.pair:
        return False
    if action is Action.MANAGE:
        return standing.role == "owner"
    return standing.role in _LEADERS


def require(standing: Standing, action: Action, *, message: Authored | None = None) -> None:
    """Return when somebody may do this. Raises NotAllowed."""
    if not may(standing, action, message=message):
        raise NotAllowed(f"You may not {action.value} here.", action=action.value)
