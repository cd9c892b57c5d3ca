"""What MongoDB may say of who belongs to a conversation while PostgreSQL is away."""

from __future__ import annotations

import pytest
from django.utils import timezone

from messaging.services.freshness import confirm_membership
from messaging.services.rooms import remove_from_conversation
from outbox import upkeep
from outbox.events import MONGODB
from outbox.models import DeadLetter, OutboxEvent
from tests.homes import databases_of
from tests.messaging.world import deliver, opened

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))


def test_membership_is_not_confirmed_while_a_change_of_it_was_given_up(ann, ben, cleo) -> None:
    """Else whoever was removed by that change is let in for as long as an outage lasts."""
    room = opened(ann, ben, cleo, title="Three")
    deliver()
    assert confirm_membership() is not None
    remove_from_conversation(
        user_id=ann.pk, conversation_id=room, other_id=ben.pk, at=timezone.now()
    )
    waiting = OutboxEvent.objects.filter(aggregate_id=str(room), sink=MONGODB)
    for event in waiting.values(
        *("id", "sink", "aggregate_type", "aggregate_id", "type", "schema", "created_at")
    ):
        DeadLetter.objects.create(**event, attempts=8, kind="KeyError", reason="Tried 8 times.")
    waiting.delete()

    assert confirm_membership() is None

    upkeep.replay(upkeep.dead_letters())
    deliver()
    assert confirm_membership() is not None
