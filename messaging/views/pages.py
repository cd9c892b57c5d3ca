"""The chat's pages: rooms, and one room. What happens on them goes over the API."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common.middleware.policy import PAGES
from databases.fallback import is_outage
from messaging.policies import Action, may
from messaging.queries.history import page_of
from messaging.queries.rooms import (
    ConversationSeen,
    ServerSeen,
    conversation_of,
    conversations_of,
    servers_of,
    standing_of,
)
from messaging.queries.standing import Kind, RoomNotFound
from messaging.queries.unread import unread_in_conversations
from messaging.schemas.shown import message_answers, server_answers
from messaging.schemas.wire import ServerAnswer

SHOWN: Final = 30
LISTED: Final = 100


@require_safe
@never_cache
@login_required
def rooms_page(request: HttpRequest) -> HttpResponse:
    """List conversations and channels with what is unread."""
    user_id = _user_id_of(request)
    found = conversations_of(user_id=user_id, limit=LISTED).items
    unread = unread_in_conversations(user_id=user_id, rooms=[seen.id for seen in found])
    conversations = [
        {"id": seen.id, "name": name_for(seen, user_id), "unread": unread.get(seen.id)}
        for seen in found
    ]
    get_token(request)  # the script sends it with what it changes
    context = {"conversations": conversations, "servers": _servers(user_id)}
    return render(request, "messaging/rooms.html", context)


@require_safe
@never_cache
@login_required
def room_page(request: HttpRequest, room_id: UUID) -> HttpResponse:
    """Show a room's last messages; the script does the rest."""
    user_id = _user_id_of(request)
    try:
        standing = standing_of(user_id=user_id, room_id=room_id)
    except RoomNotFound as error:
        raise Http404(error.detail) from None
    page = page_of(standing, limit=SHOWN)
    answers = message_answers((state, standing.kind) for state in reversed(page.items))
    room = {
        "id": str(room_id),
        "memberId": str(standing.member_id),
        "leads": may(standing, Action.DELETE),
        "next": page.next,
        "previous": page.previous,
        "messages": [answer.model_dump(mode="json", by_alias=True) for answer in answers],
    }
    if standing.kind is Kind.CONVERSATION:
        name = name_for(conversation_of(user_id=user_id, conversation_id=room_id), user_id)
    else:
        name = _name_of_channel(servers_of(user_id=user_id), room_id)
    get_token(request)
    response = render(request, "messaging/room.html", {"room": room, "name": name})
    response["Content-Security-Policy"] = PAGES.replace(
        "connect-src 'self'", f"connect-src 'self' {settings.STREAM_URL}".rstrip()
    )
    return response


def name_for(conversation: ConversationSeen, user_id: UUID) -> str:
    """Return what a conversation is called for one of its members."""
    others = [member.name for member in conversation.members if member.user_id != user_id]
    return conversation.title or ", ".join(others) or "Nobody else"


def _name_of_channel(servers: list[ServerSeen], room_id: UUID) -> str:
    for server in servers:
        for channel in server.channels:
            if channel.id == room_id:
                return f"{server.name}: {channel.name}"
    return "Channel"


def _servers(user_id: UUID) -> list[ServerAnswer]:
    try:
        return server_answers(user_id, servers_of(user_id=user_id))
    except Exception as error:
        if not is_outage(error):
            raise
        return []  # the answer says X-Degraded; conversations are there


def _user_id_of(request: HttpRequest) -> UUID:
    key: UUID = request.user.pk  # type: ignore[assignment]  # nobody else comes this far
    return key
