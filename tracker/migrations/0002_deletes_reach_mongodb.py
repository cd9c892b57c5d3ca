"""Whoever deletes a row, by a cascade or by SQL, has MongoDB told of it."""

from __future__ import annotations

from django.db import migrations

from outbox.events import MONGODB
from outbox.triggers import record_changes

AGGREGATES = {
    "tracker_todo": "todo",
    "tracker_timer": "timer",
    "tracker_friendship": "friendship",
    "tracker_dailyreport": "daily_report",
}


class Migration(migrations.Migration):
    dependencies = [("tracker", "0001_initial"), ("outbox", "0001_initial")]

    operations = [
        record_changes(table=table, aggregate_type=aggregate, sinks=[MONGODB], on="DELETE")
        for table, aggregate in AGGREGATES.items()
    ]
