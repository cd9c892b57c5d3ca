"""A comparison of what came since some time finds the older messages that were changed since."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0002_changes_reach_mongodb")]

    operations = [
        migrations.AddIndex(
            model_name="directmessage",
            index=models.Index(
                condition=models.Q(("updated_at__gt", models.F("created_at"))),
                fields=["updated_at", "id"],
                name="messaging_direct_edited",
            ),
        ),
    ]
