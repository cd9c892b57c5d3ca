"""What get(pk) costs with everything on, against Django without routers on the same server.

Everything: router, causal scope, choice of a replica, guards, write detection, metrics, breaker.
Django: no routers, its own PostgreSQL backend with the same pool and options. Both live in one
process and take turns in blocks, so that whatever disturbs the machine disturbs both.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connections, router

from benchmarks.common import ROOT, exit_code, median, report, site, table

BLOCK = 5
"""Calls of one side before the other takes its turn: 2 ms, shorter than most disturbances."""
PARTS = 10
"""Parts of the run whose ratios show how far the machine's noise moves them."""

Call = Callable[[], object]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3000, help="of five calls for each side (3000)"
    )
    parser.add_argument("--profile", action="store_true", help="print where our time goes")
    options = parser.parse_args()
    with site("router_overhead"):
        met = measure(options.rounds)
        if options.profile:
            profile()
    exit_code(met=met)


def measure(rounds: int) -> bool:
    """Run all comparisons and print the report."""
    from customers.models import BusinessEntity

    owner, entity = rows()
    manager = BusinessEntity.objects

    def get_entity() -> object:
        return manager.get(pk=entity)

    def get_owner() -> object:
        return type(owner)._default_manager.get(pk=owner.pk)

    def get_in_a_request() -> object:
        found = manager.get(pk=entity)
        connections[found._state.db or "default"].close()
        return found

    found = {
        "get_ratio": compare(get_entity, plain_wrapper("replica"), rounds),
        "primary_ratio": compare(get_owner, plain_wrapper("default"), rounds),
        "request_ratio": compare(get_in_a_request, plain_wrapper("replica"), rounds),
    }
    says = ("get(pk) on the replica", "get(pk) on the primary", "connection, get(pk), close")
    table(
        ("median of a call", "Django, µs", "ours, µs", "ratio", "in parts of the run"),
        [(text, *pairs.cells()) for text, pairs in zip(says, found.values(), strict=True)],
    )
    figures = {name: median(pairs.ratios()) for name, pairs in found.items()}
    return report("router_overhead", figures=figures, targets={"get_ratio": ("<=", 1.03)})


def rows() -> tuple[Any, Any]:
    """Write a user and an entity and return (the user, the entity's key)."""
    from django.contrib.auth import get_user_model

    from customers.models import BusinessEntity
    from databases import replica

    owner = get_user_model()(email="owner@example.org")
    owner.save()
    entity = BusinessEntity.objects.create(legal_name="Acme", owner=owner)
    copy = replica.get("replica")
    deadline = time.monotonic() + 10
    while copy.look().lag_bytes or not copy.state().usable:
        if time.monotonic() > deadline:
            raise SystemExit(f"The replica is not usable: {copy.state()}")
        time.sleep(0.01)
    return owner, entity.pk


def plain_wrapper(alias: str) -> Any:
    """Return Django's own wrapper for the server of `alias`, with the same options and pool."""
    from django.db.backends.postgresql.base import DatabaseWrapper

    entry = dict(connections.settings[alias])
    del entry["POLYSTORE"]
    return DatabaseWrapper(entry, alias=f"plain-{alias}")


@contextmanager
def without_routers(wrapper: Any) -> Iterator[None]:
    """Make Django what it is without routers and with its own backend, in this thread."""
    ours, routers = connections["default"], router.routers
    connections["default"] = wrapper
    router.routers = []
    try:
        yield
    finally:
        connections["default"] = ours
        router.routers = routers


@contextmanager
def everything() -> Iterator[None]:
    """Serve one caller as the middleware does."""
    from databases.causality import causal_scope

    with causal_scope():
        yield


@dataclass
class Pairs:
    """Seconds of each call, block by block: the two sides of a round lie next to each other."""

    ours: list[float] = field(default_factory=list)
    django: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Return the ratio of each round.

        What slows the machine for longer than a round slows both of its sides, so that the median
        of ratios is steadier than the ratio of medians.
        """
        return [
            median(a) / median(b)
            for a, b in zip(cut(self.ours, BLOCK), cut(self.django, BLOCK), strict=True)
        ]

    def cells(self) -> tuple[str, ...]:
        """Return what the table shows."""
        ratios = self.ratios()
        of_parts = [median(part) for part in cut(ratios, max(1, len(ratios) // PARTS))]
        return (
            f"{median(self.django) * 1e6:.1f}",
            f"{median(self.ours) * 1e6:.1f}",
            f"{median(ratios):.3f}",
            f"{min(of_parts):.3f} to {max(of_parts):.3f}",
        )


def compare(call: Call, wrapper: Any, rounds: int) -> Pairs:
    """Time calls with everything and without, in rounds that begin with either side in turn."""
    found = Pairs()
    for number in range(-rounds // 20, rounds):
        sides = [(everything(), found.ours), (without_routers(wrapper), found.django)]
        if number % 2:
            sides.reverse()
        for context, seconds in sides:
            with context:
                block = timed(call)
            if number >= 0:  # the first ones open connections and fill caches
                seconds.extend(block)
    return found


def timed(call: Call) -> list[float]:
    """Return the seconds of each of BLOCK calls, after one that is not counted."""
    clock = time.perf_counter
    call()
    found = []
    for _ in range(BLOCK):
        begun = clock()
        call()
        found.append(clock() - begun)
    return found


def cut(values: list[float], size: int) -> list[list[float]]:
    """Cut a list into parts of `size`; what does not fill one is left out."""
    return [values[at : at + size] for at in range(0, len(values) - size + 1, size)]


def profile() -> None:
    """Print the functions of ours that a get passes, by the time spent in each."""
    import cProfile
    import pstats

    from customers.models import BusinessEntity

    key = BusinessEntity.objects.values_list("pk", flat=True).get()
    profiler = cProfile.Profile()
    with everything():
        profiler.enable()
        for _ in range(5000):
            BusinessEntity.objects.get(pk=key)
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(f"^{re.escape(str(ROOT))}/[a-z]")


if __name__ == "__main__":
    main()
