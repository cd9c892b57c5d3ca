"""One web process's worth of callers, for test_geocoding_processes: started with `python -m`.

Reads one JSON line (URL of the geocoders, addresses, callers), says "ready", waits for a line, and
has the callers ask at once, and says "waiting" when all of them do. Until it is told that the
provider answers (a second line) it makes queries of its own on the same small pool. Prints one JSON
line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any


def main() -> None:
    """Run."""
    import django

    django.setup()
    from django.db import connections, router
    from django.test import override_settings

    from caches.models import Dataset
    from caches.services.geocoding.addresses import address_of
    from caches.services.geocoding.answering import _flights, geocode
    from common.errors import PolystoreError
    from tests.caches.geocoders import settings_for
    from tests.waiting import eventually

    asked = json.loads(sys.stdin.readline())
    using = router.db_for_write(Dataset)
    found: list[Any] = []
    queries: list[float] = []
    answers = threading.Event()

    def call(address: str) -> None:
        try:
            place = geocode(address_of(address)).reply.place
            found.append([place.lat, place.lon] if place else None)
        except PolystoreError as error:
            found.append(error.code)
        finally:
            connections.close_all()

    def stand_by() -> None:
        while not answers.is_set() or len(queries) < 50:
            begun = time.monotonic()
            try:
                with connections[using].cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                connections.close_all()
            queries.append(time.monotonic() - begun)
            time.sleep(0.002)

    with override_settings(**settings_for(asked["url"], "census", seconds=asked["seconds"])):
        threads = [
            threading.Thread(target=call, args=(asked["addresses"][number % 8],))
            for number in range(asked["callers"])
        ]
        threads.append(threading.Thread(target=stand_by))
        print("ready", flush=True)  # noqa: T201 - the test reads it
        sys.stdin.readline()
        for thread in threads:
            thread.start()
        eventually(lambda: _flights.callers() == asked["callers"])
        print("waiting", flush=True)  # noqa: T201 - the test reads it
        sys.stdin.readline()
        answers.set()
        for thread in threads:
            thread.join()
    told = {"found": found, "queries": sorted(queries)}
    print(json.dumps(told), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
