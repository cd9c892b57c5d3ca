"""Queries and time that sessions cost a request, and how soon an ended one is refused everywhere.

Django's db and cached_db stores meet the same people; its signed_cookies store is what time is
compared with. Sessions are ended with plain SQL, while four processes serve at half of the highest
rate, with Redis up and with Redis killed.
"""

from __future__ import annotations

import argparse
import cProfile
import http.client
import io
import multiprocessing
import os
import pstats
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import psycopg

from benchmarks.common import (
    ROOT,
    exit_code,
    median,
    percentile,
    report,
    servers_of_its_own,
    table,
)
from devservers.aliases import PRIMARY, REDIS
from devservers.sets import ServerSet
from tests.running_site import free_port

PROCESSES = 4
PEOPLE, REQUESTS, SECONDS = 10, 100, 30.0
CLIENTS = 8
BLOCK = 5
PATIENCE = 60.0
WARM_SECONDS = 4.0
TARGETS = {
    "queries_per_request": ("<=", 0.03),
    "revoke_p99_ms": ("<=", 50.0),
    "revoke_without_redis_s": ("<=", 1.0),
    "accepted_after_1s": ("<=", 0.0),
}


def main() -> None:
    """Run the parts and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1500, help="of five requests a side (1500)")
    parser.add_argument("--ends", type=int, default=200, help="sessions that end with Redis up")
    parser.add_argument("--profile", action="store_true", help="print where our time goes")
    parser.add_argument("--only", choices=("queries", "time", "ends"), help="one part of three")
    options = parser.parse_args()
    with servers_of_its_own("sessions", (PRIMARY, REDIS)) as servers:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings.base",
            "ALLOWED_HOSTS": "testserver,127.0.0.1",
            "LOG_LEVEL": "CRITICAL",
        }
        manage = [sys.executable, "manage.py", "migrate_all"]
        subprocess.run(manage, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        figures: dict[str, float] = {}
        if options.only in {None, "queries"}:
            figures |= measure_queries(environment)
        if options.only in {None, "ends"}:
            figures |= measure_ends(servers, environment, options.ends)
        if options.only in {None, "time"}:
            figures |= measure_added(environment, options.rounds, profile=options.profile)
        targets = {name: bound for name, bound in TARGETS.items() if name in figures}
        met = report("sessions", figures=figures, targets=targets)
    exit_code(met=met)


# A site and its visitors ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the site said."""

    status: int
    process: str
    statements: int
    cookie: str


class Client:
    """One connection: gunicorn answers all of its requests with the same process."""

    def __init__(self, port: int, *, keeps: bool = True) -> None:
        """Describe it.

        :param keeps: False makes a connection for each request, so that any process may answer.
        """
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._keeps = keeps

    def send(self, path: str, *, cookie: str = "", **form: str) -> Answer:
        """Ask, or post a form."""
        headers = {"Cookie": f"sessionid={cookie}"} if cookie else {}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if not self._keeps:
            headers["Connection"] = "close"
        body = urlencode(form) or None
        try:
            self._http.request("POST" if form else "GET", path, body=body, headers=headers)
            response = self._http.getresponse()
            response.read()
        finally:
            if not self._keeps:
                self._http.close()
        given: SimpleCookie = SimpleCookie()
        for line in response.headers.get_all("Set-Cookie", []):
            given.load(line)
        return Answer(
            status=response.status,
            process=response.headers.get("X-Process", ""),
            statements=int(response.headers.get("X-Statements", "0")),
            cookie=given["sessionid"].value if "sessionid" in given else cookie,
        )

    def close(self) -> None:
        """End the connection."""
        self._http.close()


@contextmanager
def serving(environment: dict[str, str], *, store: str = "") -> Iterator[int]:
    """Run PROCESSES gunicorn processes in this block; yields their port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py",
         "--keep-alive=300", "benchmarks.sessions_site:application"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**environment, "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": str(PROCESSES),
             "BENCH_SESSIONS": store},
    )  # fmt: skip
    try:
        for client in clients_of_all(port):
            client.close()
        yield port
    finally:
        process.terminate()
        process.wait(40)


def clients_of_all(port: int) -> list[Client]:
    """Return a connection to each process, once all serve.

    :raises SystemExit: when they do not in time.
    """
    found: dict[str, Client] = {}
    deadline = time.monotonic() + PATIENCE
    while len(found) < PROCESSES:
        if time.monotonic() > deadline:
            raise SystemExit("The site does not serve.")
        client = Client(port)
        try:
            answer = client.send("/ready")
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            continue
        if answer.status == 200 and answer.process not in found:
            found[answer.process] = client
        else:
            client.close()
    return list(found.values())


def make_people(count: int) -> list[str]:
    """Write users and return their ids."""
    from common.ids import uuid7

    ids = [str(uuid7()) for _ in range(count)]
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.cursor().executemany(
            "INSERT INTO accounts_user (id, email, first_name, last_name, password, is_active,"
            " is_staff, is_superuser) VALUES (%s, %s, '', '', '!', true, false, false)",
            [(user_id, f"{user_id}@example.com") for user_id in ids],
        )
    return ids


def signed_in(port: int, people: Sequence[str]) -> list[str]:
    """Sign everybody in and return their cookies."""
    client = Client(port)
    cookies = [client.send("/sign-in", user=person).cookie for person in people]
    client.close()
    return cookies


# Queries ----------------------------------------------------------------------------------------


def measure_queries(environment: dict[str, str]) -> dict[str, float]:
    """Count the statements of requests by people who ask 100 times in 30 s."""
    lines, figures = [], {}
    for name, store in (("ours", ""), ("Django's cached_db", "cached_db"), ("Django's db", "db")):
        with serving(environment, store=store) as port:
            everybody_is_warm(port)
            idle = statements_when_idle() if not store else 0.0
            cookies = signed_in(port, make_people(PEOPLE))
            answers = everybody_asks(port, cookies)
        refused = sum(answer.status != 200 for answer in answers)
        if refused:
            raise SystemExit(f"{name}: {refused} requests of people who are signed in failed.")
        rate = sum(answer.statements for answer in answers) / len(answers)
        figures[f"{store or 'our'}_queries"] = rate
        if not store:
            figures["idle_statements_per_process_s"] = idle
        lines.append((name, len(answers), f"{rate:.4f}"))
    table(("100 requests in 30 s by each of 10", "requests", "queries each"), lines)
    return {
        "queries_per_request": figures.pop("our_queries"),
        "cached_db_queries_per_request": figures.pop("cached_db_queries"),
        "db_queries_per_request": figures.pop("db_queries"),
        **figures,
    }


def everybody_is_warm(port: int) -> None:
    """Let every process serve somebody, and begin what it does beside its requests."""
    [cookie] = signed_in(port, make_people(1))
    for client in clients_of_all(port):
        client.send("/who", cookie=cookie)
        client.close()
    time.sleep(WARM_SECONDS)


def statements_when_idle() -> float:
    """Return how many transactions per second a process that listens makes of its own accord."""
    asked = "SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:

        def now() -> tuple[int, float]:
            connection.execute("SELECT pg_stat_clear_snapshot()")
            row = connection.execute(asked).fetchone()
            return int(row[0]) if row else 0, time.monotonic()

        first, begun = now()
        time.sleep(5)
        last, ended = now()
    return (last - first) / (ended - begun) / PROCESSES


def everybody_asks(port: int, cookies: Sequence[str]) -> list[Answer]:
    """Let each person ask REQUESTS times within SECONDS, of any process."""
    answers: list[Answer] = []

    def person(number: int, cookie: str) -> None:
        chance = random.Random(number)
        client = Client(port, keeps=False)
        begun = time.monotonic()
        for turn in range(REQUESTS):
            due = begun + (turn + chance.random()) * SECONDS / REQUESTS
            time.sleep(max(0.0, due - time.monotonic()))
            answers.append(client.send("/who", cookie=cookie))

    in_threads([lambda n=n, c=c: person(n, c) for n, c in enumerate(cookies)])  # type: ignore[misc]
    return answers


# Time -------------------------------------------------------------------------------------------


def measure_added(environment: dict[str, str], rounds: int, *, profile: bool) -> dict[str, float]:
    """Compare what asking for request.user adds to a request: ours, Django's signed cookies."""
    os.environ.update(environment)
    import benchmarks.sessions_site  # noqa: F401 - it sets Django up

    sides = {name: Side(store) for name, store in (("ours", ""), ("signed", "signed_cookies"))}
    turns = [(f"{name} {path}", side, path) for name, side in sides.items() for path in PAGES]
    times: dict[str, list[float]] = {name: [] for name, _, _ in turns}
    for number in range(-WARM_UP, rounds):
        for name, side, path in turns:
            seconds = side.seconds_of(path)
            if number >= 0:
                times[name].append(seconds)
    found = {name: median(values) * 1e6 for name, values in times.items()}
    added = {
        (name, path): found[f"{name} {path}"] - found[f"{name} /ready"]
        for name in sides
        for path in ("/who", "/look")
    }
    print()
    table(
        ("median of a request, µs", "empty page", "request.session adds", "request.user adds"),
        [
            (says, *(f"{value:.1f}" for value in
                     (found[f"{name} /ready"], added[name, "/look"], added[name, "/who"])))
            for name, says in (("ours", "ours"), ("signed", "Django's signed_cookies"))
        ],
    )  # fmt: skip
    if profile:
        profile_of(sides["ours"])
    from benchmarks.common import disconnect

    disconnect()
    return {
        "added_ratio": added["ours", "/who"] / added["signed", "/who"],
        "added_us": added["ours", "/who"],
        "session_only_ratio": added["ours", "/look"] / added["signed", "/look"],
    }


PAGES = ("/ready", "/look", "/who")
WARM_UP = 20
"""Rounds that do not count."""


class Side:
    """The site in this process, with one store, and somebody who is signed in."""

    def __init__(self, store: str) -> None:
        from django.conf import settings
        from django.core.handlers.wsgi import WSGIHandler
        from django.test import RequestFactory, override_settings

        from benchmarks.sessions_site import DJANGOS, OURS

        changed: dict[str, Any] = {}
        if store:
            changed = {
                "SESSION_ENGINE": f"django.contrib.sessions.backends.{store}",
                "MIDDLEWARE": [DJANGOS if n == OURS else n for n in settings.MIDDLEWARE],
            }
        with override_settings(**changed):
            self._handler = WSGIHandler()
        self._factory = RequestFactory()
        [person] = make_people(1)
        request = self._factory.post("/sign-in", {"user": person})
        with override_settings(**changed):
            response = self._handler.get_response(request)
        self._cookie = response.cookies["sessionid"].value

    def seconds_of(self, path: str) -> float:
        """Return how long a request takes, of BLOCK."""
        begun = time.perf_counter()
        for _ in range(BLOCK):
            self.ask(path)
        return (time.perf_counter() - begun) / BLOCK

    def ask(self, path: str) -> None:
        """Make one request.

        :raises SystemExit: where it is refused.
        """
        request = self._factory.get(path)
        request.COOKIES["sessionid"] = self._cookie
        response = self._handler.get_response(request)
        response.close()
        if response.status_code != 200:
            raise SystemExit(f"{path}: {response.status_code}")


def profile_of(side: Side) -> None:
    """Print our own functions in a thousand requests."""
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(1000):
        side.ask("/who")
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats("accounts|sessions", 25)
    print(text.getvalue())


# Ends -------------------------------------------------------------------------------------------


def measure_ends(servers: ServerSet, environment: dict[str, str], count: int) -> dict[str, float]:
    """End sessions under load and see for how long each process lets them in."""
    with serving(environment) as port:
        crowd = signed_in(port, make_people(100))
        highest = under_load(port, crowd, rate=0.0, seconds=4.0, block=lambda: time.sleep(5.0))
        half = highest / 2
        probe = Probe(port)
        with_redis: list[float] = []
        without: list[float] = []
        under_load(
            port, crowd, rate=half, seconds=PATIENCE * 4,
            block=lambda: with_redis.extend(probe.end_some(port, count)),
        )  # fmt: skip
        seen_ms = [value * 1000 for value in with_redis]
        answered_ms = [value * 1000 for value in probe.answered]
        servers.kill(REDIS)
        under_load(
            port, crowd, rate=half, seconds=PATIENCE * 4,
            block=lambda: without.extend(probe.end_some(port, max(10, count // 5))),
        )  # fmt: skip
        servers.start(REDIS)
        probe.close()
    print()
    table(
        ("accepted after the end, ms", "sessions × processes", "p50", "p99", "longest"),
        [
            (name, len(values), *(f"{value * 1000:.1f}" for value in
                                  (median(values), percentile(values, 0.99), max(values))))
            for name, values in (("Redis up", with_redis), ("Redis killed", without))
        ],
    )  # fmt: skip
    return {
        "highest_rate": highest,
        "revoke_p50_ms": median(seen_ms),
        "revoke_p99_ms": percentile(seen_ms, 0.99),
        "revoke_answered_p99_ms": percentile(answered_ms, 0.99),
        "revoke_without_redis_s": max(without),
        "accepted_after_1s": sum(value > 1.0 for value in [*with_redis, *without]),
    }


class Probe:
    """A connection to each process and one to the primary."""

    def __init__(self, port: int) -> None:
        self.answered: list[float] = []
        """When the last accepted request was answered, in seconds after the end."""
        self._clients = clients_of_all(port)
        self._sql = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def close(self) -> None:
        """End the connections."""
        for client in self._clients:
            client.close()
        self._sql.close()

    def end_some(self, port: int, count: int) -> list[float]:
        """End sessions one after the other.

        :returns: for each and each process, how many seconds after the COMMIT was answered the
            last request was sent that was accepted; 0 where none was.
        """
        people = make_people(count)
        cookies = signed_in(port, people)
        found: list[float] = []
        for turn, (person, cookie) in enumerate(zip(people, cookies, strict=True)):
            for client in self._clients:
                if client.send("/who", cookie=cookie).status != 200:
                    raise SystemExit("Somebody was signed out without need.")
            found += self._end(turn, person, cookie)
        return found

    def _end(self, turn: int, person: str, cookie: str) -> list[float]:
        over = threading.Event()
        ended: list[float] = []
        sent: dict[int, list[tuple[float, float]]] = {n: [] for n in range(PROCESSES)}

        def ask(number: int, client: Client) -> None:
            over.wait()
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                begun = time.monotonic()
                if client.send("/who", cookie=cookie).status != 200:
                    return
                sent[number].append((begun, time.monotonic()))

        def end() -> None:
            statement = (
                "DELETE FROM accounts_session WHERE user_id = %s",
                "UPDATE accounts_user SET password = '!!' WHERE id = %s",
            )[turn % 2]
            self._sql.execute(statement, [person])
            ended.append(time.monotonic())
            over.set()

        parts: list[Callable[[], None]] = [
            lambda n=n, c=c: ask(n, c)  # type: ignore[misc]
            for n, c in enumerate(self._clients)
        ]
        in_threads([*parts, end])
        last = [max(times, default=(ended[0], ended[0])) for times in sent.values()]
        self.answered += [max(0.0, done - ended[0]) for _, done in last]
        return [max(0.0, begun - ended[0]) for begun, _ in last]


def under_load(
    port: int, cookies: list[str], *, rate: float, seconds: float, block: Callable[[], object]
) -> float:
    """Run `block` while another process asks; return how many answers a second it got.

    :param rate: requests a second; 0 for as many as there may be.
    :param seconds: the longest that it asks.
    """
    context = multiprocessing.get_context("spawn")
    over, said = context.Event(), context.Queue()
    process = context.Process(
        target=load,
        args=(port, cookies),
        kwargs={"rate": rate, "seconds": seconds, "over": over, "said": said},
    )
    process.start()
    try:
        said.get(timeout=PATIENCE)  # it asks now
        block()
    finally:
        over.set()
        found: float = said.get(timeout=PATIENCE)
        process.join()
    return found


def load(
    port: int, cookies: list[str], *, rate: float, seconds: float, over: Any, said: Any
) -> None:
    """Ask until it is over; tell the rate."""
    counts = [0] * CLIENTS
    said.put(0.0)
    begun = time.monotonic()

    def client(number: int) -> None:
        connection, chance = Client(port), random.Random(number)
        turn = 0
        while not over.is_set() and time.monotonic() < begun + seconds:
            if rate:
                due = begun + (turn * CLIENTS + number) / rate
                time.sleep(max(0.0, due - time.monotonic()))
            try:
                answer = connection.send("/who", cookie=chance.choice(cookies))
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = Client(port)
                continue
            counts[number] += answer.status == 200
            turn += 1

    in_threads([lambda n=n: client(n) for n in range(CLIENTS)])  # type: ignore[misc]
    said.put(sum(counts) / (time.monotonic() - begun))


# ------------------------------------------------------------------------------------------------


def in_threads(parts: Sequence[Callable[[], None]]) -> None:
    """Run functions at the same time and wait for all."""
    threads = [threading.Thread(target=part) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
