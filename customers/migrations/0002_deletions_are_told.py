"""Apps of other databases are told when a business entity is deleted, by whomever."""

from __future__ import annotations

from django.db import migrations

from outbox.triggers import tell_children


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial"), ("outbox", "0001_initial")]

    operations = [
        tell_children(
            table="customers_businessentity",
            apps=["analytics", "compliance", "documents", "workspace"],
        )
    ]
