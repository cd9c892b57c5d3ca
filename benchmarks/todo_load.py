"""Fifty signed-in people who make todos over HTTP, by turns in one way and another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final, Self

from benchmarks import outbox_drains as drains
from benchmarks.common import ROOT, median, percentile, table
from benchmarks.outbox_load import clients
from devservers.ground import free_port

CLIENTS: Final = 50
SLOT: Final = 2.0
SLOTS: Final = 20
SLOTS_OF_HASTE: Final = 6
SETTLING: Final = 0.5
"""Seconds at the beginning of a slot that count for neither way."""
PATIENCE: Final = 60.0
CSRF: Final = "c" * 32
BODY: Final = json.dumps(
    {"title": "Write the report", "notes": "", "tags": ["work"], "priority": "high", "points": 10}
).encode()

Seconds = dict[int, list[float]]
"""Slot → the seconds that each of its requests took."""


# The site ---------------------------------------------------------------------------------------


@contextmanager
def serving() -> Iterator[int]:
    """Run gunicorn as production does, with the ways of `todo_site`; yields its port."""
    port = free_port()
    log = os.environ.get("BENCHMARK_SITE_LOG", os.devnull)
    with open(log, "ab") as output:  # noqa: PTH123 - also a device
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py",
             "benchmarks.todo_site:application"],
            cwd=ROOT, stdout=output, stderr=output,
            env={**os.environ, "BIND": f"127.0.0.1:{port}"},
        )  # fmt: skip
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(40)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError), Caller(port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n") as one:
            if one.ask("") == HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise SystemExit("The site did not start.")


def people(count: int = CLIENTS) -> list[str]:
    """Make that many users and return the cookie of a session of each."""
    from django.test import Client

    from accounts.models import User

    found = []
    for number in range(count):
        client = Client()
        user = User(email=f"caller-{number}-{time.monotonic_ns()}@example.org")
        user.save()
        client.force_login(user)
        found.append("; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items()))
    return found


def posting(cookie: str) -> bytes:
    """Return the head of a request that makes a todo, but for its last header and empty line."""
    return (
        "POST /api/todos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Cookie: {cookie}; csrftoken={CSRF}\r\nX-CSRFToken: {CSRF}\r\n"
        f"Content-Length: {len(BODY)}\r\n"
    ).encode()


# Callers ----------------------------------------------------------------------------------------


class Caller:
    """One browser: a connection that stays open, and one request over and over."""

    def __init__(self, port: int, head: bytes, body: bytes = b"") -> None:
        """Connect."""
        self._port, self._head, self._body = port, head, body
        self._socket = self._connected()

    def __enter__(self) -> Self:
        """Be used in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._socket.close()

    def ask(self, way: str) -> int:
        """Send the request and return the status of its answer."""
        request = self._head + f"X-Way: {way}\r\n\r\n".encode() + self._body
        try:
            self._socket.sendall(request)
            return self._answer()
        except ConnectionError:  # the site ends a connection that idles, or a worker's last one
            self._socket.close()
            self._socket = self._connected()
            self._socket.sendall(request)
            return self._answer()

    def _connected(self) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found

    def _answer(self) -> int:
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(x[15:]) for x in lines if x.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += self._more()
        if b"connection: close" in lines:
            self._socket.close()
            self._socket = self._connected()
        return int(head[9:12])

    def _more(self) -> bytes:
        some = self._socket.recv(65_536)
        if not some:
            raise ConnectionResetError
        return some


def measure_posts(ways: Sequence[str], *, workers: int = 1) -> tuple[dict[str, list[float]], float]:
    """Run the site, and have people make todos in each of these ways.

    :param workers: that deliver meanwhile.
    :returns: by way the 95th percentile of each of its slots in ms, at half of the highest rate;
        and that highest rate.
    """
    cookies = people()
    with drains.workers(workers), serving() as port:
        found = _by_way(ways, _load(port, cookies, ways, SLOTS_OF_HASTE, rate=None))
        highest = max(median([len(some) for some in slots]) for slots in found.values())
        highest /= SLOT - SETTLING
        found = _by_way(ways, _load(port, cookies, ways, SLOTS, rate=highest / 2))
        drains.wait_until_idle()
    p95 = {way: [percentile(some, 0.95) * 1000 for some in slots] for way, slots in found.items()}
    table(
        (f"todos at {highest / 2:.0f} a second of {highest:.0f}", "slots", "p50, ms", "p95, ms"),
        [
            (
                way,
                len(slots),
                f"{median([median(some) for some in slots]) * 1000:.1f}",
                f"{median(p95[way]):.1f} ({min(p95[way]):.1f} to {max(p95[way]):.1f})",
            )
            for way, slots in sorted(found.items())
        ],
    )
    return p95, highest


def ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of neighbours: slots that met the same machine."""
    return median([one / other for one, other in zip(some, others, strict=True)])


def _load(
    port: int, cookies: Sequence[str], ways: Sequence[str], slots: int, *, rate: float | None
) -> Seconds:
    turns = _turns(ways, slots)
    with clients([(ask_by_turns, (port, list(cookies), turns, rate))]) as one:
        found: Seconds = next(iter(one.results(timeout=slots * SLOT + PATIENCE * 2)))
    return found


def _by_way(ways: Sequence[str], found: Seconds) -> dict[str, list[list[float]]]:
    turns = _turns(ways, len(found))
    return {way: [found[n] for n, turn in enumerate(turns) if turn == way] for way in ways}


def _turns(ways: Sequence[str], slots: int) -> list[str]:
    return [way for number in range(slots) for way in _turn(ways, number)][:slots]


def _turn(ways: Sequence[str], number: int) -> Sequence[str]:
    """Return all ways, every other time from the last to the first."""
    return ways if number % 2 == 0 else ways[::-1]


def ask_by_turns(port: int, cookies: list[str], turns: list[str], rate: float | None) -> Seconds:
    """Ask with a thread for each cookie, in slots of time; for a process of its own.

    :param rate: requests a second, of which each takes from the moment that it was due; None has
        everybody ask again as soon as they are answered.
    """
    crowd = _Crowd(port, turns, between=len(cookies) / rate if rate else 0.0)
    threads = [
        threading.Thread(target=crowd.ask, args=(cookie, number / len(cookies)))
        for number, cookie in enumerate(cookies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if crowd.failures:
        raise SystemExit(f"{len(crowd.failures)} callers failed: {crowd.failures[0]}.")
    return {slot: crowd.found[slot] for slot in range(len(turns))}


class _Crowd:
    """People who ask at the same time."""

    def __init__(self, port: int, turns: Sequence[str], *, between: float) -> None:
        self.found: Seconds = defaultdict(list)
        self.failures: list[str] = []
        self._port, self._turns, self._between = port, turns, between
        self._begun = time.monotonic() + 0.2

    def ask(self, cookie: str, share: float) -> None:
        """Be one of them, who begins at `share` (0 to 1) of the time between two requests."""
        try:
            with Caller(self._port, posting(cookie), BODY) as caller:
                due: float | None = self._begun + self._between * share
                while due is not None:
                    due = self._once(caller, due)
        except OSError as error:
            self.failures.append(type(error).__name__)

    def _once(self, caller: Caller, due: float) -> float | None:
        """Ask when it is `due`; return when the next time is, or None at the end."""
        now = time.monotonic()
        time.sleep(max(0.0, due - now))
        due = due if self._between else max(due, now)
        slot, into = divmod(due - self._begun, SLOT)
        if slot >= len(self._turns):
            return None
        way = self._turns[int(slot)]
        status = caller.ask(way)
        if status != HTTPStatus.CREATED:
            self.failures.append(str(status))
            return None
        if into >= SETTLING:
            self.found[int(slot)].append(time.monotonic() - due)
        return due + self._between
