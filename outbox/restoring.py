"""After a restore of the primary a new epoch begins: no event of it is ever taken for an old one.

The sequence of events goes back with the rows, so that ids are given out a second time. Versions
are (epoch, id): what the copies have seen of the first time must look older.
"""

from __future__ import annotations

from typing import Final

from django.db import connections

from databases.backup.listeners import Listener, Restored
from databases.breaker import AliasUnavailable
from databases.crossings import allow_cross_database
from databases.stores import mongo
from outbox.delivery.state import highest_epoch
from outbox.models import DeliveryState

UNSEEN: Final = 1_000
"""Epochs that are skipped where the rows from before cannot be asked how many began after the
backup was made: the server that had them may have been restored or promoted since, and copies in
other databases may know of it. Versions have room for half a million."""
_BEGIN: Final = """
DO $$ BEGIN
    IF to_regclass('outbox_deliverystate') IS NOT NULL THEN
        INSERT INTO outbox_deliverystate AS s (id, epoch, server, paused_by, reason)
        VALUES (1, greatest(1 + {above}, {least}), '', '', '')
        ON CONFLICT (id) DO UPDATE SET epoch = greatest(s.epoch + {above}, {least});
    END IF;
END $$;
"""
_WHY: Final = "a restore works on the database that it restores, under whatever alias"


def epoch_before(restored: Restored) -> int | None:
    """Return the epoch of the rows that are about to be replaced, None where there are none."""
    return _epoch(restored.on) if restored.is_primary else None


def begin_within(restored: Restored, before: int | None) -> str:
    """Return SQL that begins an epoch above every one that was ever given out.

    It commits with the rows: whoever sees them sees the epoch, wherever the restore is killed.
    """
    if not restored.is_primary:
        return ""
    above = 1 if before is not None else UNSEEN
    return _BEGIN.format(above=above, least=max(before or 0, _highest_in_mongodb()) + 1)


def tell_after(restored: Restored, before: int | None) -> str:
    """Return a line for people."""
    epoch = _epoch(restored.on) if restored.is_primary else None
    if epoch is None:
        return ""
    return (
        f"outbox: epoch {epoch} has begun. Compare the read models with the rows that are back: "
        "manage.py verify_sync --repair"
    )


def _highest_in_mongodb() -> int:
    """Return the highest epoch that a read model knows; 0 while MongoDB cannot be asked.

    The restore does not wait for MongoDB: it may be down for the same reason.
    """
    try:
        return highest_epoch()
    except (AliasUnavailable, mongo.MongoNotConfigured):
        return 0


def _epoch(alias: str) -> int | None:
    if not _has_table(alias):
        return None
    with allow_cross_database(reason=_WHY):
        return DeliveryState.objects.using(alias).values_list("epoch", flat=True).first()


def _has_table(alias: str) -> bool:
    connection = connections[alias]
    with connection.cursor() as cursor:
        return DeliveryState._meta.db_table in connection.introspection.table_names(cursor)


LISTENER: Final = Listener(
    name="outbox", before=epoch_before, within=begin_within, after=tell_after
)
