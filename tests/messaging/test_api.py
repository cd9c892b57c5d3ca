"""The API does what it says."""

from __future__ import annotations

import threading
import uuid
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test import override_settings

from common.ids import uuid7
from databases.transactions import atomic_for
from messaging.models import DirectMessage, GroupMessage
from messaging.stores.mongodb import MongoMessages
from messaging.stores.versions import now_ms
from tests.homes import databases_of
from tests.messaging.world import (
    Caller,
    at_once,
    deliver,
    in_mongodb,
    in_postgres,
    made,
    opened,
    somebody,
    texts,
)
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))


class TestDirectMessages:
    def test_one_is_written_read_edited_and_deleted(self, as_ann, as_ben, room) -> None:
        sent = made(as_ann("POST", room, {"content": "Hello", "fileUrl": "https://a.example/x"}))
        path = f"/api/messages/{sent['id']}"

        assert sent["member"]["profile"] == {"name": "Ann Of Messaging", "imageUrl": None}
        assert sent["memberId"] == sent["member"]["id"]
        assert sent["conversationId"] in room
        assert "channelId" not in sent
        assert uuid.UUID(sent["id"]).version == 7
        assert made(as_ben("GET", path), 200) == sent
        assert made(as_ben("GET", room), 200)["items"] == [sent]
        edited = made(as_ann("PATCH", path, {"content": "Bye"}), 200)
        assert (edited["content"], edited["fileUrl"]) == ("Bye", None)
        assert edited["updatedAt"] > edited["createdAt"]
        assert made(as_ann("DELETE", path), 204) is None
        gone = made(as_ben("GET", room), 200)["items"][0]
        assert (gone["deleted"], gone["content"]) == (True, "")
        assert made(as_ann("PATCH", path, {"content": "x"}), 409)["code"] == (
            "messaging.message_deleted"
        )
        assert made(as_ann("DELETE", path), 204) is None

    def test_both_stores_have_all_of_it(self, as_ann, room) -> None:
        ids = [made(as_ann("POST", room, {"content": str(n)}))["id"] for n in range(3)]
        made(as_ann("PATCH", f"/api/messages/{ids[0]}", {"content": "new"}), 200)
        made(as_ann("DELETE", f"/api/messages/{ids[1]}"), 204)

        assert in_mongodb() == in_postgres()
        assert len(in_mongodb()) == 3
        assert not DirectMessage.objects.filter(mongo_pending=True).exists()

    def test_pages_go_both_ways(self, as_ann, room) -> None:
        for number in range(7):
            made(as_ann("POST", room, {"content": str(number)}))
        page = first = made(as_ann("GET", room, limit=3), 200)
        seen = texts(page)
        while page["next"]:
            made(as_ann("POST", room, {"content": "new"}))
            page = made(as_ann("GET", room, limit=3, before=page["next"]), 200)
            seen += texts(page)

        assert seen == ["6", "5", "4", "3", "2", "1", "0"]
        newer = made(as_ann("GET", room, limit=4, after=page["previous"]), 200)
        assert texts(newer) == ["3", "2", "1", "0"]  # it looks back
        followed, cursor = set(), first["previous"]
        for _ in range(6):
            page = made(as_ann("GET", room, after=cursor, limit=3), 200)
            followed |= {message["id"] for message in page["items"]}
            cursor = page["previous"]
        assert len(followed) == DirectMessage.objects.count()

    def test_following_from_an_older_page_misses_nothing_that_was_stored_late(
        self, as_ann, ann, room
    ) -> None:
        for number in range(3):
            made(as_ann("POST", room, {"content": str(number)}))
        newest = made(as_ann("GET", room, limit=1), 200)
        older = made(as_ann("GET", room, limit=1, before=newest["next"]), 200)
        assert texts(older) == ["1"]
        known = MongoMessages().get(UUID(older["items"][0]["id"]))
        assert known is not None
        late = UUID(int=known.id.int - 1)
        MongoMessages().create(known._replace(id=late, content="late", request=""))

        followed = made(as_ann("GET", room, after=older["previous"]), 200)

        assert set(texts(followed)) >= {"late", "2"}

    def test_cursors_of_other_lists_are_refused(self, as_ann, room) -> None:
        made(as_ann("POST", room, {"content": "x"}))
        page = made(as_ann("GET", room), 200)

        assert made(as_ann("GET", room, before=page["previous"]), 422)["code"] == (
            "pagination.cursor_invalid"
        )
        assert made(as_ann("GET", room, after="x", before="y"), 422)["code"] == (
            "messaging.two_cursors"
        )
        assert made(as_ann("GET", room, limit=101), 422)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"content": ""},
            {"content": " \n"},
            {"content": "x" * 4_001},
            {"content": "bell\u0007"},
            {"content": "\u009b"},
            {"content": "x", "fileUrl": "javascript:alert(1)"},
            {"content": "x", "fileUrl": "ftp://a.example/x"},
            {"content": "x", "fileUrl": "https://"},
            {"content": "x", "fileUrl": "https://a.example/\n"},
        ],
    )
    def test_what_cannot_be_taken_is_refused(self, as_ann, room, body) -> None:
        assert made(as_ann("POST", room, body), 422)["code"] == "request.invalid"
        assert not DirectMessage.objects.exists()

    def test_all_that_is_text_is_taken(self, as_ann, room) -> None:
        for content in ("x", "é" * 4_000, "line\nline\tx", "日本語 🎉", "{'a': 1}"):
            assert made(as_ann("POST", room, {"content": content}))["content"] == content


class TestAKey:
    @pytest.mark.parametrize("key", ["k", str(uuid.uuid4()), "fresh"])
    def test_sent_twice_makes_one_message(self, as_ann, room, key) -> None:
        key = str(uuid7()) if key == "fresh" else key
        first = as_ann("POST", room, {"content": "x"}, key=key)
        again = as_ann("POST", room, {"content": "x"}, key=key)

        assert made(first) == made(again)
        assert "Idempotency-Replayed" not in first
        assert again["Idempotency-Replayed"] == "true"
        assert len(in_mongodb()) == len(in_postgres()) == 1

    def test_with_another_message_is_refused(self, as_ann, room) -> None:
        for key in ("k", str(uuid7())):
            made(as_ann("POST", room, {"content": "x"}, key=key))
            refused = made(as_ann("POST", room, {"content": "y"}, key=key), 422)
            assert refused["code"] == "messaging.idempotency_key_reused"

    def test_belongs_to_its_author(self, as_ann, as_ben, room) -> None:
        key = str(uuid7())
        ids = {made(one("POST", room, {"content": "x"}, key=key))["id"] for one in (as_ann, as_ben)}

        assert len(ids) == 2

    def test_a_retry_brings_nothing_back(self, as_ann, room) -> None:
        key = str(uuid7())
        sent = made(as_ann("POST", room, {"content": "x"}, key=key))
        made(as_ann("PATCH", f"/api/messages/{sent['id']}", {"content": "y"}), 200)
        assert made(as_ann("POST", room, {"content": "x"}, key=key))["content"] == "y"
        made(as_ann("DELETE", f"/api/messages/{sent['id']}"), 204)

        again = made(as_ann("POST", room, {"content": "x"}, key=key))

        assert (again["deleted"], again["content"]) == (True, "")
        assert in_mongodb() == in_postgres()

    def test_in_a_channel_and_a_conversation_makes_no_message_that_hides_another(  # noqa: PLR0917 - fixtures
        self, as_ann, as_ben, as_cleo, room, ben, cleo
    ) -> None:
        """Else nobody who leads the channel could delete what was written there."""
        server = made(as_cleo("POST", "/api/servers", {"name": "Hers"}))
        members = f"/api/servers/{server['id']}/members"
        made(as_cleo("POST", members, {"userIds": [str(ben.pk)]}), 204)
        channel = f"/api/rooms/{server['channels'][0]['id']}/messages"
        key = str(uuid7())
        in_channel = made(as_ben("POST", channel, {"content": "rude"}, key=key))
        made(as_ben("POST", room, {"content": "x"}, key=key))

        shown = made(as_cleo("GET", f"/api/messages/{in_channel['id']}"), 200)
        assert shown["content"] == "rude"
        made(as_cleo("DELETE", f"/api/messages/{in_channel['id']}"), 204)
        assert texts(made(as_cleo("GET", channel), 200)) == [""]
        assert texts(made(as_ann("GET", room), 200)) == ["x"]

    @pytest.mark.parametrize("key", ["k", "fresh"])
    def test_sent_by_many_at_once_makes_one_message(self, ann, room, key) -> None:
        key = str(uuid7()) if key == "fresh" else key
        callers = [Caller(ann) for _ in range(5)]
        answers = at_once(
            *[lambda c=c: c("POST", room, {"content": "x"}, key=key) for c in callers]
        )

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(in_mongodb()) == len(in_postgres()) == 1


class TestChannels:
    def test_a_server_has_channels_with_messages(self, as_ann, as_ben, ben) -> None:
        server = made(as_ann("POST", "/api/servers", {"name": "Ours"}))
        general = server["channels"][0]["id"]
        path = f"/api/rooms/{general}/messages"
        made(
            as_ann("POST", f"/api/servers/{server['id']}/members", {"userIds": [str(ben.pk)]}), 204
        )
        first = made(as_ann("POST", path, {"content": "Hello all"}, key="k"))
        assert made(as_ann("POST", path, {"content": "Hello all"}, key="k")) == first
        assert (first["channelId"], "conversationId" in first) == (general, False)

        assert made(as_ben("GET", "/api/servers"), 200)["items"][0]["channels"][0]["unread"] == 1
        made(as_ben("PUT", f"/api/rooms/{general}/read", {"messageId": first["id"]}), 204)
        assert made(as_ben("GET", "/api/servers"), 200)["items"][0]["channels"][0]["unread"] == 0
        made(as_ben("POST", path, {"content": "Hello Ann"}))
        assert texts(made(as_ann("GET", path), 200)) == ["Hello Ann", "Hello all"]
        assert GroupMessage.objects.count() == 2
        assert in_mongodb() == {}

    def test_what_took_longer_than_the_window_to_store_is_written_anew(self, as_ann) -> None:
        server = made(as_ann("POST", "/api/servers", {"name": "Ours"}))
        path = f"/api/rooms/{server['channels'][0]['id']}/messages"
        written: list[Any] = []
        with override_settings(MESSAGING_LOOKBACK_SECONDS=1):
            with atomic_for("messaging"), connections["default"].cursor() as cursor:
                cursor.execute("LOCK TABLE messaging_groupmessage IN SHARE ROW EXCLUSIVE MODE")
                writer = threading.Thread(
                    target=lambda: written.append(as_ann("POST", path, {"content": "x"}, key="k"))
                )
                writer.start()
                eventually(_somebody_waits_for_a_lock)
                too_late = now_ms() + 1_100
                eventually(lambda: now_ms() > too_late)
            writer.join()

        sent = made(written[0])
        assert (sent["content"], sent["deleted"]) == ("x", False)
        assert sorted(texts(made(as_ann("GET", path), 200))) == ["", "x"]
        assert made(as_ann("POST", path, {"content": "x"}, key="k"))["id"] == sent["id"]

    def test_channels_have_names_of_their_own(self, as_ann) -> None:
        server = made(as_ann("POST", "/api/servers", {"name": "Ours"}))
        path = f"/api/servers/{server['id']}/channels"
        assert made(as_ann("POST", path, {"name": "more"}))["name"] == "more"
        assert made(as_ann("POST", path, {"name": "more"}), 409)["code"] == "messaging.name_taken"

    def test_a_server_keeps_an_owner(self, as_ann, ann, ben, as_ben) -> None:
        server = made(as_ann("POST", "/api/servers", {"name": "Ours"}))
        members = f"/api/servers/{server['id']}/members"
        made(as_ann("POST", members, {"userIds": [str(ben.pk)]}), 204)
        assert made(as_ann("DELETE", f"{members}/{ann.pk}"), 409)["code"] == "messaging.last_owner"
        assert made(as_ann("PATCH", f"{members}/{ann.pk}", {"role": "member"}), 409)
        made(as_ann("PATCH", f"{members}/{ben.pk}", {"role": "owner"}), 204)
        made(as_ann("DELETE", f"{members}/{ann.pk}"), 204)
        assert made(as_ann("GET", members), 404)
        assert [m["role"] for m in made(as_ben("GET", members), 200)["items"]] == ["owner"]


class TestConversations:
    def test_two_people_have_one(self, as_ann, as_ben, ann, ben) -> None:
        first = made(as_ann("POST", "/api/conversations", {"userIds": [str(ben.pk)]}))
        again = made(as_ben("POST", "/api/conversations", {"userIds": [str(ann.pk)]}), 200)

        assert first["id"] == again["id"]
        assert {member["userId"] for member in first["members"]} == {str(ann.pk), str(ben.pk)}

    def test_opened_by_both_at_once_is_one(self, ann, ben) -> None:
        answers = at_once(lambda: opened(ann, ben), lambda: opened(ben, ann))

        assert answers[0] == answers[1]

    def test_more_people_have_as_many_as_they_like(self, as_ann, ben, cleo) -> None:
        body = {"userIds": [str(ben.pk), str(cleo.pk)], "title": "Three"}
        ids = {made(as_ann("POST", "/api/conversations", body))["id"] for _ in range(2)}

        assert len(ids) == 2
        listed = made(as_ann("GET", "/api/conversations", limit=1), 200)
        rest = made(as_ann("GET", "/api/conversations", cursor=listed["next"]), 200)
        assert {c["id"] for c in listed["items"] + rest["items"]} == ids
        assert rest["next"] is None

    def test_unread_messages_are_those_of_others_behind_the_marker(
        self, as_ann, as_ben, room
    ) -> None:
        ids = [made(as_ann("POST", room, {"content": str(n)}))["id"] for n in range(3)]
        made(as_ben("POST", room, {"content": "mine"}))

        def unread():
            return made(as_ben("GET", "/api/conversations"), 200)["items"][0]["unread"]

        assert unread() == 3
        read = room.replace("messages", "read")
        made(as_ben("PUT", read, {"messageId": ids[1]}), 204)
        assert unread() == 1
        made(as_ben("PUT", read, {"messageId": ids[0]}), 204)
        assert unread() == 1
        made(as_ann("DELETE", f"/api/messages/{ids[2]}"), 204)
        assert unread() == 0
        assert made(as_ben("GET", "/api/rooms/unread"), 200)[0]["unread"] == 0

    def test_who_leaves_is_out_and_comes_back_as_who_they_were(
        self, as_ann, as_ben, ann, ben, cleo
    ) -> None:
        conversation = opened(ann, ben, cleo, title="Three")
        path = f"/api/rooms/{conversation}/messages"
        sent = made(as_ben("POST", path, {"content": "x"}))
        made(as_ben("DELETE", f"/api/conversations/{conversation}/members/{ben.pk}"), 204)
        assert made(as_ben("GET", path), 404)["code"] == "messaging.room_not_found"
        assert made(as_ben("GET", f"/api/messages/{sent['id']}"), 404)
        made(
            as_ann(
                "POST", f"/api/conversations/{conversation}/members", {"userIds": [str(ben.pk)]}
            ),
            200,
        )
        assert made(as_ben("PATCH", f"/api/messages/{sent['id']}", {"content": "y"}), 200)

    def test_who_is_named_twice_is_added_once(self, as_ann, ann, ben, cleo) -> None:
        conversation = opened(ann, ben, title="Two, and more")
        path = f"/api/conversations/{conversation}/members"
        found = made(as_ann("POST", path, {"userIds": [str(cleo.pk), str(cleo.pk)]}), 200)

        assert [member["userId"] for member in found["members"]].count(str(cleo.pk)) == 1

    def test_nobody_talks_to_nobody(self, as_ann, ann) -> None:
        path = "/api/conversations"
        assert made(as_ann("POST", path, {"userIds": [str(ann.pk)]}), 422)
        assert made(as_ann("POST", path, {"userIds": []}), 422)
        assert made(as_ann("POST", path, {"userIds": [str(uuid7())]}), 404)["code"] == (
            "messaging.person_not_found"
        )


class TestSearch:
    def test_finds_words_in_ones_own_rooms(self, as_ann, as_ben, as_cleo, room, ben) -> None:
        server = made(as_ann("POST", "/api/servers", {"name": "Ours"}))
        channel = f"/api/rooms/{server['channels'][0]['id']}/messages"
        made(as_ann("POST", room, {"content": "Crème brûlée at noon"}))
        made(as_ann("POST", channel, {"content": "creme for all"}))
        made(as_ben("POST", room, {"content": "No cream"}))
        deliver()

        def found(caller, q, **more):
            return texts(made(caller("GET", "/api/messages/search", q=q, **more), 200))

        assert found(as_ann, "CREME") == ["creme for all", "Crème brûlée at noon"]
        assert found(as_ann, "crem bru") == ["Crème brûlée at noon"]
        assert found(as_ben, "creme") == ["Crème brûlée at noon"]
        assert found(as_cleo, "creme") == []
        assert found(as_ann, "creme .* $where") == []

    def test_pages_and_leaves_out_what_is_deleted(self, as_ann, room) -> None:
        ids = [made(as_ann("POST", room, {"content": f"word {n}"}))["id"] for n in range(4)]
        made(as_ann("DELETE", f"/api/messages/{ids[1]}"), 204)
        seen, cursor = [], {}
        while True:
            page = made(as_ann("GET", "/api/messages/search", q="word", limit=2, **cursor), 200)
            seen += texts(page)
            if not page["next"]:
                break
            cursor = {"cursor": page["next"]}

        assert seen == ["word 3", "word 2", "word 0"]

    def test_takes_at_least_two_letters(self, as_ann) -> None:
        assert made(as_ann("GET", "/api/messages/search", q="?"), 422)["code"] == (
            "messaging.nothing_to_find"
        )


def test_who_sends_too_much_is_told_when_to_go_on(as_ann, room) -> None:
    with override_settings(MESSAGING_POSTS_PER_MINUTE=2, MESSAGING_SEARCHES_PER_MINUTE=1):
        answers = [as_ann("POST", room, {"content": "x"}) for _ in range(4)]
        searches = [as_ann("GET", "/api/messages/search", q="xy") for _ in range(3)]

    refused = [answer for answer in (*answers, *searches) if answer.status_code == 429]
    assert 2 <= len(refused) <= 4  # a minute may begin in between
    assert all(1 <= int(answer["Retry-After"]) <= 61 for answer in refused)
    assert refused[0].json()["code"] == "messaging.too_many"


def test_somebody_else_is_not_limited_by_that(as_ann, as_ben, room) -> None:
    with override_settings(MESSAGING_POSTS_PER_MINUTE=1):
        for caller in (as_ann, as_ben, Caller(somebody("Zoe"))):
            answer = caller("POST", room, {"content": "x"})
            assert answer.status_code in {201, 404}


def _somebody_waits_for_a_lock() -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])
