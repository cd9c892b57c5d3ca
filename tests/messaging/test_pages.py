"""The chat's pages show rooms to those who belong to them."""

from __future__ import annotations

import pytest
from django.test import override_settings

from tests.homes import databases_of
from tests.messaging.world import Caller, made, opened

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))


def test_rooms_are_listed_with_what_is_unread(as_ann, as_ben, room) -> None:
    server = made(as_ann("POST", "/api/servers", {"name": "Our server"}))
    made(as_ann("POST", room, {"content": "<b>Hello</b>"}))

    page = as_ben("GET", "/rooms/").content.decode()
    assert "Ann Of Messaging" in page
    assert '<span class="unread">1<' in page
    mine = as_ann("GET", "/rooms/").content.decode()
    assert "Our server" in mine
    assert server["channels"][0]["id"] in mine


def test_a_room_shows_its_last_messages_as_text(as_ann, as_ben, room) -> None:
    made(as_ann("POST", room, {"content": "<b>Hello</b>"}))
    path = f"/rooms/{room.split('/')[3]}/"

    with override_settings(STREAM_URL="https://live.example"):
        answer = as_ben("GET", path)

    page = answer.content.decode()
    assert "<h1>Ann Of Messaging</h1>" in page
    assert "<b>Hello</b>" not in page
    assert "\\u003Cb\\u003EHello" in page
    assert "connect-src 'self' https://live.example;" in answer["Content-Security-Policy"]


def test_a_channel_has_a_page(as_ann) -> None:
    server = made(as_ann("POST", "/api/servers", {"name": "Our server"}))

    page = as_ann("GET", f"/rooms/{server['channels'][0]['id']}/").content.decode()

    assert "<h1>Our server: general</h1>" in page


def test_outsiders_find_nothing_and_strangers_sign_in(as_cleo, ann, ben) -> None:
    path = f"/rooms/{opened(ann, ben)}/"

    assert as_cleo("GET", path).status_code == 404
    for page in ("/rooms/", path):
        assert Caller(None)("GET", page).status_code == 302
