"""Handing work to Celery by name, bounded: nobody waits for a broker that is away."""

from __future__ import annotations

from typing import Final

from celery import current_app
from celery.exceptions import OperationalError

from common.errors import PolystoreError

REFRESH: Final = "caches.refresh_zones"
LOOK_AFTER: Final = "caches.look_after_zones"
LOOK_UP: Final = "caches.look_points_up"


class NobodyToAsk(PolystoreError):
    """The task could not be handed over: the broker does not answer."""

    code, status, title = "caches.no_broker", 503, "No worker can be asked"
    remedy = "Start the broker (REDIS_URL, CELERY_BROKER_URL), or use the command."
    retry_after = 10


def hand_over(task: str, **arguments: str) -> None:
    """Send a task to the workers.

    :raises NobodyToAsk: when the broker does not take it.
    """
    try:
        current_app.send_task(task, kwargs=arguments, retry=False)
    except (OperationalError, OSError) as error:
        raise NobodyToAsk("The broker did not take the task.") from error
