"""Apps of other databases are told when a user is deleted, by whomever."""

from __future__ import annotations

from django.db import migrations

from outbox.triggers import tell_children


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_users_to_outbox"), ("outbox", "0001_initial")]

    operations = [
        tell_children(
            table="accounts_user", apps=["analytics", "compliance", "documents", "workspace"]
        )
    ]
