"""Users who write now and then and must see what they wrote: through a real middleware, in threads.

Each user has a row, a cookie jar and a think time. A few threads serve whoever is due next, as the
threads of a web process do. A read is stale when it shows less than the user's own last commit.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from django.db import close_old_connections, connection, connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from databases import replica

View = Callable[[HttpRequest], HttpResponseBase]
Layer = Callable[[View], View]
"""A middleware: takes the next layer, returns one."""

SCRATCH = "benchmark_scratch"


@dataclass(kw_only=True)
class User:
    """One browser and the row that it changes."""

    number: int
    key: uuid.UUID
    written: int = 0
    """The number of the last write that was answered."""
    cookies: dict[str, tuple[str, float]] = field(default_factory=dict)

    def sends(self) -> dict[str, str]:
        """Return the cookies that have not expired."""
        now = time.monotonic()
        return {name: text for name, (text, until) in self.cookies.items() if until > now}

    def takes(self, response: HttpResponseBase) -> None:
        """Keep the cookies of an answer for as long as it says."""
        for name, morsel in response.cookies.items():
            seconds = float(morsel["max-age"] or 3600)
            self.cookies[name] = (morsel.value, time.monotonic() + seconds)


@dataclass(kw_only=True)
class Seen:
    """What happened."""

    reads: int = 0
    on_replica: int = 0
    writes: int = 0
    stale: list[str] = field(default_factory=list)
    """One sentence for each stale read."""
    failures: list[str] = field(default_factory=list)

    @property
    def replica_share(self) -> float:
        """Return the share (0 to 1) of reads that a replica served."""
        return self.on_replica / max(1, self.reads)

    def add(self, other: Seen) -> None:
        """Add another run's counts."""
        self.reads += other.reads
        self.on_replica += other.on_replica
        self.writes += other.writes
        self.stale += other.stale
        self.failures += other.failures


class Crowd:
    """Many users behind one middleware."""

    def __init__(
        self,
        layer: Layer,
        users: Sequence[User],
        *,
        think_seconds: float,
        write_share: float = 0.1,
        threads: int = 8,
        seed: int = 0,
    ) -> None:
        """Describe them.

        :param think_seconds: mean of the exponential pauses between a user's requests.
        :param seed: decides pauses and who writes when; the machine decides the rest.
        """
        self._serve = layer(self._view)
        self._random = random.Random(seed)
        self._think_seconds = think_seconds
        self._write_share = write_share
        self._threads = threads
        self._factory = RequestFactory()
        self._lock = threading.Lock()
        self._by_number = {str(user.number): user for user in users}
        self._due: list[tuple[float, int]] = []
        self.seen = Seen()

    def run(self, seconds: float) -> Seen:
        """Serve everybody for `seconds` and return what happened."""
        begun = time.monotonic()
        self._due = [(begun + self._pause(), int(number)) for number in self._by_number]
        heapq.heapify(self._due)
        work = partial(self._work, begun + seconds)
        workers = [threading.Thread(target=work) for _ in range(self._threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return self.seen

    def _pause(self) -> float:
        return self._random.expovariate(1 / self._think_seconds)

    def _work(self, end: float) -> None:
        try:
            while (turn := self._next_turn()) is not None:
                due, number, writes = turn
                if due >= end:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
                self._request(self._by_number[str(number)], writes=writes)
                with self._lock:
                    heapq.heappush(self._due, (time.monotonic() + self._pause(), number))
        finally:
            connections.close_all()

    def _next_turn(self) -> tuple[float, int, bool] | None:
        with self._lock:
            if not self._due:
                return None
            due, number = heapq.heappop(self._due)
            return due, number, self._random.random() < self._write_share

    def _request(self, user: User, *, writes: bool) -> None:
        """Make one request as the user's browser would, and compare the answer with the truth."""
        request = self._factory.generic("POST" if writes else "GET", f"/{user.number}")
        request.COOKIES = user.sends()
        try:
            response = self._serve(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the user sees a failure
            with self._lock:
                self.seen.failures.append(f"{type(error).__name__}: {error}")
            return
        finally:
            close_old_connections()
        user.takes(response)
        with self._lock:
            self._note(user, response, wrote=writes)

    def _note(self, user: User, response: HttpResponseBase, *, wrote: bool) -> None:
        number = int(response["X-Number"])
        if wrote:
            self.seen.writes += 1
            user.written = number
            return
        alias = response["X-Alias"]
        self.seen.reads += 1
        self.seen.on_replica += alias == "replica"
        if number < user.written:
            self.seen.stale.append(
                f"User {user.number} wrote {user.written} and read {number} from {alias!r}."
            )

    def _view(self, request: HttpRequest) -> HttpResponseBase:
        """Write or read the user's row, with the ORM and without naming a database."""
        from customers.models import BusinessEntity

        user = self._by_number[request.path[1:]]
        if request.method == "POST":
            number = user.written + 1
            BusinessEntity.objects.filter(pk=user.key).update(legal_name=str(number))
            return HttpResponse(headers={"X-Number": str(number)})
        entity = BusinessEntity.objects.get(pk=user.key)
        return HttpResponse(
            headers={"X-Number": entity.legal_name, "X-Alias": entity._state.db or ""}
        )


def make_users(count: int, *, owner_id: uuid.UUID) -> list[User]:
    """Write a row for each of `count` users; all of them belong to the account `owner_id`."""
    from customers.models import BusinessEntity

    rows = [BusinessEntity(legal_name="0", owner_id=owner_id) for _ in range(count)]
    BusinessEntity.objects.bulk_create(rows)
    return [User(number=number, key=row.pk) for number, row in enumerate(rows)]


@contextmanager
def bulk_writer() -> Iterator[None]:
    """Let somebody else commit rows by the thousand in this block, so that the replica lags."""
    over = threading.Event()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {SCRATCH} (id bigint, filler text)")

    def write() -> None:
        try:
            with connection.cursor() as cursor:
                while not over.wait(0.01):
                    cursor.execute(
                        f"INSERT INTO {SCRATCH} SELECT g, repeat('x', 200)"
                        " FROM generate_series(1, 5000) AS g"
                    )
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {SCRATCH}")


@contextmanager
def counted_checks() -> Iterator[list[float]]:
    """Yield a list that grows by one at each question to the replica about its position."""
    copy = replica.get("replica")
    asked: list[float] = []
    ask = copy._ask

    def counting(*, newest: bool = False) -> None:
        asked.append(time.monotonic())
        ask(newest=newest)

    copy._ask = counting  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        del copy._ask
