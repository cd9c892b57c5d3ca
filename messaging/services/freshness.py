"""Up to when MongoDB knows who belongs to which conversation.

While PostgreSQL is down, membership is read from MongoDB: no longer than
MESSAGING_MEMBERSHIP_SECONDS after the moment that is noted here, so that somebody who was removed
shortly before the outage is out after that time.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connections

from databases.placement import alias_of
from databases.stores import mongo
from messaging.queries.rooms import MEMBERSHIP, STATE
from messaging.stores.postgres import APP
from outbox.events import MONGODB
from outbox.watermark import gave_up, waiting_since

MARGIN: Final = dt.timedelta(seconds=1)
"""Between the time in an event and its commit."""


MEMBERS_OF: Final = ("conversation",)
"""The aggregates whose changes tell MongoDB who belongs where."""


def confirm_membership() -> dt.datetime | None:
    """Note up to when MongoDB has all changes of members; return that moment, by the primary.

    Nothing is noted while a change of members is a dead letter: MongoDB may never get it.

    :raises AliasUnavailable: when a store is away.
    """
    if not mongo.configured():
        return None
    with connections[alias_of(APP)].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: dt.datetime = cursor.fetchone()[0]
    # Read after the clock: what is committed later is none of this moment's.
    waiting = waiting_since(MONGODB)
    if gave_up(MONGODB, MEMBERS_OF):  # asked last: what waited above may be given up by now
        return None
    as_of = (min(now, waiting) if waiting is not None else now) - MARGIN
    with mongo.database() as database:
        database[STATE].update_one({"_id": MEMBERSHIP}, {"$max": {"as_of": as_of}}, upsert=True)
    return as_of
