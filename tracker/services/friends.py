"""Friendships: asked for, accepted, declined, blocked, ended. One row per pair, whoever asked.

Both users are locked first, in the order of their ids: what two of them do at the same time comes
one after the other. Whoever was blocked is told that there is no such user.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from accounts.queries import people
from accounts.services import lock_users
from common.errors import PolystoreError
from databases.transactions import atomic_for
from outbox.events import MONGODB
from outbox.recording import record_event
from outbox.wake import hint_after_commit
from tracker.models import Friendship
from tracker.services.standing import to_milliseconds

Status = Friendship.Status


class PersonNotFound(PolystoreError):
    """There is no such user, or none that this one may find."""

    code, status, title = "tracker.person_not_found", 404, "No such person"
    remedy = "Find people with GET /api/users/search."


class FriendshipNotFound(PolystoreError):
    """The two have nothing to do with each other."""

    code, status, title = "tracker.friendship_not_found", 404, "No such friendship"
    remedy = "List yours with GET /api/friends."


class FriendshipRefused(PolystoreError):
    """The way in which the two stand to each other does not allow this."""

    code, status, title = "tracker.friendship_refused", 409, "Not possible as you two stand"
    remedy = "GET /api/friends shows how you stand, and who asked."


def request_friendship(*, user_id: UUID, other_id: UUID, at: dt.datetime) -> Friendship:
    """Ask somebody to be friends. If they asked already, this accepts.

    :param at: now.
    :raises PersonNotFound: also where the other one blocked this one.
    :raises FriendshipRefused: when they are friends, when this one asked already or was declined,
        and while this one blocks the other.
    """
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        found = _locked(user_id, other_id)
        if found is None:
            return _new(user_id, other_id, Status.PENDING, "requested", at=at)
        _require_visible(found, user_id)
        if found.status == Status.BLOCKED:
            raise FriendshipRefused("You block this person.")
        if found.status == Status.ACCEPTED:
            raise FriendshipRefused("You are friends already.")
        if found.asked_by(user_id):
            said = "declined" if found.status == Status.DECLINED else "asked already"
            raise FriendshipRefused(f"Your request was {said}.")
        if found.status == Status.PENDING:
            return _set(found, Status.ACCEPTED, "accepted", at=at)
        found.asked_by_low = user_id == found.low_id
        return _set(found, Status.PENDING, "requested", at=at)


def accept_friendship(*, user_id: UUID, other_id: UUID, at: dt.datetime) -> Friendship:
    """Say yes to a request. Raises FriendshipNotFound or FriendshipRefused."""
    return _answer(user_id, other_id, Status.ACCEPTED, at=to_milliseconds(at))


def decline_friendship(*, user_id: UUID, other_id: UUID, at: dt.datetime) -> Friendship:
    """Say no to a request; the other one cannot ask again. Raises as `accept_friendship` does."""
    return _answer(user_id, other_id, Status.DECLINED, at=to_milliseconds(at))


def block_person(*, user_id: UUID, other_id: UUID, at: dt.datetime) -> Friendship:
    """End whatever there was, and keep the other one from finding or asking this one.

    :raises PersonNotFound: 404.
    """
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        found = _locked(user_id, other_id)
        if found is None:
            found = _pair(user_id, other_id, at=at)
        elif found.blocked_by(user_id):
            return found
        if found.status == Status.DECLINED and found.asked_by(user_id):
            found.was_declined = True
        _set_block(found, user_id, blocks=True)
        return _set(found, Status.BLOCKED, "blocked", at=at)


def remove_friendship(*, user_id: UUID, other_id: UUID, at: dt.datetime) -> None:
    """Unfriend, take a request back, forget a declined one, or unblock.

    :raises FriendshipNotFound: 404.
    :raises FriendshipRefused: for a request of this one's that was declined.
    """
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        lock_users([user_id, other_id])
        found = _existing(user_id, other_id)
        if found.status == Status.DECLINED and found.asked_by(user_id):
            raise FriendshipRefused("Your request was declined.")
        _set_block(found, user_id, blocks=False)
        if found.status == Status.BLOCKED and found.blocked_by(found.other(user_id)):
            _set(found, Status.BLOCKED, "blocked", at=at)
        elif found.was_declined:
            found.was_declined = False
            _set(found, Status.DECLINED, "declined", at=at)
        else:
            found.delete()  # a trigger records it
            hint_after_commit(MONGODB)


def _answer(user_id: UUID, other_id: UUID, status: Status, *, at: dt.datetime) -> Friendship:
    with atomic_for("tracker"):
        lock_users([user_id, other_id])
        found = _existing(user_id, other_id)
        if found.status != Status.PENDING or found.asked_by(user_id):
            raise FriendshipRefused("There is no request of theirs that you could answer.")
        return _set(found, status, str(status), at=at)


def _locked(user_id: UUID, other_id: UUID) -> Friendship | None:
    """Lock the pair and return its row, if there is one."""
    if user_id == other_id:
        raise PersonNotFound("That is yourself.")
    lock_users([user_id, other_id])
    other = people(ids=[other_id]).get(other_id)
    if other is None or not other.is_active:
        raise PersonNotFound("There is no such person.")
    return _row(user_id, other_id)


def _existing(user_id: UUID, other_id: UUID) -> Friendship:
    found = _row(user_id, other_id) if user_id != other_id else None
    if found is None or (found.status == Status.BLOCKED and not found.blocked_by(user_id)):
        raise FriendshipNotFound("There is nothing between you and this person.")
    return found


def _row(user_id: UUID, other_id: UUID) -> Friendship | None:
    return Friendship.objects.between(user_id, other_id).select_for_update().first()


def _require_visible(found: Friendship, user_id: UUID) -> None:
    if found.blocked_by(found.other(user_id)) and not found.blocked_by(user_id):
        raise PersonNotFound("There is no such person.")


def _pair(user_id: UUID, other_id: UUID, *, at: dt.datetime) -> Friendship:
    return Friendship(
        low_id=min(user_id, other_id),
        high_id=max(user_id, other_id),
        asked_by_low=user_id < other_id,
        created_at=at,
        updated_at=at,
    )


def _new(
    user_id: UUID, other_id: UUID, status: Status, verb: str, *, at: dt.datetime
) -> Friendship:
    return _set(_pair(user_id, other_id, at=at), status, verb, at=at)


def _set_block(found: Friendship, user_id: UUID, *, blocks: bool) -> None:
    if user_id == found.low_id:
        found.blocked_by_low = blocks
    else:
        found.blocked_by_high = blocks


def _set(found: Friendship, status: Status, verb: str, *, at: dt.datetime) -> Friendship:
    found.status, found.updated_at = status, at
    found.save()
    record_event(
        aggregate_type="friendship", aggregate_id=found.pk, event_type=f"friendship.{verb}"
    )
    return found
