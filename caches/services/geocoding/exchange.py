"""Questions to a geocoder over the guarded client of the zones' sources, within a time that holds
whatever the other side does.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, NoReturn, TypeVar

from django.conf import settings

from caches.services.download import Answer, SourceUnreachable, exchange
from caches.services.geocoding.replies import Failure, ProviderFailed
from caches.services.parsing import SourceRefused

Found = TypeVar("Found")

MOST_BYTES: Final = 2 * 1024 * 1024
BATCH_BYTES: Final = 16 * 1024 * 1024
BEAT_SECONDS: Final = 2.0
"""How often a lease is made longer while a provider is asked."""


def user_agent() -> str:
    """Return how we introduce ourselves."""
    contact = settings.GEOCODER_CONTACT
    return f"Polystore geocoding ({contact})" if contact else "Polystore geocoding"


def ask(
    url: str,
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    most: int = MOST_BYTES,
) -> Answer:
    """Put one question.

    :raises ProviderFailed: when there is no whole answer, whatever its status.
    """
    try:
        return exchange(
            url,
            limit=most,
            allow_private=settings.GEOCODER_ALLOW_PRIVATE,
            seconds=seconds,
            headers={"User-Agent": user_agent(), **(headers or {})},
            body=body,
        )
    except SourceUnreachable:
        raise ProviderFailed(Failure.UNREACHABLE) from None
    except SourceRefused:
        raise ProviderFailed(Failure.REFUSED) from None


def require_success(answer: Answer) -> None:
    """Return for an answer of 200.

    :raises ProviderFailed: for any other, by what it means.
    """
    if answer.status == 200:
        return
    if answer.status in {402, 429}:
        raise ProviderFailed(Failure.QUOTA, retry_after=_seconds(answer.headers))
    if answer.status in {408, 504}:
        raise ProviderFailed(Failure.TIMEOUT)
    if answer.status >= 500:
        raise ProviderFailed(Failure.UNREACHABLE, retry_after=_seconds(answer.headers))
    refused = answer.status in {401, 403, 407}
    raise ProviderFailed(Failure.REFUSED if refused else Failure.QUESTION)


def as_json(answer: Answer) -> Any:
    """Return the value of a body.

    :raises ProviderFailed: when it is no whole JSON.
    """
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise ProviderFailed(Failure.PARTIAL) from None


def within(seconds: float, function: Callable[[], Found], *, beat: Callable[[], None]) -> Found:
    """Return what `function` does, in a thread that is left to itself after that time.

    Sockets have bounds of their own; this one holds for the look-up of names, too, and for headers
    that come a byte at a time.

    :param beat: called every BEAT_SECONDS meanwhile; may raise.
    :raises ProviderFailed: when it took too long.
    """
    results: SimpleQueue[Callable[[], Found]] = SimpleQueue()

    def work() -> None:
        try:
            found = function()
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            results.put(partial(_raise, error))
        else:
            results.put(lambda: found)

    threading.Thread(target=work, name="geocoder", daemon=True).start()
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        try:
            result = results.get(timeout=max(0.0, min(left, BEAT_SECONDS)))
        except Empty:
            if left <= BEAT_SECONDS:
                raise ProviderFailed(Failure.TIMEOUT) from None
            beat()
        else:
            return result()


def _raise(error: Exception) -> NoReturn:
    raise error


def _seconds(headers: Mapping[str, str]) -> float | None:
    told = headers.get("retry-after", "").strip()
    return float(told) if told.isdigit() else None
