"""What the tracker's tests share: people, deliveries, and stores that agree."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections
from django.test import Client

from accounts.models import User
from databases.stores import mongo
from outbox.delivery import drain_once
from tests.people import a_user
from tests.people import signed_in as browser_of

NOW = dt.datetime(2026, 3, 18, 12, 0, tzinfo=dt.UTC)
"""A Wednesday."""
COLLECTIONS = ("users", "todos", "timers", "friendships", "daily_reports")


def somebody(first: str, last: str = "", **fields: Any) -> User:
    """Create a user of this name."""
    address = f"{first}.{last}".strip(".").lower().replace(" ", "-")
    return a_user(f"{address}@example.com", first_name=first, last_name=last, **fields)


class Caller:
    """Somebody who calls the API with JSON."""

    def __init__(self, user: User | None) -> None:
        """Sign in, unless nobody calls."""
        self.user = user
        self.client = browser_of(user) if user is not None else Client()

    def __call__(
        self, method: str, path: str, body: Any = None, key: str | None = None, **query: Any
    ) -> Any:
        """Call an operation and return its answer."""
        headers = {"Idempotency-Key": key} if key is not None else {}
        if method == "GET":
            return self.client.get(path, query, headers=headers)
        return self.client.generic(
            method,
            path,
            data=b"" if body is None else _json(body),
            content_type="application/json",
            headers=headers,
        )


def _json(body: Any) -> bytes:
    import json

    return json.dumps(body).encode()


def deliver() -> None:
    """Bring everything that is recorded to MongoDB."""
    drain_once()


def forget_mongodb() -> None:
    """Empty the collections that the tracker's tests fill."""
    with mongo.database(timeout=10.0) as database:
        for name in COLLECTIONS:
            database[name].delete_many({})


def documents(collection: str) -> dict[str, dict[str, Any]]:
    """Return the live documents by id."""
    with mongo.database(timeout=10.0) as database:
        return {row["_id"]: row for row in database[collection].find({"_live": True})}


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run all of them at the same time; return what each returned or raised."""
    barrier = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            results[number] = act()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number, act)) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def kinds(results: Iterable[Any]) -> list[str]:
    """Return the names of the types, sorted."""
    return sorted(type(result).__name__ for result in results)
