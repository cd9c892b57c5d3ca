"""With MongoDB gone or hanging, people read and write on PostgreSQL; afterwards both agree."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from django.utils import timezone

from common.ids import uuid7
from databases.stores import mongo
from messaging.models import DirectMessage
from messaging.queries.rooms import standing_of
from messaging.services.catching_up import sweep
from messaging.stores.doors import Mode, check_database_health
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.states import fingerprint_of, first_state, request_of
from messaging.stores.versions import next_version
from tests.homes import databases_of
from tests.messaging.world import deliver, in_mongodb, in_postgres, made, texts
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.django_db(transaction=True, databases=databases_of("messaging")),
]


def back(servers, how: str) -> None:
    {"stop": servers.start, "kill": servers.start, "pause": servers.resume}[how]("mongodb")
    eventually(_answers)


def _answers() -> bool:
    try:
        mongo.breaker().require()
        mongo.ping()
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True


@pytest.mark.parametrize("how", ["stop", "pause", "kill"])
def test_people_notice_nothing_but_a_header(  # noqa: PLR0917 - fixtures
    how, servers, as_ann, as_ben, room, caplog
) -> None:
    for number in range(3):
        made(as_ann("POST", room, {"content": str(number)}))
    before = made(as_ben("GET", room), 200)
    first = before["items"][-1]["id"]

    getattr(servers, how)("mongodb")
    begun = time.monotonic()
    answer = as_ben("GET", room)
    assert time.monotonic() - begun < 2.0  # 0.5 of them for MongoDB
    assert made(answer, 200)["items"] == before["items"]
    assert answer["X-Degraded"] == "mongodb"
    begun = time.monotonic()
    assert as_ben("GET", room)["X-Degraded"] == "mongodb"
    assert time.monotonic() - begun < 0.4
    written = as_ann("POST", room, {"content": "late"}, key="k")
    assert made(written)["id"] == made(as_ann("POST", room, {"content": "late"}, key="k"))["id"]
    assert written["X-Degraded"] == "mongodb"
    made(as_ann("PATCH", f"/api/messages/{first}", {"content": "edited"}), 200)
    made(as_ann("DELETE", f"/api/messages/{before['items'][0]['id']}"), 204)
    during = texts(made(as_ben("GET", room), 200))
    assert during == ["late", "", "1", "edited"]
    eventually(lambda: check_database_health().mode is Mode.MONGODB_DOWN)
    assert "[ROOM_MESSAGES_GET_DM] MongoDB failed, falling back to PostgreSQL: " in caplog.text
    assert "[ROOM_MESSAGES_GET_DM] Successfully used PostgreSQL fallback" in caplog.text

    back(servers, how)
    # The backlog has not moved yet: pages merge both.
    assert texts(made(as_ben("GET", room), 200)) == during
    assert "X-Degraded" not in as_ben("GET", room)
    assert made(as_ann("POST", room, {"content": "late"}, key="k"))["id"] == written.json()["id"]
    found = made(as_ben("GET", "/api/messages/search", q="edited"), 200)
    deliver()
    assert texts(made(as_ben("GET", room), 200)) == during
    assert in_mongodb() == in_postgres()
    assert not DirectMessage.objects.filter(mongo_pending=True).exists()
    assert texts(found) in ([], ["edited"])


def test_a_message_that_nobody_brings_is_brought_by_the_sweep(servers, as_ann, room) -> None:
    servers.stop("mongodb")
    made(as_ann("POST", room, {"content": "x"}))
    back(servers, "stop")
    DirectMessage.objects.using("default").update(updated_at="2026-01-01T00:00:00Z")
    assert sweep(at=timezone.now()).to_mongodb == 1
    assert len(in_mongodb()) == 1


def test_a_key_with_another_message_in_the_other_store_replaces_none(servers, as_ann, room) -> None:
    key = str(uuid7())
    servers.stop("mongodb")
    first = made(as_ann("POST", room, {"content": "first"}, key=key))
    back(servers, "stop")
    second = made(as_ann("POST", room, {"content": "second"}, key=key))
    deliver()

    assert first["id"] != second["id"]
    assert in_mongodb() == in_postgres()
    assert sorted(texts(made(as_ann("GET", room), 200))) == ["", "second"]


def test_a_key_that_made_a_message_in_each_store_keeps_one(servers, as_ann, ann, room) -> None:
    """Only a key that tells no time can do that, when each request met one store alone."""
    room_id = UUID(room.split("/")[3])
    standing = standing_of(user_id=ann.pk, room_id=room_id)
    in_mongo_alone = first_state(
        message_id=uuid7(),
        room_id=room_id,
        member_id=standing.member_id,
        author_id=ann.pk,
        content="x",
        file_url="",
        request=request_of(author_id=ann.pk, key="k"),
        fingerprint=fingerprint_of(room_id=room_id, content="x", file_url=""),
    )
    MongoMessages().create(in_mongo_alone)
    servers.stop("mongodb")
    made(as_ann("POST", room, {"content": "x"}, key="k"))
    back(servers, "stop")
    deliver()
    sweep(at=timezone.now())

    assert in_mongodb() == in_postgres()
    assert sorted(rank[0] for rank, _ in in_mongodb().values()) == ["0", "1"]


def first_of(room, author, content):
    """Return the first state of a message in the room with this path."""
    room_id = UUID(room.split("/")[3])
    return first_state(
        message_id=uuid7(),
        room_id=room_id,
        member_id=standing_of(user_id=author.pk, room_id=room_id).member_id,
        author_id=author.pk,
        content=content,
        file_url="",
    )


def test_what_both_took_because_mongodb_took_its_time_stays_shown(ann, as_ben, room) -> None:
    """MongoDB hung, its writer turned to PostgreSQL; MongoDB has it all the same."""
    state = first_of(room, ann, "x")
    MongoMessages().create(state)
    PostgresMessages().create(state)

    assert texts(made(as_ben("GET", room), 200)) == ["x"]
    deliver()
    assert texts(made(as_ben("GET", room), 200)) == ["x"]
    assert MongoMessages().backlog(most=1) == 0


def test_what_postgresql_showed_is_shown_though_its_mark_is_still_there(ann, as_ben, room) -> None:
    """MongoDB hung after the copy was made: nobody could take the mark away."""
    state = first_of(room, ann, "x")
    MongoMessages().create(state)
    PostgresMessages().put([state])

    assert texts(made(as_ben("GET", room), 200)) == ["x"]


@pytest.mark.parametrize("way", ["page", "follow", "one", "search"])
def test_what_mongodb_showed_is_shown_by_postgresql_too(way, servers, ann, as_ben, room) -> None:
    """Its writer ended, or is about to copy it."""
    cursor = made(as_ben("GET", room), 200)["previous"]
    state = first_of(room, ann, "something")
    MongoMessages().create(state)
    path, query = {
        "page": (room, {}),
        "follow": (room, {"after": cursor}),
        "one": (f"/api/messages/{state.id}", {}),
        "search": ("/api/messages/search", {"q": "something"}),
    }[way]
    before = made(as_ben("GET", path, **query), 200)
    assert "something" in str(before)

    servers.kill("mongodb")
    after = as_ben("GET", path, **query)
    assert after["X-Degraded"] == "mongodb"
    assert made(after, 200).get("items", before) == before.get("items", before)
    back(servers, "kill")


def test_what_was_shown_deleted_stays_deleted(servers, ann, as_ann, as_ben, room) -> None:
    message = made(as_ann("POST", room, {"content": "x"}))
    known = PostgresMessages().get(UUID(message["id"]))
    MongoMessages().change(known.as_deleted(next_version(after=known.version)))
    assert texts(made(as_ben("GET", room), 200)) == [""]

    servers.kill("mongodb")
    assert texts(made(as_ben("GET", room), 200)) == [""]
    back(servers, "kill")
