"""Reads on the replica and stale reads: ours, pins by time, naive, and always the primary.

200 users, 10 % of their requests write; the same crowd meets each policy in turn, once beside a
bulk writer and once without. The pins are django-multidb-router's own router and middleware: with
its default of 15 s, and with the 2 s of Rails' `database_selector`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import router
from django.test.utils import override_settings

from benchmarks.common import exit_code, report, site, table
from benchmarks.crowd import Crowd, Layer, Seen, User, bulk_writer, counted_checks, make_users
from benchmarks.peers import peer

USERS = 200
SECONDS = 6.0
THINK_SECONDS = 0.2
TARGETS = {
    "stale_reads": ("<=", 0.0),
    "replica_share": (">=", 0.88),
    "checks_per_read": ("<=", 0.1),
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A way to choose where a read goes."""

    name: str
    layer: Callable[[], Layer]
    routers: Callable[[], list[Any]]
    pin_seconds: int = 15


def main() -> None:
    """Run every policy and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each policy (2)")
    parser.add_argument(
        "--think", type=float, default=THINK_SECONDS, help="mean pause of a user, seconds (0.2)"
    )
    options = parser.parse_args()
    with site("causal_reads"):
        met = measure(rounds=options.rounds, think_seconds=options.think)
    exit_code(met=met)


def measure(*, rounds: int, think_seconds: float) -> bool:
    """Let the crowd meet each policy, in random order, and print the report."""
    users = people()
    seen: dict[tuple[str, str], Seen] = defaultdict(Seen)
    checks: dict[tuple[str, str], int] = defaultdict(int)
    for _ in range(rounds):
        for beside, other in (("alone", nullcontext), ("bulk writer", bulk_writer)):
            for policy in random.sample(policies(), k=len(policies())):
                settle_down()
                key = policy.name, beside
                with other(), in_force(policy), counted_checks() as asked:
                    crowd = Crowd(policy.layer(), fresh(users), think_seconds=think_seconds)
                    seen[key].add(crowd.run(SECONDS))
                checks[key] += len(asked)
    print_table(seen, checks)
    return report("causal_reads", figures=figures_of(seen, checks), targets=TARGETS)


def people() -> list[User]:
    """Write the users' rows."""
    from django.contrib.auth import get_user_model

    owner = get_user_model()(email="owner@example.org")
    owner.save()
    return make_users(USERS, owner_id=owner.pk)


def fresh(users: list[User]) -> list[User]:
    """Return the users with empty cookie jars; what they wrote stays."""
    for user in users:
        user.cookies.clear()
    return users


def policies() -> list[Policy]:
    """Return all that are compared."""
    return [
        Policy(name="ours", layer=ours, routers=lambda: list(our_routers)),
        Policy(name="pin 15 s", layer=pins, routers=lambda: [multidb("PinningReplicaRouter")]),
        Policy(
            name="pin 2 s", layer=pins, routers=lambda: [multidb("PinningReplicaRouter")],
            pin_seconds=2,
        ),
        Policy(name="naive", layer=bare, routers=lambda: [multidb("ReplicaRouter")]),
        Policy(name="always primary", layer=bare, routers=list),
    ]  # fmt: skip


our_routers: list[Any] = []
"""Those that the settings name, kept while others are in force."""


def ours() -> Layer:
    """Return the project's middleware."""
    from databases.middleware import CausalReadsMiddleware

    return CausalReadsMiddleware


def pins() -> Layer:
    """Return the middleware that pins by a cookie with an age."""
    layer: Layer = peer("multidb.middleware").PinningRouterMiddleware
    return layer


def bare() -> Layer:
    """Return a middleware that does nothing."""
    return lambda view: view


def multidb(name: str) -> Any:
    """Return a router of django-multidb-router."""
    return getattr(peer("multidb"), name)()


@contextmanager
def in_force(policy: Policy) -> Iterator[None]:
    """Route by a policy in this block."""
    our_routers[:] = our_routers or router.routers
    with ExitStack() as stack:
        stack.enter_context(
            override_settings(
                REPLICA_DATABASES=["replica"], MULTIDB_PINNING_SECONDS=policy.pin_seconds
            )
        )
        router.routers = policy.routers()
        try:
            yield
        finally:
            router.routers = list(our_routers)


def settle_down() -> None:
    """Return when the replica shows everything, so that no policy begins with another's lag."""
    from databases import replica

    copy = replica.get("replica")
    deadline = time.monotonic() + 20
    while copy.look().lag_bytes or not copy.state().usable:
        if time.monotonic() > deadline:
            raise SystemExit(f"The replica does not catch up: {copy.state()}")
        time.sleep(0.01)


def print_table(seen: dict[tuple[str, str], Seen], checks: dict[tuple[str, str], int]) -> None:
    """Print one line for each policy and company."""
    table(
        ("policy", "beside", "reads", "on the replica", "stale", "checks a read", "failed"),
        [
            (
                policy,
                beside,
                found.reads,
                f"{found.replica_share:.1%}",
                len(found.stale),
                f"{checks[policy, beside] / max(1, found.reads):.3f}" if policy == "ours" else "",
                len(found.failures),
            )
            for (policy, beside), found in sorted(seen.items())
        ],
    )


def figures_of(
    seen: dict[tuple[str, str], Seen], checks: dict[tuple[str, str], int]
) -> dict[str, float]:
    """Return the figures, over the runs with the bulk writer and those without."""
    total: dict[str, Seen] = defaultdict(Seen)
    for (policy, _), found in seen.items():
        total[policy].add(found)
    asked = sum(count for (policy, _), count in checks.items() if policy == "ours")
    return {
        "stale_reads": len(total["ours"].stale),
        "replica_share": total["ours"].replica_share,
        "checks_per_read": asked / max(1, total["ours"].reads),
        "pin_2s_share": total["pin 2 s"].replica_share,
        "pin_15s_share": total["pin 15 s"].replica_share,
        "primary_share": total["always primary"].replica_share,
        "naive_stale_reads": len(total["naive"].stale),
        "pin_2s_stale_reads": len(total["pin 2 s"].stale),
        "pin_15s_stale_reads": len(total["pin 15 s"].stale),
        "failures": sum(len(found.failures) for found in total.values()),
    }


if __name__ == "__main__":
    main()
