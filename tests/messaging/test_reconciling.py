"""Both stores are compared as a whole; exactly what differs is found and mended."""

from __future__ import annotations

import datetime as dt
import json
import time
from io import StringIO
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from databases.stores import mongo
from messaging import tasks
from messaging.models import DirectMessage, Reconciliation
from messaging.services import reconciling, suspects
from messaging.services.messages import edit_message, post_message
from messaging.services.reconciling import Scope, reconcile
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.versions import Version, next_version
from tests.homes import databases_of
from tests.messaging.world import at_once, in_mongodb, in_postgres, opened

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))
MESSAGES = 60
LOOK_AGAIN = suspects.LOOK_AGAIN


@pytest.fixture
def conversation(ann, ben):
    return opened(ann, ben)


@pytest.fixture
def ids(ann, conversation):
    posted = [
        post_message(user_id=ann.pk, room_id=conversation, content=str(n), key=None)
        for n in range(MESSAGES)
    ]
    return [one.state.id for one in posted]


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(reconciling, "IDS", 7)
    monkeypatch.setattr(suspects, "LOOK_AGAIN", 0.01)


def plant(ids: list[UUID]) -> dict[UUID, str]:
    """Make the stores differ in every way; return which messages do, and how."""
    behind, front = PostgresMessages(), MongoMessages()
    states = behind.states_of(ids)
    kinds: dict[UUID, str] = {}
    with mongo.database() as database:
        for key in ids[0:3]:
            database["direct_messages"].delete_one({"_id": key})
            kinds[key] = "missing in mongodb"
    DirectMessage.objects.using("default").filter(id__in=ids[10:13]).delete()
    kinds |= dict.fromkeys(ids[10:13], "missing in postgresql")
    for key in ids[20:23]:
        old = states[key]
        behind.put([old.edited(content="new", file_url="", version=next_version())])
        kinds[key] = "older in mongodb"
    for key in ids[30:33]:
        front.put([states[key].edited(content="new", file_url="", version=next_version())])
        kinds[key] = "older in postgresql"
    for key in ids[40:43]:
        behind.put([states[key].as_deleted(next_version())])
        front.put([states[key].edited(content="later", file_url="", version=next_version())])
        kinds[key] = "deleted in postgresql alone"
    for key in ids[57:60]:
        front.put([states[key].as_deleted(next_version())])
        kinds[key] = "deleted in mongodb alone"
    return kinds | plant_without_a_version(ids[45:54])


def plant_without_a_version(ids: list[UUID]) -> dict[UUID, str]:
    """Change messages below what versions them; return which, and how."""
    rows = DirectMessage.objects.using("default")
    with mongo.database() as database:
        documents = database["direct_messages"]
        documents.update_one({"_id": ids[0]}, {"$set": {"content": "changed"}})
        documents.update_one({"_id": ids[1]}, {"$set": {"file_url": "https://example.com/"}})
        documents.update_one({"_id": ids[2]}, {"$set": {"deleted": True}})
        documents.update_one({"_id": ids[3]}, {"$set": {"member_id": ids[0]}})
        documents.update_one({"_id": ids[4]}, {"$set": {"created_at": timezone.now()}})
    rows.filter(id=ids[5]).update(content="changed")
    rows.filter(id=ids[6]).update(deleted=True)  # no rank says so: MongoDB's is right
    kinds = dict.fromkeys(ids[:6], "changed in mongodb without a version")
    return kinds | {ids[6]: "changed in postgresql without a version"}


def test_what_differs_is_named_and_mended(ids) -> None:
    planted = plant(ids)
    found: dict[UUID, str] = {}

    report = reconcile(
        scope=Scope(),
        at=timezone.now(),
        found=lambda one: found.update({one.id: one.kind}),
    )

    assert found == planted
    assert (report.compared, report.differences, report.mended) == (MESSAGES, 25, 25)
    assert in_mongodb() == in_postgres()
    behind, front = PostgresMessages().states_of(ids), MongoMessages().states_of(ids)
    assert behind == front
    assert [state.content for state in front.values() if state.content == "changed"] == ["changed"]
    assert sum(state.deleted for state in front.values()) == 6
    assert len(in_mongodb()) == MESSAGES
    assert {rank[0] for key, (rank, _) in in_mongodb().items() if key in ids[40:43]} == {"1"}
    assert reconcile(scope=Scope(), at=timezone.now()).differences == 0


def test_both_stores_make_the_same_print(ann, conversation) -> None:
    """Whatever is in a message, and whoever computes it."""
    contents = ["x", "Ünïcode \N{GRINNING FACE}", "'; DROP\nTABLE\t\\x1f %s {}", "0" * 4_000]
    for content in contents:
        posted = post_message(
            user_id=ann.pk, room_id=conversation, content=content, key=None,
            file_url="https://example.com/a?b=c",
        ).state  # fmt: skip
        edit_message(user_id=ann.pk, message_id=posted.id, content=f"{content[:9]}!")
    prints = PostgresMessages().prints(after=None, limit=100)

    assert len(prints) == len(contents)
    assert MongoMessages().prints(after=None, limit=100) == prints


def test_a_comparison_since_sees_what_is_older_and_was_changed_since(ann, ids) -> None:
    behind, front = PostgresMessages(), MongoMessages()
    states = behind.states_of(ids)
    # As if all had been written long ago: `since` lies behind all of them.
    since = timezone.now() + dt.timedelta(hours=1)
    later = Version(int(since.timestamp() * 1000) + 60_000, 0, 7)
    in_both = states[ids[3]].edited(content="x", file_url="", version=later)
    behind.put([states[ids[0]].edited(content="x", file_url="", version=later), in_both])
    front.put([states[ids[1]].as_deleted(later), in_both])
    with mongo.database() as database:
        database["direct_messages"].update_one({"_id": ids[3]}, {"$set": {"content": "y"}})
        database["direct_messages"].delete_one({"_id": ids[20]})  # written and lost before
    found: dict[UUID, str] = {}

    report = reconcile(
        scope=Scope(since=since),
        at=timezone.now(),
        found=lambda one: found.update({one.id: one.kind}),
    )

    assert found == {
        ids[0]: "older in mongodb",
        ids[1]: "deleted in mongodb alone",
        ids[3]: "changed in mongodb without a version",
    }
    assert (report.compared, report.mended) == (3, 3)
    assert reconcile(scope=Scope(since=since), at=timezone.now(), repair=False).differences == 0
    assert reconcile(scope=Scope(), at=timezone.now(), repair=False).differences == 1


@pytest.mark.parametrize("many", [1, 2, 60])
def test_changes_are_found_page_by_page(many, ids, conversation, monkeypatch) -> None:
    monkeypatch.setattr(reconciling, "AT_ONCE", 2)
    since = timezone.now() + dt.timedelta(hours=1)
    later = Version(int(since.timestamp() * 1000), 0, 7)  # all at the same moment
    front = MongoMessages()
    front.put([state.as_deleted(later) for state in front.states_of(ids[:many]).values()])
    scope = Scope(since=since, conversation_id=conversation)

    assert reconcile(scope=scope, at=timezone.now(), repair=False).differences == many
    assert reconcile(scope=scope, at=timezone.now()).mended == many


def test_a_look_changes_nothing(ids) -> None:
    planted = plant(ids)
    before = in_mongodb(), in_postgres()

    with pytest.raises(SystemExit) as ended:
        call_command("reconcile_messages", "--check", stdout=StringIO())

    assert ended.value.code == 1
    assert (in_mongodb(), in_postgres()) == before
    out = StringIO()
    call_command("reconcile_messages", "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert answer["mended"] == answer["differences"] == len(planted)
    assert {one["id"]: one["kind"] for one in answer["messages"]} == {
        str(key): kind for key, kind in planted.items()
    }
    call_command("reconcile_messages", "--check", stdout=StringIO())


def test_one_conversation_or_one_time_alone(ann, ben, cleo, ids, conversation) -> None:
    other = opened(ann, cleo)
    elsewhere = post_message(user_id=ann.pk, room_id=other, content="x", key=None).state
    DirectMessage.objects.using("default").filter(id__in=[ids[0], ids[-1], elsewhere.id]).delete()

    assert reconcile(scope=Scope(conversation_id=other), at=timezone.now()).mended == 1
    since = timezone.now() + dt.timedelta(hours=1)
    assert reconcile(scope=Scope(since=since), at=timezone.now()).compared == 0
    assert reconcile(scope=Scope(), at=timezone.now()).mended == 2


def test_a_run_that_was_ended_goes_on(ids) -> None:
    plant(ids)
    Reconciliation.objects.create(began_at=timezone.now(), scope="all", after=str(ids[29]))

    report = reconcile(scope=Scope(), at=timezone.now(), resume=True)

    assert (report.compared, report.differences) == (30, 16)
    assert Reconciliation.objects.get().ended_at is not None


@pytest.fixture
def edits_in_mongodb(ids, monkeypatch):
    """Return what has the next looks at one message each find another state, in MongoDB alone."""
    looks: list[None] = []

    def edit(_seconds: float) -> None:
        if looks:
            looks.pop()
            (state,) = MongoMessages().states_of(ids[:1]).values()
            edited = state.edited(content=str(len(looks)), file_url="", version=next_version())
            MongoMessages().put([edited])

    def begin(number: int) -> None:
        looks.extend([None] * number)
        edit(0)

    monkeypatch.setattr(suspects, "LOOK_AGAIN", 60.0)
    monkeypatch.setattr(suspects, "time", SimpleNamespace(monotonic=time.monotonic, sleep=edit))
    return begin


def test_what_changes_from_look_to_look_is_left_to_its_writers(edits_in_mongodb, ids) -> None:
    edits_in_mongodb(100)

    report = reconcile(scope=Scope(), at=timezone.now(), rate=0)

    assert report.differences == 0
    assert MongoMessages().states_of(ids[:1]) != PostgresMessages().states_of(ids[:1])


def test_what_changes_no_more_is_mended_as_it_is_then(edits_in_mongodb, ids) -> None:
    edits_in_mongodb(4)

    report = reconcile(scope=Scope(), at=timezone.now(), rate=0)

    assert (report.differences, report.mended) == (1, 1)
    assert PostgresMessages().states_of(ids[:1])[ids[0]].content == "0"


def test_writers_meanwhile_are_no_difference(ann, conversation, ids, monkeypatch) -> None:
    monkeypatch.setattr(suspects, "LOOK_AGAIN", LOOK_AGAIN)

    def write() -> None:
        for number in range(20):
            posted = post_message(
                user_id=ann.pk, room_id=conversation, content=str(number), key=None
            )
            edit_message(user_id=ann.pk, message_id=posted.state.id, content="edited")

    def compare() -> int:
        return sum(
            reconcile(scope=Scope(), at=timezone.now(), repair=False).differences for _ in range(3)
        )

    results = at_once(write, write, compare)

    assert results == [None, None, 0]
    assert in_mongodb() == in_postgres()


def test_beat_compares_by_itself_and_forgets_old_runs(ids) -> None:
    plant(ids)
    Reconciliation.objects.create(
        began_at=timezone.now() - dt.timedelta(days=40), ended_at=timezone.now(), scope="old"
    )
    DirectMessage.objects.using("default").filter(id=ids[5]).delete()
    Reconciliation.objects.all().delete()

    tasks.reconcile_recent()

    assert in_mongodb() == in_postgres()
    assert Reconciliation.objects.get().mended == 26


def test_bad_use_is_told_apart() -> None:
    for arguments in (["--rate", "-1"], ["--conversation", "x"], ["--since", "soon"]):
        with pytest.raises(CommandError) as refused:
            call_command("reconcile_messages", *arguments)
        assert refused.value.returncode == 2 or "argument" in str(refused.value)
