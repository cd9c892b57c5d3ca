"""Direct messages: history from either store, with one of them down, comparing both, and streams.

Ours and the bare driver take turns on the same documents and rows. The naive version asks MongoDB
with the driver's default selection time before it asks PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any, Final

from benchmarks.common import (
    ROOT,
    Target,
    exit_code,
    median,
    memory_mb,
    percentile,
    report,
    site,
    table,
)
from benchmarks.messaging_streams import measure_streams
from devservers.aliases import MONGODB, PRIMARY, REDIS
from devservers.sets import ServerSet

PARTS: Final = ("history", "outage", "posting", "reconcile", "streams")
TARGETS: Final[dict[str, Target]] = {
    "history_mongo_ratio": ("<=", 1.2),
    "history_postgres_ratio": ("<=", 1.2),
    "fallback_p99_ratio": ("<=", 1.2),
}
BATCH: Final = 5_000
PLANTED: Final = 1_000
Figures = dict[str, float]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000, help="of the room (100,000)")
    parser.add_argument("--compared", type=int, default=1_000_000, help="to reconcile (1,000,000)")
    parser.add_argument("--rounds", type=int, default=1_000, help="pages of each side (1,000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of posting in each mode (5)")
    parser.add_argument("--streams", type=int, default=1_000, help="that are open (1,000)")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS)
    options = parser.parse_args()
    with site("messaging", (PRIMARY, REDIS, MONGODB)) as servers:
        figures = measure(servers, options)
        targets = {name: bound for name, bound in TARGETS.items() if name in figures}
        met = report("messaging", figures=figures, targets=targets)
    exit_code(met=met)


def measure(servers: ServerSet, options: argparse.Namespace) -> Figures:
    """Run the parts that are asked for."""
    from databases.stores import mongo

    mongo.ensure_indexes()
    people, room, member = a_room()
    figures: Figures = {}
    if {"history", "outage"} & set(options.only):
        seed(room, member, people[0], options.messages)
    if "history" in options.only:
        figures |= history(servers, room, options.rounds)
    if "streams" in options.only:
        figures |= measure_streams(people, room, options.streams)
    if "outage" in options.only:
        figures |= outage(servers, room, options.rounds)
    if "posting" in options.only:
        figures |= posting(servers, people, room, options.seconds)
    if "reconcile" in options.only:
        figures |= reconciling(member, people[0], options.compared)
    return figures


def a_room() -> tuple[list[uuid.UUID], uuid.UUID, uuid.UUID]:
    """Return people, their conversation, and the first one's place in it."""
    from accounts.services import NewPerson, create_people
    from common.ids import uuid7
    from messaging.queries.rooms import standing_of
    from messaging.services.freshness import confirm_membership
    from messaging.services.rooms import open_conversation
    from outbox.delivery import drain_once

    new = [
        NewPerson(id=uuid7(), email=f"{uuid7()}@example.com", first_name="Some", last_name="Body")
        for _ in range(2)
    ]
    people = create_people(people=new)
    room, _ = open_conversation(user_id=people[0], user_ids=people[1:])
    drain_once()
    confirm_membership()
    return people, room, standing_of(user_id=people[0], room_id=room).member_id


def states(room: uuid.UUID, member: uuid.UUID, author: uuid.UUID, count: int) -> list[Any]:
    """Return new messages."""
    from common.ids import uuid7
    from messaging.stores.states import first_state

    return [
        first_state(
            message_id=uuid7(),
            room_id=room,
            member_id=member,
            author_id=author,
            content=f"message {number} of the benchmark, as long as people write on a phone",
            file_url="",
        )
        for number in range(count)
    ]


def seed(room: uuid.UUID, member: uuid.UUID, author: uuid.UUID, count: int) -> None:
    """Put messages into both stores."""
    from messaging.stores.mongodb import MongoMessages
    from messaging.stores.postgres import PostgresMessages

    for begin in range(0, count, BATCH):
        some = states(room, member, author, min(BATCH, count - begin))
        PostgresMessages().put(some)
        MongoMessages(timeout=60).put(some)


# History ----------------------------------------------------------------------------------------


def history(servers: ServerSet, room: uuid.UUID, rounds: int) -> Figures:
    """Compare a page of 50 with the bare driver's, in both stores; the view beside it."""
    import psycopg
    import pymongo

    from messaging.queries.history import page_of
    from messaging.queries.rooms import standing_of
    from messaging.stores import postgres
    from messaging.stores.mongodb import _SHOWN, COLLECTION, MongoMessages
    from messaging.stores.postgres import PostgresMessages

    environment = servers.environment()
    sql = f"{postgres._OF_ROOM} {postgres._NEWEST}"
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(
        environment["MONGO_URL"], uuidRepresentation="standard", tz_aware=True
    )
    with client, psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
        collection = client.get_default_database()[COLLECTION]

        def bare_mongo() -> object:
            where = {"conversation_id": room}
            return list(collection.find(where, _SHOWN, sort=[("_id", -1)], limit=50))

        def bare_postgres() -> object:
            return connection.execute(sql, (room, 50)).fetchall()

        mongo_pair = in_turns(
            bare_mongo, lambda: MongoMessages().older(room, than=None, limit=50), rounds
        )
        postgres_pair = in_turns(
            bare_postgres, lambda: PostgresMessages().older(room, than=None, limit=50), rounds
        )
    with connections_bare() as nothing:
        user = a_user_of(room)
        page = in_turns(
            nothing, lambda: page_of(standing_of(user_id=user, room_id=room)), rounds // 5
        )
    table(
        ("page of 50, median", "bare, µs", "ours, µs"),
        [
            ("MongoDB", *micro(mongo_pair)),
            ("PostgreSQL", *micro(postgres_pair)),
            ("member, marks, page", "", micro(page)[1]),
        ],
    )
    return {
        "history_mongo_ratio": median(mongo_pair[1]) / median(mongo_pair[0]),
        "history_postgres_ratio": median(postgres_pair[1]) / median(postgres_pair[0]),
        "history_page_ms": median(page[1]) * 1000,
    }


class connections_bare:  # noqa: N801 - it reads as what it gives
    """An operation that does nothing, for `in_turns`."""

    def __enter__(self) -> Callable[[], object]:
        return lambda: None

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def a_user_of(room: uuid.UUID) -> uuid.UUID:
    """Return somebody who takes part."""
    from messaging.models import ConversationMember

    return ConversationMember.objects.filter(conversation_id=room).order_by("pk")[0].user_id


def in_turns(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Return seconds of each call of both, in turns."""
    for _ in range(20):
        first()
        second()
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        # Who comes first finds a colder processor: they take turns in that, too.
        for which in (0, 1) if number % 2 else (1, 0):
            begun = time.perf_counter()
            (first, second)[which]()
            found[which].append(time.perf_counter() - begun)
    return found


def micro(pair: tuple[list[float], list[float]]) -> tuple[str, str]:
    """Return both medians in microseconds."""
    return f"{median(pair[0]) * 1e6:.0f}", f"{median(pair[1]) * 1e6:.0f}"


# Outages ----------------------------------------------------------------------------------------


def outage(servers: ServerSet, room: uuid.UUID, rounds: int) -> Figures:
    """Compare reads with MongoDB down with reads that go to PostgreSQL directly."""
    import pymongo
    from pymongo.errors import PyMongoError

    from messaging.stores.doors import with_mongo_fallback
    from messaging.stores.mongodb import COLLECTION, MongoMessages
    from messaging.stores.postgres import PostgresMessages

    store, behind = MongoMessages(), PostgresMessages()

    def direct() -> object:
        return behind.older(room, than=None, limit=50)

    def through_the_door() -> object:
        return with_mongo_fallback(
            lambda: store.older(room, than=None, limit=50),
            lambda: behind.older(room, than=None, limit=50),
            "BENCHMARK",
        )

    servers.kill("mongodb")
    begun = time.perf_counter()
    through_the_door()
    first = time.perf_counter() - begun
    pair = in_turns(direct, through_the_door, rounds)
    naive_client: pymongo.MongoClient[Any] = pymongo.MongoClient(servers.environment()["MONGO_URL"])
    begun = time.perf_counter()
    try:
        list(naive_client.get_default_database()[COLLECTION].find({"conversation_id": room}))
    except PyMongoError:
        direct()
    naive = time.perf_counter() - begun
    naive_client.close()
    servers.start("mongodb")
    await_mongodb()
    return {
        "fallback_first_ms": first * 1000,
        "fallback_p99_ratio": percentile(pair[1], 0.99) / percentile(pair[0], 0.99),
        "naive_fallback_first_s": naive,
    }


def posting(
    servers: ServerSet, people: list[uuid.UUID], room: uuid.UUID, seconds: float
) -> Figures:
    """Measure how fast messages are taken, with both stores up and with each down."""
    from messaging.services.catching_up import copy_marked
    from messaging.services.freshness import confirm_membership
    from outbox.delivery import drain_once

    figures = named("both", post_for(people, room, seconds))
    servers.kill("mongodb")
    figures |= named("mongodb_down", post_for(people, room, seconds))
    servers.start("mongodb")
    await_mongodb()
    drain_once()
    confirm_membership()
    servers.stop("primary")
    figures |= named("postgresql_down", post_for(people, room, seconds))
    servers.start("primary")
    await_primary()
    copy_marked()
    return figures


def post_for(
    people: list[uuid.UUID], room: uuid.UUID, seconds: float, *, threads: int = 4
) -> list[float]:
    """Return the seconds of each post of some threads; what failed is not among them."""
    from django.db import connections

    from messaging.services.messages import post_message

    taken: list[float] = []
    over = threading.Event()

    def work(user_id: uuid.UUID) -> None:
        while not over.is_set():
            begun = time.perf_counter()
            try:
                post_message(user_id=user_id, room_id=room, content="a message", key=None)
            except Exception:  # noqa: BLE001, S112 - the first ones after a store is gone
                continue
            finally:
                for connection in connections.all(initialized_only=True):
                    connection.close_if_unusable_or_obsolete()
            taken.append(time.perf_counter() - begun)
        connections.close_all()

    workers = [
        threading.Thread(target=work, args=(people[number % len(people)],))
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    time.sleep(seconds)
    over.set()
    for worker in workers:
        worker.join()
    return [*taken, seconds]


def named(mode: str, taken: list[float]) -> Figures:
    """Return the figures of one mode."""
    *taken, seconds = taken
    return {
        f"post_{mode}_per_s": len(taken) / seconds,
        f"post_{mode}_p99_ms": percentile(taken, 0.99) * 1000 if taken else float("nan"),
    }


def await_mongodb() -> None:
    """Return when MongoDB serves again."""
    from databases.stores import mongo

    for _ in range(600):
        try:
            mongo.ping()
        except Exception:  # noqa: BLE001 - not yet
            time.sleep(0.05)
        else:
            mongo.breaker().succeeded()
            return


def await_primary() -> None:
    """Return when PostgreSQL serves this thread again."""
    from django.db import Error, connections

    for _ in range(600):
        connections["default"].close_if_unusable_or_obsolete()
        try:
            connections["default"].ensure_connection()
        except Error:
            time.sleep(0.05)
        else:
            return


# Comparing --------------------------------------------------------------------------------------


def reconciling(member: uuid.UUID, author: uuid.UUID, count: int) -> Figures:
    """Compare two stores with planted differences, in a process of its own."""
    from messaging.models import DirectMessage

    room = uuid.uuid4()
    seed(room, member, author, count)
    ids = list(
        DirectMessage.objects.filter(conversation_id=room)
        .order_by("id")
        .values_list("id", flat=True)
    )
    planted = min(PLANTED, count // 10)
    plant([ids[len(ids) * number // planted] for number in range(planted)])
    first, again = compared(), compared()
    if (first["differences"], first["mended"], again["differences"]) != (planted, planted, 0):
        raise SystemExit(f"Planted {planted}; found {first['kinds']}, then {again['kinds']}.")
    return {
        "reconcile_rows_per_s": again["rowsPerSecond"],
        "reconcile_peak_mb": max(first["peak_mb"], again["peak_mb"]),
    }


KINDS: Final = 8


def plant(ids: list[uuid.UUID]) -> None:
    """Make the stores differ: missing, older, deleted, or changed without a version, on either."""
    from databases.stores import mongo
    from messaging.models import DirectMessage
    from messaging.stores.mongodb import COLLECTION, MongoMessages
    from messaging.stores.postgres import PostgresMessages
    from messaging.stores.versions import next_version

    behind, front = PostgresMessages(), MongoMessages(timeout=60)
    kinds = [ids[number::KINDS] for number in range(KINDS)]
    rows = DirectMessage.objects.all()
    with mongo.database(timeout=60) as database:
        documents = database[COLLECTION]
        documents.delete_many({"_id": {"$in": kinds[0]}})
        documents.update_many({"_id": {"$in": kinds[1]}}, {"$set": {"content": "changed"}})
    rows.filter(id__in=kinds[2]).delete()
    rows.filter(id__in=kinds[3]).update(content="changed")
    for edited, deleted, store in ((kinds[4], kinds[5], behind), (kinds[6], kinds[7], front)):
        store.put(
            [
                state.edited(content="newer", file_url="", version=next_version())
                for state in behind.states_of(edited).values()
            ]
        )
        store.put(
            [state.as_deleted(next_version()) for state in behind.states_of(deleted).values()]
        )


def compared() -> dict[str, Any]:
    """Run the command; return its report, with the most memory that it held."""
    command = [sys.executable, "manage.py", "reconcile_messages", "--json", "--rate", "0"]
    with TemporaryFile("w+") as said, subprocess.Popen(command, cwd=ROOT, stdout=said) as process:
        # Not `ru_maxrss`, which a child inherits: this process holds all ids.
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid, most=True))
            time.sleep(0.05)
        said.seek(0)
        found: dict[str, Any] = json.loads(said.read().strip().splitlines()[-1])
    return found | {"peak_mb": peak}


if __name__ == "__main__":
    main()
