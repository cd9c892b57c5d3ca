"""Every endpoint, as owner, moderator, member, outsider and nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from common.ids import uuid7
from config.api import api
from messaging.models import ConversationMember, Membership, Role
from messaging.queries.rooms import servers_of
from messaging.services import rooms
from messaging.services.messages import post_message
from tests.homes import databases_of
from tests.messaging.world import Caller, opened, somebody

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))
WHO = ("owner", "moderator", "member", "outsider", "nobody")
OK, NO, GONE, OUT = "2", 403, 404, 401


@dataclass(frozen=True)
class Case:
    """One call, and what each of WHO gets."""

    method: str
    path: str
    body: Any
    expected: tuple[Any, Any, Any, Any, Any]


MESSAGE, LEAD, OWN = {"content": "x"}, (OK, OK, NO, GONE, OUT), (OK, NO, NO, GONE, OUT)
MEMBERS, ANYBODY = (OK, OK, OK, GONE, OUT), (OK, OK, OK, OK, OUT)
NEW = {"userIds": ["{stranger}"]}
CASES = [
    Case("GET", "/api/conversations", None, ANYBODY),
    Case("POST", "/api/conversations", NEW, ANYBODY),
    Case("GET", "/api/conversations/{room}", None, MEMBERS),
    Case("POST", "/api/conversations/{room}/members", NEW, LEAD),
    Case("DELETE", "/api/conversations/{room}/members/{other}", None, LEAD),
    Case("GET", "/api/servers", None, ANYBODY),
    Case("POST", "/api/servers", {"name": "x"}, ANYBODY),
    Case("POST", "/api/servers/{server}/channels", {"name": "{new}"}, LEAD),
    Case("GET", "/api/servers/{server}/members", None, MEMBERS),
    Case("POST", "/api/servers/{server}/members", NEW, LEAD),
    Case("PATCH", "/api/servers/{server}/members/{other}", {"role": "moderator"}, OWN),
    Case("DELETE", "/api/servers/{server}/members/{other}", None, LEAD),
    Case("GET", "/api/rooms/unread", None, ANYBODY),
    Case("GET", "/api/rooms/{room}/messages", None, MEMBERS),
    Case("GET", "/api/rooms/{channel}/messages", None, MEMBERS),
    Case("POST", "/api/rooms/{room}/messages", MESSAGE, MEMBERS),
    Case("POST", "/api/rooms/{channel}/messages", MESSAGE, MEMBERS),
    Case("PUT", "/api/rooms/{room}/read", {"messageId": "{direct}"}, MEMBERS),
    Case("PUT", "/api/rooms/{channel}/read", {"messageId": "{group}"}, MEMBERS),
    Case("GET", "/api/messages/search?q=word", None, ANYBODY),
    Case("GET", "/api/messages/{direct}", None, MEMBERS),
    Case("GET", "/api/messages/{group}", None, MEMBERS),
    # Written by somebody else:
    Case("PATCH", "/api/messages/{direct}", MESSAGE, (NO, NO, NO, GONE, OUT)),
    Case("PATCH", "/api/messages/{group}", MESSAGE, (NO, NO, NO, GONE, OUT)),
    Case("DELETE", "/api/messages/{direct}", None, LEAD),
    Case("DELETE", "/api/messages/{group}", None, LEAD),
    # Their own:
    Case("PATCH", "/api/messages/{mine}", MESSAGE, MEMBERS),
    Case("DELETE", "/api/messages/{mine}", None, MEMBERS),
]


def test_every_operation_is_tried() -> None:
    known = {
        (method.upper(), path)
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, details in methods.items()
        if details["tags"] == ["messaging"]
    }
    names = {
        "conversation_id": "{room}",
        "server_id": "{server}",
        "other_id": "{other}",
        "room_id": "{room}",
        "message_id": "{direct}",
    }
    tried = {(case.method, case.path.partition("?")[0]) for case in CASES}

    for method, path in known:
        for name, place in names.items():
            path = path.replace("{" + name + "}", place)  # noqa: PLW2901 - one after the other
        assert (method, path) in tried
    assert known


@pytest.fixture
def places(db) -> dict[str, Any]:
    """Return the people, and the rooms that they have roles in."""
    people = {name: somebody(name) for name in (*WHO[:4], "other", "author")}
    inside = [people[name] for name in ("owner", "moderator", "member", "other", "author")]
    room = opened(*inside, title="Room")
    server = rooms.create_server(user_id=people["owner"].pk, name="Server")
    rooms.add_to_server(
        user_id=people["owner"].pk, server_id=server, user_ids=[one.pk for one in inside[1:]]
    )
    moderator = people["moderator"].pk
    ConversationMember.objects.filter(user_id=moderator).update(role=Role.MODERATOR)
    Membership.objects.filter(user_id=moderator).update(role=Role.MODERATOR)
    channel_id = servers_of(user_id=people["owner"].pk)[0].channels[0].id
    author = people["author"].pk

    def post(user_id, room_id):
        return post_message(user_id=user_id, room_id=room_id, content="a word", key=None).state.id

    return {
        "people": people,
        "room": room,
        "server": server,
        "channel": channel_id,
        "other": people["other"].pk,
        "stranger": somebody("Stranger").pk,
        "direct": post(author, room),
        "group": post(author, channel_id),
        "post": post,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.path}")
def test_who_may(case, places) -> None:
    people = places["people"]
    # From the one who may least: what others change comes later.
    for who, expected in reversed(list(zip(WHO, case.expected, strict=True))):
        user = people.get(who)
        author = user if who in {"owner", "moderator", "member"} else people["author"]
        names = {name: str(value) for name, value in places.items()}
        names |= {"mine": str(places["post"](author.pk, places["room"])), "new": uuid7().hex}
        if "other" in case.path:
            _bring_back(places)
        answer = Caller(user)(case.method, case.path.format(**names), _filled(case.body, names))

        if expected == OK:
            assert answer.status_code // 100 == 2, (who, answer.status_code, answer.content)
        else:
            assert answer.status_code == expected, (who, answer.status_code, answer.content)
            assert answer.json()["status"] == expected


def _bring_back(places) -> None:
    for model in (ConversationMember, Membership):
        model.objects.filter(user_id=places["other"]).update(left_at=None, role=Role.MEMBER)


def _filled(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, names) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, names) for value in body]
    return body.format(**names) if isinstance(body, str) else body
