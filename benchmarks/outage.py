"""What callers notice of a database that is stopped, killed or frozen, and of one that restarts.

1. An alias alone is taken away: how long every call but the first takes to fail.
2. It stays away for 40 s under load: how long after it is back the first call succeeds, with our
   backend and, beside it in the same process, with Django's own backend and pool.
3. The primary restarts under 50 requests a second for each process of gunicorn: how many fail that
   began while the server was there. While it is not there, pages that need it are refused at
   once, which is counted apart; pages that may read the replica must not fail at all.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from benchmarks.common import ROOT, exit_code, median, percentile, report, site, table
from devservers.aliases import PRIMARY, REPLICA
from devservers.ground import free_port
from devservers.sets import ServerSet

ALIAS = "cache"
SERVER = "cache-alone"
CALLERS = 4
OPEN_SECONDS = 4.0
OUTAGE_SECONDS = 40.0
LONGEST_RECOVERY = 60.0
PROCESSES = 2
REQUESTS_A_SECOND = 50 * PROCESSES
CLIENTS = 20
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 4.0
TARGETS = {
    "open_p50_ms": ("<=", 1.0),
    "open_p99_ms": ("<=", 5.0),
    "recovery_s": ("<=", 1.0),
    "failed_per_process": ("<=", 1.0),
}

Call = Callable[[], object]


def main() -> None:
    """Run the three parts and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outage", type=float, default=OUTAGE_SECONDS, help="seconds (40)")
    parser.add_argument("--restarts", type=int, default=3, help="of the primary (3)")
    options = parser.parse_args()
    with site("outage", (PRIMARY, REPLICA), alone={SERVER: (ALIAS,)}) as servers:
        figures = measure_open(servers)
        figures |= measure_recovery(servers, options.outage)
        figures |= measure_restarts(servers, options.restarts)
        met = report("outage", figures=figures, targets=TARGETS)
    exit_code(met=met)


# An alias alone ---------------------------------------------------------------------------------


def ask_ours() -> object:
    """Read a row through the ORM, as a request does, and give the connection back."""
    from caches.models import Zone

    try:
        return Zone.objects.values_list("pk").first()
    finally:
        close_old_connections()


def seconds_of(call: Call) -> tuple[float, bool]:
    """Return how long a call took, and whether it succeeded."""
    begun = time.perf_counter()
    try:
        call()
    except (DatabaseError, InterfaceError):
        return time.perf_counter() - begun, False
    return time.perf_counter() - begun, True


def measure_open(servers: ServerSet) -> dict[str, float]:
    """Take the alias away in each way and time the calls from the second on."""
    lines, worst = [], {"open_p50_ms": 0.0, "open_p99_ms": 0.0}
    for how in ("stop", "kill", "pause"):
        wait_until(lambda: seconds_of(ask_ours)[1], LONGEST_RECOVERY)
        getattr(servers, how)(SERVER)
        first, _ = seconds_of(ask_ours)
        later = refused_in_threads()
        bring_back(servers, how)
        p50, p99 = median(later) * 1000, percentile(later, 0.99) * 1000
        worst = {
            "open_p50_ms": max(p50, worst["open_p50_ms"]),
            "open_p99_ms": max(p99, worst["open_p99_ms"]),
        }
        lines.append(
            (how, f"{first * 1000:.0f}", len(later), f"{p50:.2f}", f"{p99:.2f}",
             f"{max(later) * 1000:.1f}")
        )  # fmt: skip
    table(("alias away", "first, ms", "later calls", "p50, ms", "p99, ms", "max, ms"), lines)
    return worst


def refused_in_threads() -> list[float]:
    """Let a few callers come by every 10 ms or so, each at a moment of its own; return seconds."""
    found: list[float] = []
    end = time.monotonic() + OPEN_SECONDS

    def come_by() -> None:
        while time.monotonic() < end:
            seconds, served = seconds_of(ask_ours)
            if served:
                raise SystemExit("The alias served while it was away.")
            found.append(seconds)
            time.sleep(random.uniform(0.005, 0.015))
        connections.close_all()

    in_threads([come_by] * CALLERS)
    return found


def bring_back(servers: ServerSet, how: str) -> None:
    """Let the alias serve again."""
    if how == "pause":
        servers.resume(SERVER)
    else:
        servers.start(SERVER)


# Recovery ---------------------------------------------------------------------------------------


class DjangosOwn:
    """The same server through Django's own backend and pool, each with its defaults."""

    def __init__(self) -> None:
        """Describe it; every thread makes a wrapper of its own, and all share the pool."""
        entry: dict[str, Any] = dict(connections.settings[ALIAS])
        del entry["POLYSTORE"]
        self._entry = entry | {"OPTIONS": {"pool": True}}
        self._of_thread = threading.local()

    def ask(self) -> object:
        """Run a small query and give the connection back."""
        from django.db.backends.postgresql.base import DatabaseWrapper

        wrapper = getattr(self._of_thread, "wrapper", None)
        if wrapper is None:
            wrapper = self._of_thread.wrapper = DatabaseWrapper(self._entry, alias="djangos-own")
        try:
            with wrapper.cursor() as cursor:
                return cursor.execute("SELECT 1")
        finally:
            wrapper.close()


def measure_recovery(servers: ServerSet, outage_seconds: float) -> dict[str, float]:
    """Keep the alias away under load and see who notices first that it is back."""
    djangos = DjangosOwn()
    wait_until(lambda: seconds_of(ask_ours)[1] and seconds_of(djangos.ask)[1], LONGEST_RECOVERY)
    gone = threading.Event()
    found: dict[str, float] = {}
    over = threading.Event()

    def keep_asking(name: str, call: Call) -> None:
        while not over.wait(random.uniform(0.02, 0.06)):
            _, served = seconds_of(call)
            if served and gone.is_set():
                found.setdefault(name, time.monotonic())
                return

    parts = [lambda: keep_asking("ours", ask_ours)] * CALLERS
    parts += [lambda: keep_asking("django", djangos.ask)] * CALLERS
    callers = [threading.Thread(target=part, daemon=True) for part in parts]
    servers.stop(SERVER)
    gone.set()
    for caller in callers:
        caller.start()
    time.sleep(outage_seconds)
    begin = threading.Thread(target=servers.start, args=(SERVER,))
    begin.start()
    back = first_answer(servers.url_of(SERVER))
    begin.join()
    with suppress(SystemExit):
        wait_until(lambda: len(found) == 2, LONGEST_RECOVERY)
    over.set()
    later = {
        name: max(0.0, found.get(name, back + LONGEST_RECOVERY) - back)
        for name in ("ours", "django")
    }
    print()
    table(
        (f"first success after {outage_seconds:.0f} s", "seconds"),
        [("ours", f"{later['ours']:.2f}"), ("Django's own pool", f"{later['django']:.2f}")],
    )
    return {"recovery_s": later["ours"], "django_pool_recovery_s": later["django"]}


def first_answer(url: str) -> float:
    """Return the moment at which the server takes a connection."""
    deadline = time.monotonic() + LONGEST_RECOVERY
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return time.monotonic()
        time.sleep(0.002)
    raise SystemExit("The server did not come back.")


# A restart under load ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request of the load."""

    path: str
    begun: float
    seconds: float
    status: int
    process: str


def measure_restarts(servers: ServerSet, restarts: int) -> dict[str, float]:
    """Restart the primary under load and count the requests that failed without need."""
    lines, worst, refusals = [], 0, 0
    with serving(servers) as port:
        for number in range(1, restarts + 1):
            answers, away = load_during_restart(servers, port)
            failed = Counter(a.process for a in answers if a.status != 200 and not excused(a, away))
            refused = [a for a in answers if a.status != 200 and excused(a, away)]
            worst = max([worst, *failed.values()])
            refusals += len(refused)
            slow = percentile((a.seconds for a in refused), 0.99) if refused else 0.0
            lines.append(
                (number, len(answers), f"{away[1] - away[0]:.2f}", sum(failed.values()),
                 max(failed.values(), default=0), len(refused), f"{slow * 1000:.0f}")
            )  # fmt: skip
    print()
    table(
        ("restart", "requests", "away, s", "failed", "of one process", "refused while away",
         "p99 of these, ms"),
        lines,
    )  # fmt: skip
    return {"failed_per_process": worst, "refused_while_down": refusals / restarts}


def excused(answer: Answer, away: tuple[float, float]) -> bool:
    """Tell whether a page needed the server that was not there when the request began."""
    return answer.path == "/primary" and away[0] <= answer.begun < away[1]


def load_during_restart(servers: ServerSet, port: int) -> tuple[list[Answer], tuple[float, float]]:
    """Restart the primary under load; return the answers and when it was away."""
    answers: list[Answer] = []
    over = threading.Event()
    begun = time.monotonic()

    def client(number: int) -> None:
        turn = 0
        while not over.is_set():
            due = begun + (turn * CLIENTS + number) / REQUESTS_A_SECOND
            if over.wait(max(0.0, due - time.monotonic())):
                break
            answers.append(request(port, ("/primary", "/replica")[(turn + number) % 2]))
            turn += 1

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    time.sleep(BEFORE_SECONDS)
    gone = time.monotonic()
    restart = threading.Thread(target=servers.restart, args=(PRIMARY,))
    restart.start()
    while servers.pid(PRIMARY) is not None and restart.is_alive():
        time.sleep(0.001)
    back = first_answer(servers.url_of("default"))
    restart.join()
    time.sleep(AFTER_SECONDS)
    over.set()
    for thread in clients:
        thread.join()
    return answers, (gone, back)


def request(port: int, path: str) -> Answer:
    """Make one request on a connection of its own, so that any process may answer."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
        status, process = response.status, response.headers.get("X-Process", "?")
    except (OSError, http.client.HTTPException):
        status, process = 0, "?"
    finally:
        connection.close()
    seconds = time.monotonic() - begun
    return Answer(path=path, begun=begun, seconds=seconds, status=status, process=process)


@contextmanager
def serving(servers: ServerSet) -> Iterator[int]:
    """Run gunicorn as production does in this block; yields its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py",
         "benchmarks.outage_site:application"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={
            **os.environ, **servers.environment(), "BIND": f"127.0.0.1:{port}",
            "WEB_CONCURRENCY": str(PROCESSES), "LOG_LEVEL": "CRITICAL",
        },
    )  # fmt: skip
    try:
        wait_until(lambda: request(port, "/ready").status == 200, LONGEST_RECOVERY)
        seen: set[str] = set()

        def everybody_is_warm() -> bool:
            answers = [request(port, path) for path in ("/primary", "/replica")]
            seen.update(a.process for a in answers if a.status == 200)
            return len(seen) == PROCESSES

        wait_until(everybody_is_warm, LONGEST_RECOVERY)
        yield port
    finally:
        process.terminate()
        process.wait(40)


# ------------------------------------------------------------------------------------------------


def in_threads(parts: list[Callable[[], None]]) -> None:
    """Run functions at the same time and wait for all."""
    threads = [threading.Thread(target=part) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """Return as soon as `condition` holds.

    :raises SystemExit: when it does not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"It did not come true within {seconds} s.")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
