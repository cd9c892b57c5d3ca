"""Friendships over HTTP; the address names the other person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.pagination import KeysetPage
from common.schemas import Page
from tracker.api.caller import IdempotencyKey, answer_once
from tracker.models import Friendship
from tracker.queries.own import FriendshipSeen, friendship_with, friendships_of, seen_by
from tracker.schemas import FriendAnswer, FriendsQuery
from tracker.services import friends
from tracker.services.friends import FriendshipNotFound

router = Router()


@router.get("", response=Page[FriendAnswer], summary="Your friends, requests and blocks")
@signed_in("tracker")
def list_friends(request: HttpRequest, asked: Query[FriendsQuery]) -> KeysetPage[FriendshipSeen]:
    """List how the caller stands to others. Who blocks the caller is not listed."""
    return friendships_of(
        user_id=user_id_of(request), status=asked.status, cursor=asked.cursor, limit=asked.limit
    )


@router.get("/{uuid:person_id}", response=FriendAnswer, summary="How you stand to somebody")
@signed_in("tracker")
def get_friend(request: HttpRequest, person_id: UUID) -> FriendshipSeen:
    """Show one friendship."""
    found = friendship_with(user_id=user_id_of(request), other_id=person_id)
    if found is None:
        raise FriendshipNotFound("There is nothing between you and this person.")
    return found


@router.post("/{uuid:person_id}/request", response=FriendAnswer, summary="Ask to be friends")
@signed_in("tracker")
def request_friend(
    request: HttpRequest, response: HttpResponse, person_id: UUID, key: IdempotencyKey = None
) -> Any:
    """Ask somebody; if they asked before, you are friends at once."""
    return _act(request, response, key, friends.request_friendship, person_id)


@router.post("/{uuid:person_id}/accept", response=FriendAnswer, summary="Accept a request")
@signed_in("tracker")
def accept_friend(
    request: HttpRequest, response: HttpResponse, person_id: UUID, key: IdempotencyKey = None
) -> Any:
    """Say yes to what somebody asked."""
    return _act(request, response, key, friends.accept_friendship, person_id)


@router.post("/{uuid:person_id}/decline", response=FriendAnswer, summary="Decline a request")
@signed_in("tracker")
def decline_friend(
    request: HttpRequest, response: HttpResponse, person_id: UUID, key: IdempotencyKey = None
) -> Any:
    """Say no to what somebody asked; they cannot ask again."""
    return _act(request, response, key, friends.decline_friendship, person_id)


@router.post("/{uuid:person_id}/block", response=FriendAnswer, summary="Block somebody")
@signed_in("tracker")
def block_person(
    request: HttpRequest, response: HttpResponse, person_id: UUID, key: IdempotencyKey = None
) -> Any:
    """End any friendship; the two find each other no more."""
    return _act(request, response, key, friends.block_person, person_id)


@router.delete(
    "/{uuid:person_id}", response={204: None}, summary="Unfriend, take back, forget or unblock"
)
@signed_in("tracker")
def remove_friend(request: HttpRequest, person_id: UUID) -> Status[None]:
    """End a friendship or a request, or take back a block of your own."""
    friends.remove_friendship(user_id=user_id_of(request), other_id=person_id, at=timezone.now())
    return Status(204, None)


def _act(
    request: HttpRequest,
    response: HttpResponse,
    key: str | None,
    service: Callable[..., Friendship],
    person_id: UUID,
) -> Any:
    user_id = user_id_of(request)

    def perform() -> FriendshipSeen:
        row = service(user_id=user_id, other_id=person_id, at=timezone.now())
        return seen_by(user_id, [row])[0]

    return answer_once(request, response, key, perform, FriendAnswer)
