"""The outbox: its rate against the raw limit and other outboxes, its lag, its cost to writers.

1. One worker, then two, drain a queue; by turns the bare loop of psycopg and pymongo does the same
   with as many processes, and other outboxes bring the same documents to the same MongoDB.
2. Commit to MongoDB, at 20, 200 and 2,000 events a second.
3. The rate with millions of events waiting, and while a snapshot is held open.
4. What recording an event costs the transaction that it belongs to, and a whole request.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import psycopg
from pymongo.collection import Collection

from benchmarks.common import exit_code, median, report, site, table
from benchmarks.outbox_raw import Crew, crew
from benchmarks.outbox_site import Document
from devservers.aliases import MONGODB, PRIMARY, REDIS
from devservers.sets import ServerSet

ENTITIES: Final = 100_000
EVENTS: Final = 30_000
PEER_EVENTS: Final = 1_000
BACKLOG: Final = 5_000_000
SMALL_BACKLOG: Final = 10_000
CHURNED: Final = 100_000
CLIENTS: Final = 8
COMMIT_SECONDS: Final = 18.0
LAG_SECONDS: Final = 10.0
ROWS_OF_ONE: Final = {20: 1, 200: 1, 2_000: 10}
"""Events a second, and the rows that one transaction changes: two cores cannot serve 2,000
transactions of an ORM a second beside everything else that runs on them here."""
TARGETS: Final = {
    "limit_ratio_1": (">=", 0.7),
    "limit_ratio_2": (">=", 0.7),
    "best_peer_ratio": (">=", 10.0),
    "lag_p50_ms": ("<=", 25.0),
    "lag_p99_ms": ("<=", 100.0),
    "backlog_ratio": (">=", 0.8),
    "held_snapshot_ratio": (">=", 0.9),
    "commit_rate_ratio": (">=", 0.9),
    "post_p95_ratio": ("<=", 1.3),
}
Figures = dict[str, float]


def main() -> None:
    """Run the parts and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (3)")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"of a drain ({EVENTS})")
    parser.add_argument(
        "--backlog", type=int, default=BACKLOG, help=f"events that wait ({BACKLOG})"
    )
    parser.add_argument(
        "--part", choices=sorted(PARTS), action="append", help="one part; may be repeated"
    )
    options = parser.parse_args()
    chosen = [PARTS[name] for name in options.part or PARTS]
    with site(
        "outbox", (PRIMARY, REDIS, MONGODB), settings="benchmarks.outbox_settings"
    ) as servers:
        bench = Bench(servers, rounds=options.rounds, events=options.events)
        bench.backlog = options.backlog
        figures: Figures = {}
        for part in chosen:
            figures |= part(bench)
            print(flush=True)
        targets = {name: target for name, target in TARGETS.items() if name in figures}
        met = report("outbox", figures=figures, targets=targets)
    exit_code(met=met)


class Bench:
    """What all parts measure with."""

    backlog = BACKLOG

    def __init__(self, servers: ServerSet, *, rounds: int, events: int) -> None:
        """Write the rows."""
        from benchmarks.outbox_site import collection_of, make_entities

        self.servers = servers
        self.rounds = rounds
        self.events = events
        self.entities: Sequence[str] = make_entities(ENTITIES)
        self.collection: Collection[Document] = collection_of(os.environ["MONGO_URL"])


def measure_one_worker(bench: Bench) -> Figures:
    """Compare one worker with the bare loop and with other outboxes."""
    from benchmarks import outbox_drains as drains
    from benchmarks.outbox_peers import RELAYS, Peers

    peers = Peers(bench.servers)
    sides: dict[str, Callable[[], float]] = {
        name: partial(peers.rate_of, name, PEER_EVENTS) for name in RELAYS
    }
    with crew_of(bench, 1) as raw, drains.workers(1) as ours:
        count, rows = bench.events, len(bench.entities)
        sides["raw"] = lambda: drains.rate_of_raw(bench.collection, raw, count, entities=rows)
        sides["ours"] = lambda: drains.rate_of_ours(bench.collection, ours, count, entities=rows)
        rates = by_turns(sides, bench.rounds)
    print_rates("one worker", rates)
    best = max(median(rates[name]) for name in RELAYS)
    figures = {
        "limit_ratio_1": median(rates["ours"]) / median(rates["raw"]),
        "best_peer_ratio": median(rates["ours"]) / best,
        "rate_1": median(rates["ours"]),
    }
    return figures | {f"{name}_rate": median(rates[name]) for name in RELAYS}


def measure_two_workers(bench: Bench) -> Figures:
    """Compare two workers with two bare loops."""
    from benchmarks import outbox_drains as drains

    # Long enough that the first half second, in which the workers share the shards, counts little.
    count, rows = max(bench.events, ENTITIES), len(bench.entities)
    with crew_of(bench, 2) as raw, drains.workers(2) as ours:
        rates = by_turns(
            {
                "raw": lambda: drains.rate_of_raw(bench.collection, raw, count, entities=rows),
                "ours": lambda: drains.rate_of_ours(bench.collection, ours, count, entities=rows),
            },
            bench.rounds * 2,
        )
    print_rates("two workers", rates)
    return {
        "limit_ratio_2": median(rates["ours"]) / median(rates["raw"]),
        "rate_2": median(rates["ours"]),
    }


def measure_lag(bench: Bench) -> Figures:
    """Time commit to MongoDB at each rate; the worst of them counts."""
    from benchmarks import outbox_drains as drains
    from benchmarks.outbox_load import Rate, lags_at

    lines, p50, p99 = [], [], []
    with drains.workers(1):
        for events, rows in ROWS_OF_ONE.items():
            rate = Rate(events=events, rows=rows)
            lags = lags_at(rate, bench.collection, bench.entities, seconds=LAG_SECONDS)
            drains.wait_until_idle()
            p50.append(lags.ms(0.5))
            p99.append(lags.ms(0.99))
            lines.append(
                (events, rows, f"{lags.transactions_a_second * rows:.0f}", len(lags.seconds),
                 f"{p50[-1]:.1f}", f"{p99[-1]:.1f}", f"{lags.ms(1.0):.1f}")
            )  # fmt: skip
    table(
        ("events/s", "rows a transaction", "reached", "events", "p50, ms", "p99, ms", "max, ms"),
        lines,
    )
    return {"lag_p50_ms": max(p50), "lag_p99_ms": max(p99)}


def measure_backlog(bench: Bench) -> Figures:
    """Compare the first events of a long queue with a short one, before and after it."""
    from benchmarks import outbox_drains as drains

    rows = len(bench.entities)
    with drains.workers(1) as ours:

        def few() -> list[float]:
            return [
                drains.rate_of_ours(bench.collection, ours, SMALL_BACKLOG, entities=rows)
                for _ in range(bench.rounds)
            ]

        short = few()
        long = drains.rate_with_backlog(
            bench.collection, ours, bench.backlog, measured=bench.events, entities=rows
        )
        short += few()
    print_rates("events waiting", {f"{SMALL_BACKLOG:,}": short, f"{bench.backlog:,}": [long]})
    return {"backlog_ratio": long / median(short)}


def measure_held_snapshot(bench: Bench) -> Figures:
    """Compare the rate over a queue full of rows that a snapshot keeps with one without."""
    from benchmarks import outbox_drains as drains

    count, rows = bench.events, len(bench.entities)

    def rate() -> float:
        drains.churn(CHURNED, entities=rows)
        return drains.rate_of_ours(bench.collection, ours, count, entities=rows)

    def rate_while_held() -> float:
        with held_snapshot():
            return rate()

    with drains.workers(1) as ours:
        rates = by_turns({"nothing": rate, "a snapshot": rate_while_held}, bench.rounds)
    print_rates(f"after {CHURNED:,} rows, held open", rates)
    return {"held_snapshot_ratio": median(rates["a snapshot"]) / median(rates["nothing"])}


def measure_commits(bench: Bench) -> Figures:
    """Compare transactions with an event with those without, in alternating slots of time."""
    from benchmarks.outbox_load import commits_a_second
    from benchmarks.outbox_site import tidy

    rates = commits_a_second(bench.entities, processes=CLIENTS, seconds=COMMIT_SECONDS)
    tidy()
    table(
        (f"{CLIENTS} clients", "transactions/s"),
        [("with an event", f"{rates[True]:.0f}"), ("without", f"{rates[False]:.0f}")],
    )
    return {"commit_rate_ratio": rates[True] / rates[False], "commit_rate": rates[True]}


def measure_posts(_: Bench) -> Figures:
    """Compare `POST /api/todos` of 50 people with the same view that records nothing."""
    from benchmarks.outbox_site import tidy
    from benchmarks.todo_load import measure_posts, ratio

    print("recorded only, nobody delivers:")
    recorded, _rate = measure_posts(("outbox", "without"), workers=0)
    tidy()
    print("recorded, and delivered on the same processors:")
    p95, highest = measure_posts(("outbox", "without"))
    return {
        "post_p95_ratio": ratio(p95["outbox"], p95["without"]),
        "post_recorded_p95_ratio": ratio(recorded["outbox"], recorded["without"]),
        "post_p95_ms": median(p95["outbox"]),
        "post_rate": highest,
    }


PARTS: Final[Mapping[str, Callable[[Bench], Figures]]] = {
    "one-worker": measure_one_worker,
    "two-workers": measure_two_workers,
    "lag": measure_lag,
    "commits": measure_commits,
    "posts": measure_posts,
    "snapshot": measure_held_snapshot,
    "backlog": measure_backlog,
}


# ------------------------------------------------------------------------------------------------


def by_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each side in each round, every other round from the last to the first."""
    rates: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds):
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            rates[name].append(sides[name]())
            print(f"  {name}: {rates[name][-1]:.0f} a second", flush=True)
    return rates


def print_rates(title: str, rates: Mapping[str, Sequence[float]]) -> None:
    """Print the median and the extremes of each side."""
    table(
        (title, "events/s", "least", "most"),
        [
            (name, f"{median(found):.0f}", f"{min(found):.0f}", f"{max(found):.0f}")
            for name, found in rates.items()
        ],
    )


@contextmanager
def crew_of(bench: Bench, processes: int) -> Iterator[Crew]:
    """Run bare loops in this block."""
    found = bench.servers.url_of("default"), os.environ["MONGO_URL"]
    with crew(processes, postgres=found[0], mongodb=found[1]) as raw:
        yield raw


@contextmanager
def held_snapshot() -> Iterator[None]:
    """Hold a snapshot in this block, as a backup or a long report does."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SELECT pg_current_snapshot()")
        yield


if __name__ == "__main__":
    main()
