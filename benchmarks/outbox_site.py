"""What the outbox's benchmark delivers: business entities, shown in a MongoDB collection.

An app of the benchmark's settings alone. The rows are real ones of `customers`; nobody else
subscribes to them under this name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.db import connection
from pymongo import MongoClient
from pymongo.collection import Collection

Document = dict[str, Any]

AGGREGATE: Final = "bench_entity"
COLLECTION: Final = "bench_entities"
PEERS_COLLECTION: Final = "bench_peers"
TABLE: Final = "customers_businessentity"
FIELDS: Final = (
    "legal_name", "trading_name", "kind", "country", "owner_id", "status", "created_at",
    "updated_at",
)  # fmt: skip
EVENT: Final = f"{AGGREGATE}.updated"


class OutboxBenchmark(AppConfig):
    """Subscribes."""

    name = "benchmarks"

    def ready(self) -> None:
        """Have the outbox show business entities, as an app of the site would."""
        from outbox.registry import Projection, subscribe

        subscribe(
            Projection(
                name=COLLECTION, aggregate_type=AGGREGATE, load=load_entities, page=page_of_ids
            )
        )


def load_entities(ids: Sequence[str]) -> Mapping[str, Document]:
    """Return the documents of these rows, in one query."""
    from customers.models import BusinessEntity

    rows = BusinessEntity.objects.filter(pk__any_of=ids).values_list("pk", *FIELDS)
    return {str(key): dict(zip(FIELDS, values, strict=True)) for key, *values in rows}


def page_of_ids(after: str | None, limit: int) -> list[str]:
    """Return the next ids of all rows, rising."""
    from customers.models import BusinessEntity

    rows = BusinessEntity.objects.all() if after is None else BusinessEntity.objects.filter(
        pk__gt=after
    )  # fmt: skip
    return [str(key) for key in rows.order_by("pk").values_list("pk", flat=True)[:limit]]


# Rows -------------------------------------------------------------------------------------------


def make_entities(count: int) -> list[str]:
    """Write `count` business entities and return their ids."""
    from django.contrib.auth import get_user_model

    owner = get_user_model()(email="owner@example.org")
    owner.save()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        # The checksum in place of a time keeps inserts of neighbours apart in the index, as the
        # changes of many users are.
        cursor.execute(
            f"""
            INSERT INTO {TABLE} (id, legal_name, trading_name, kind, country, registration_number,
                contact_email, contact_phone, address, website, status, owner_id)
            SELECT md5(n::text)::uuid, 'Entity ' || n, '', 'llc', 'US', '', '', '', '', '',
                   'active', %s
            FROM generate_series(1, %s) AS n
            """,
            [owner.pk, count],
        )
        cursor.execute(f"VACUUM (ANALYZE) {TABLE}")
        cursor.execute("TRUNCATE outbox_outboxevent")
        cursor.execute(f"SELECT id::text FROM {TABLE} ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def fill(sink: str, count: int, *, entities: int) -> None:
    """Queue `count` pointer events, of as many aggregates as there are.

    :param entities: how many rows there are; events beyond their number begin with the first again.
    """
    with connection.cursor() as cursor:
        for start in range(0, count, entities):
            cursor.execute(
                f"""
                INSERT INTO outbox_outboxevent
                    (sink, shard, aggregate_type, aggregate_id, event_type)
                SELECT %s, ('x' || substr(md5('{AGGREGATE}:' || id), 1, 1))::bit(4)::int,
                       '{AGGREGATE}', id::text, '{EVENT}'
                FROM {TABLE} ORDER BY legal_name LIMIT %s
                """,
                [sink, min(entities, count - start)],
            )


def waiting(sink: str) -> int:
    """Return how many events wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox_outboxevent WHERE sink = %s", [sink])
        return int(cursor.fetchone()[0])


def tidy() -> None:
    """Empty the queue, and have it as young as at the start."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE outbox_outboxevent")


def vacuum() -> None:
    """Do what autovacuum would have done by now."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # what the site's statements never need
        cursor.execute("VACUUM (ANALYZE) outbox_outboxevent")


def collection_of(url: str) -> Collection[Document]:
    """Return the collection that is delivered to, through a client of its own."""
    client: MongoClient[Document] = MongoClient(url, tz_aware=True, uuidRepresentation="standard")
    return client.get_default_database("polystore")[COLLECTION]
