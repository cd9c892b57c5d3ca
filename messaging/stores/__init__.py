"""Where direct messages are kept: MongoDB first, PostgreSQL with all of them behind it.

Two stores with one interface (`interface.MessageStore`), and two ways through them:
`with_mongo_fallback` for reads, `sync_to_both_databases` for writes.
"""

from __future__ import annotations

from messaging.stores.doors import (
    BothStoresDown,
    Synced,
    check_database_health,
    sync_to_both_databases,
    with_mongo_fallback,
)
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages

__all__ = [
    "BothStoresDown",
    "MongoMessages",
    "PostgresMessages",
    "Synced",
    "check_database_health",
    "sync_to_both_databases",
    "with_mongo_fallback",
]
