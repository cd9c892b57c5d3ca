"""Who takes part in conversations reaches MongoDB whoever changes it; so do deleted messages."""

from __future__ import annotations

from django.db import migrations

from outbox.events import MONGODB
from outbox.triggers import record_changes


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial"), ("outbox", "0001_initial")]

    operations = [
        record_changes(
            table="messaging_conversation",
            aggregate_type="conversation",
            sinks=[MONGODB],
            of=["title", "pair"],
        ),
        record_changes(
            table="messaging_conversationmember",
            aggregate_type="conversation",
            sinks=[MONGODB],
            column="conversation_id",
            of=["role", "left_at"],
        ),
        record_changes(
            table="messaging_groupmessage",
            aggregate_type="message",
            sinks=[MONGODB],
            on="DELETE",
        ),
    ]
