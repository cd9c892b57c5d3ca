"""What a worker does with a hint: deliver until nothing is left, and stay a moment for more.

To stay is what makes delivery fast: while changes keep coming, the next one meets a drainer that
looks every few milliseconds, and no task has to be sent for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

import psycopg
from django.db import connections

from databases.breaker import AliasUnavailable
from outbox.delivery import session as sessions
from outbox.delivery.drainer import Drainer, Patience, Stop
from outbox.delivery.outcome import Delivered
from outbox.delivery.session import Session
from outbox.events import MONGODB

logger = logging.getLogger("outbox.delivery")

IDLE_SECONDS: Final = 2.0
RUN_SECONDS: Final = 20.0
"""After which the task ends and sends another one, so that workers can be replaced and other tasks
get their turn."""
BETWEEN_SECONDS: Final = 0.25
"""Between two drains of `follow`."""
PRIMARY: Final = "primary"

_WAITS: Final = """
SELECT EXISTS (SELECT FROM outbox_outboxevent WHERE sink = %s AND attempts = 0)
"""


def linger(sink: str, *, stop: Stop, worker: str | None = None) -> tuple[Delivered, bool]:
    """Deliver the events of `sink` as they come.

    :param stop: tells whether to end after the batch in hand.
    :param worker: whose other processes need not do the same; None for a drainer of its own.
    :returns: what was done, and whether something waits that nobody may have been told of.
    """
    idle = IDLE_SECONDS if sink == MONGODB else 0.0
    patience = Patience(idle=idle, total=RUN_SECONDS, stop=stop)
    try:
        session = _living_session()
    except (AliasUnavailable, psycopg.Error) as error:
        return _away(sink, error), False
    try:
        delivered = Drainer(session, sink).run(patience, worker=worker)
        # What came after the last look had its hint refused while the locks were still held.
        sessions.unlock(session)
        left = delivered.reason == "" and bool(session.run(_WAITS, (sink,))[0][0])
    except psycopg.Error as error:
        session.close()
        return _away(sink, error), False
    except AliasUnavailable as error:
        sessions.give_back(session)
        return Delivered(reason=error.store), False
    except BaseException:
        session.close()
        raise
    sessions.give_back(session)
    return delivered, left


def follow(
    sinks: Sequence[str], *, stop: threading.Event, tell: Callable[[str, Delivered], object]
) -> None:
    """Deliver the events of these sinks until `stop` is set: a worker without Celery.

    :param tell: is given each sink and what was done, from threads, whenever that is something
        else than nothing, and when the reason why nothing can be done changes.
    """

    def keep_at_it(sink: str) -> None:
        reason = ""
        while not stop.is_set():
            delivered, left = linger(sink, stop=stop.is_set)
            if delivered.batches or delivered.reason != reason:
                tell(sink, delivered)
                reason = delivered.reason
            if delivered.reason or not left:
                stop.wait(BETWEEN_SECONDS)
        sessions.close_idle()
        connections.close_all()

    threads = [threading.Thread(target=keep_at_it, args=(sink,)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _living_session() -> Session:
    """Return a session that answers; the one that was kept may have lost its server."""
    session = sessions.take()
    try:
        session.run("SELECT 1")
    except psycopg.Error:
        session.close()
        sessions.close_idle()
        session = Session()
    return session


def _away(sink: str, error: Exception) -> Delivered:
    """The sweep sends the next task: what was in hand is still in the queue."""
    logger.warning("outbox.drain.ended", extra={"sink": sink, "reason": type(error).__name__})
    return Delivered(reason=PRIMARY)
