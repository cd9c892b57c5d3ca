"""`manage.py ensure_mongo_indexes`: make the indexes that queries on MongoDB need."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import PolystoreError
from databases.stores import mongo


class Command(BaseCommand):
    """Make every index that the apps declare; safe to repeat."""

    help = "Make the indexes that queries on MongoDB need; safe to repeat. For deployments."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make them and say how many there are."""
        try:
            made = mongo.ensure_indexes()
        except PolystoreError as error:
            raise CommandError(f"{error.detail} {error.remedy}") from None
        for collection, count in sorted(made.items()):
            self.stdout.write(f"{collection}: {count}")
        self.stdout.write(f"{sum(made.values())} indexes are in place.")
