"""Changes of two members of one conversation are told in the order of their commits."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import migrations

from outbox.events import MONGODB
from outbox.triggers import record_changes

_told = partial(
    record_changes,
    table="messaging_conversationmember",
    aggregate_type="conversation",
    sinks=[MONGODB],
    column="conversation_id",
    of=["role", "left_at"],
)
_locking: Any = _told(part_of="messaging_conversation")
_before: Any = _told()


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0003_direct_messages_by_change"),
        ("outbox", "0005_parts_lock_their_whole"),
    ]

    operations = [migrations.RunPython(_locking.code, _before.code)]
