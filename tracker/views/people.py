"""Friends, and finding people, as pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from tracker.queries import own
from tracker.queries.search import SearchTooShort, search_people
from tracker.services import friends as services
from tracker.views.page import deed, page, shown, user_id_of

SAID = {
    "request": (services.request_friendship, "Your request is sent."),
    "accept": (services.accept_friendship, "You are friends now."),
    "decline": (services.decline_friendship, "The request is declined."),
    "block": (services.block_person, "You block this person."),
}


@page
def friends(request: HttpRequest) -> HttpResponse:
    """Show friends, requests and blocks."""
    found = own.friendships_of(
        user_id=user_id_of(request), cursor=request.GET.get("cursor") or None, limit=100
    )
    asked = [one for one in found.items if one.status == "pending" and not one.asked_by_me]
    sent = [one for one in found.items if one.status == "pending" and one.asked_by_me]
    context = {
        "page": found,
        "asked": asked,
        "sent": sent,
        "friends": [one for one in found.items if one.status == "accepted"],
        "others": [one for one in found.items if one.status in {"declined", "blocked"}],
        "here": "friends",
    }
    return shown(request, "tracker/friends.html", context)


@deed
def change_friendship(request: HttpRequest, person_id: UUID, verb: str) -> str:
    """Ask, accept, decline, block, or end what there is."""
    user_id, at = user_id_of(request), timezone.now()
    if verb == "remove":
        services.remove_friendship(user_id=user_id, other_id=person_id, at=at)
        return "That is over."
    if verb not in SAID:
        raise Http404
    service, said = SAID[verb]
    row = service(user_id=user_id, other_id=person_id, at=at)
    return "You are friends now." if row.status == "accepted" else said


@page
def search(request: HttpRequest) -> HttpResponse:
    """Find people by name."""
    text = request.GET.get("q", "")[:100].replace("\0", "")
    context: dict[str, Any] = {"text": text, "quoted": quote(text, safe=""), "here": "search"}
    if text:
        try:
            context["found"] = search_people(
                user_id=user_id_of(request), text=text, cursor=request.GET.get("cursor") or None
            )
        except SearchTooShort:
            context["too_short"] = True
    return shown(request, "tracker/search.html", context)
