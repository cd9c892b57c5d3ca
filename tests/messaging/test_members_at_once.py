"""Who takes part reaches MongoDB, also when several people come and go at the same time."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from databases.placement import alias_of
from databases.stores import mongo
from messaging.models import ConversationMember
from tests.homes import every_database
from tests.messaging.world import deliver, opened
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=every_database())

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"


def members_in_mongodb(conversation_id: UUID) -> set[str]:
    """Return who takes part, as long as PostgreSQL does not answer."""
    with mongo.database() as database:
        found = database["conversations"].find_one({"_id": str(conversation_id)})
    return {member["user_id"] for member in (found or {})["members"]}


def test_of_two_who_go_at_once_both_are_gone_whoever_commits_first(ann, ben, cleo) -> None:
    """Rows of two members are locked one by one; what shows them is one document."""
    conversation_id = opened(cleo, ann, ben, title="Three")
    deliver()
    began, end = threading.Event(), threading.Event()

    def delete(user, *, wait: bool) -> None:
        with transaction.atomic(using=alias_of("messaging")):
            ConversationMember.objects.filter(user_id=user.pk).delete()
            began.set()
            if wait:
                assert end.wait(30)
        connections.close_all()

    first = threading.Thread(target=delete, args=(ann,), kwargs={"wait": True})
    first.start()
    assert began.wait(30)
    second = threading.Thread(target=delete, args=(ben,), kwargs={"wait": False})
    second.start()

    def is_waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(WAITS, [connection.settings_dict["NAME"]])
            return bool(cursor.fetchone()[0])

    eventually(lambda: not second.is_alive() or is_waiting())
    deliver()
    end.set()
    first.join()
    second.join()
    deliver()

    assert members_in_mongodb(conversation_id) == {str(cleo.pk)}
