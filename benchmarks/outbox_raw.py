"""The raw limit: what psycopg and pymongo do when nothing but the work itself is done.

Claim by shard and id, read the rows, write them with their versions, delete by key, over and over.
No retries, no failures, no leases, no metrics, nobody to stop it. Ours does the same work.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

import psycopg
from pymongo import UpdateOne, WriteConcern

from benchmarks.outbox_site import COLLECTION, FIELDS, TABLE, collection_of

SINK: Final = "raw"
BATCH: Final = 500
SHARDS: Final = 16
ID_BITS: Final = 44

CLAIM: Final = """
SELECT shard, id, aggregate_type, aggregate_id, event_type FROM outbox_outboxevent
WHERE sink = %s AND shard = ANY(%s::smallint[]) ORDER BY shard, id LIMIT %s
"""
LOAD: Final = f"SELECT id, {', '.join(FIELDS)} FROM {TABLE} WHERE id = ANY(%s::uuid[])"
DELETE: Final = """
DELETE FROM outbox_outboxevent AS e USING unnest(%s::smallint[], %s::bigint[]) AS k (shard, id)
WHERE e.sink = %s AND e.shard = k.shard AND e.id = k.id
"""
Orders = Connection
"""A pipe to a process: "drain" goes down it, the number of events comes back."""


class Crew:
    """Processes that wait, connected, for the word to drain."""

    def __init__(self, pipes: Sequence[Orders]) -> None:
        """Take the pipes to them."""
        self._pipes = pipes

    def begin(self) -> None:
        """Have all of them drain their shards, once; returns at once."""
        for pipe in self._pipes:
            pipe.send("drain")

    def finish(self) -> int:
        """Wait for all of them; return how many events they delivered."""
        return sum(pipe.recv() for pipe in self._pipes)


@contextmanager
def crew(processes: int, *, postgres: str, mongodb: str) -> Iterator[Crew]:
    """Run that many processes in this block, each with as many shards as the others."""
    context = multiprocessing.get_context("spawn")
    pipes, children = [], []
    for number in range(processes):
        ours, theirs = context.Pipe()
        shards = list(range(number, SHARDS, processes))
        child = context.Process(target=_serve, args=(theirs, postgres, mongodb, shards))
        child.start()
        pipes.append(ours)
        children.append(child)
    try:
        for pipe in pipes:
            pipe.recv()  # connected
        yield Crew(pipes)
    finally:
        for pipe, child in zip(pipes, children, strict=True):
            pipe.send("end")
            child.join(10)


def _serve(pipe: Orders, postgres: str, mongodb: str, shards: list[int]) -> None:
    collection = collection_of(mongodb).with_options(write_concern=WriteConcern("majority", j=True))
    with psycopg.connect(postgres, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("SET synchronous_commit = off")  # as ours: to forget is to do it again
        connection.execute("SET enable_seqscan = off")  # statistics of a queue are always wrong
        connection.execute("SET enable_bitmapscan = off")
        collection.find_one()
        pipe.send("ready")
        while pipe.recv() == "drain":
            pipe.send(_drain(connection, collection, shards))


def _drain(connection: psycopg.Connection[Any], collection: Any, shards: list[int]) -> int:
    total = 0
    while rows := connection.execute(CLAIM, (SINK, shards, BATCH)).fetchall():
        versions = {row[3]: 1 << ID_BITS | row[1] for row in rows}
        found = connection.execute(LOAD, (list(versions),)).fetchall()
        collection.bulk_write(
            [_operation(str(key), versions[str(key)], values) for key, *values in found],
            ordered=False,
        )
        keys = [row[0] for row in rows], [row[1] for row in rows]
        connection.execute(DELETE, (*keys, SINK))
        total += len(rows)
    return total


def _operation(key: str, version: int, values: Sequence[Any]) -> UpdateOne:
    new = {"_id": key, **dict(zip(FIELDS, values, strict=True)), "_v": version, "_live": True}
    newer = {"$gt": [version, {"$ifNull": ["$_v", -1]}]}
    return UpdateOne(
        {"_id": key},
        [{"$replaceWith": {"$cond": [newer, {"$literal": new}, "$$ROOT"]}}],
        upsert=True,
    )


__all__ = ["COLLECTION", "SINK", "Crew", "crew"]
