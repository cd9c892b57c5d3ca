"""What benchmarks share: servers of their own, the machine's description, and the form of a report.

A benchmark's servers keep their data durably (fsync on), unlike those of the tests, and are deleted
at its end. Only ratios inside one run mean something: the two sides of each take turns.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import ge, le
from pathlib import Path
from types import MappingProxyType

import django
from django.core.management import call_command

from devservers.aliases import PRIMARY, REPLICA
from devservers.errors import SetNotUp
from devservers.sets import ServerSet

ROOT = Path(__file__).resolve().parent.parent
BOUNDS = MappingProxyType({"<=": le, ">=": ge})

Target = tuple[str, float]
"""A bound on a figure: `("<=", 1.03)`."""


@contextmanager
def servers_of_its_own(
    benchmark: str,
    servers: Sequence[str] = (PRIMARY, REPLICA),
    *,
    alone: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[ServerSet]:
    """Run servers in this block and name them, and nobody else's, in the environment.

    :param servers: which, by the names of `devservers.aliases`.
    :param alone: further PostgreSQL servers, by name, each with the aliases that it holds.
    """
    for name in list(os.environ):
        if name.endswith(("_URL", "_REGION")) or name.startswith("PG") or name == "SPLIT_DB_MODE":
            del os.environ[name]
    # Whoever ends the run early has it clean up: servers, workers and peers are its children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    found = ServerSet(f"bench-{benchmark.replace('_', '-')}")
    with suppress(SetNotUp):
        found.down(delete=True)  # of a run that was cut short
    found.up(servers)
    try:
        for name, aliases in (alone or {}).items():
            found.add_postgres(name, databases=aliases)
        os.environ.update(found.environment())
        yield found
    finally:
        found.down(delete=True)


@contextmanager
def site(
    benchmark: str,
    servers: Sequence[str] = (PRIMARY, REPLICA),
    *,
    alone: Mapping[str, Sequence[str]] | None = None,
    settings: str = "config.settings.base",
) -> Iterator[ServerSet]:
    """Set Django up over servers of its own, migrated, as production runs it."""
    with servers_of_its_own(benchmark, servers, alone=alone) as found:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings
        os.environ["ALLOWED_HOSTS"] = "testserver,127.0.0.1"
        os.environ["LOG_LEVEL"] = "ERROR"
        django.setup()
        call_command("migrate_all", verbosity=0, stdout=_Silent())
        if REPLICA in servers:
            found.wait_for_replica()
        try:
            yield found
        finally:
            logging.disable()  # Background threads would tell that the servers are gone.
            disconnect()


def disconnect() -> None:
    """End every connection of this process, so that the servers stop in order."""
    from django.db import connections

    from databases import replica
    from databases.backend.wrapper import open_pools

    replica.close_all()
    connections.close_all()
    for pool in open_pools().values():
        pool.close()
    open_pools().clear()


class _Silent:
    """An output that nobody reads."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return False


# Figures ----------------------------------------------------------------------------------------


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns for people; the first is flush left, the rest flush right."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    for line in lines:
        first, *rest = line
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join(cells).rstrip(), flush=True)


def report(benchmark: str, *, figures: Mapping[str, float], targets: Mapping[str, Target]) -> bool:
    """Print the figures with their targets and, as the last line, one JSON object.

    :returns: whether every target is met.
    """
    met = {name: BOUNDS[sign](figures[name], bound) for name, (sign, bound) in targets.items()}
    rounded = {name: round(value, 4) for name, value in figures.items()}
    print()
    table(
        ("figure", "measured", "target", ""),
        [
            (
                name,
                f"{value:g}",
                "{} {:g}".format(*targets[name]) if name in targets else "",
                {True: "met", False: "missed", None: ""}[met.get(name)],
            )
            for name, value in rounded.items()
        ],
    )
    print()
    found = {
        "benchmark": benchmark,
        "figures": rounded,
        "targets": {name: f"{sign} {bound:g}" for name, (sign, bound) in targets.items()},
        "met": all(met.values()),
        "machine": machine(),
        "commit": commit(),
    }
    print(json.dumps(found), flush=True)
    return all(met.values())


def machine() -> dict[str, object]:
    """Return what the figures depend on, and nothing that names this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _processor(),
        "memoryGb": round(memory, 1),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "django": django.get_version(),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def commit() -> str:
    """Return the commit that was measured; `+` behind it: with changes that are in no commit."""
    try:
        found = _git("rev-parse", "--short", "HEAD").strip()
        changed = _git("status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{found}{'+' if changed else ''}"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def exit_code(*, met: bool) -> None:
    """End the program: 0 when every target is met, 1 when one is missed."""
    sys.exit(0 if met else 1)


def memory_mb(pid: int, *, most: bool = False) -> float:
    """Return the megabytes that a process holds, or the most it ever held; 0 when it has ended."""
    field = "VmHWM:" if most else "VmRSS:"
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(field):
                return float(line.split()[1]) / 1024
    return 0.0
