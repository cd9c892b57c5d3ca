"""Who was declined, blocks and unblocks the other, stays declined."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracker", "0002_deletes_reach_mongodb")]

    operations = [
        migrations.AddField(
            model_name="friendship",
            name="was_declined",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text=(
                    "Before the one who asked blocked the other: "
                    "unblocking does not let them ask."
                ),
            ),
        ),
    ]
