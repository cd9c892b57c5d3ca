"""Celery: Redis by default, RabbitMQ by URL. Tasks carry no data, so losing one is harmless."""

from __future__ import annotations

from config.settings.env import text
from config.settings.outbox import OUTBOX_SWEEP_SECONDS

CELERY_BROKER_URL = text("CELERY_BROKER_URL", text("REDIS_URL"))
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# Our own logging stays in force in workers; standard output is nobody's log.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
# A request that sends a task must not hang while the broker is down.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "socket_connect_timeout": 1.0,
        "socket_timeout": 5.0,
        "visibility_timeout": 3600,
        # Of the sender: by itself it would go on trying for six seconds.
        "max_retries": 1,
        "interval_start": 0.1,
        "interval_max": 0.2,
    }
    if CELERY_BROKER_URL.startswith(("redis://", "rediss://"))
    else {}
)
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2}
# Drainers stay for seconds, so workers consume this queue beside their others; see outbox/tasks.py.
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_QUEUES: dict[str, dict[str, object]] = {"celery": {}, "outbox": {}}
CELERY_TASK_ROUTES = {
    "outbox.drain": {"queue": "outbox"},
    "outbox.sweep": {"queue": "outbox"},
    "outbox.prune": {"queue": "outbox"},
}


def _every(seconds: int, task: str) -> dict[str, object]:
    """Return an entry of beat's; a run that no worker took in time is made up for by the next."""
    return {"task": task, "schedule": float(seconds), "options": {"expires": seconds}}


CELERY_BEAT_SCHEDULE = {
    "outbox-sweep": _every(OUTBOX_SWEEP_SECONDS, "outbox.sweep"),
    # Makes one when one is due, removes old ones, and tells when the last is too old.
    "look-after-backups": _every(600, "databases.look_after_backups"),
    # Often enough for a lag of 30 s to be told soon, and for a sample of every minute.
    "outbox-watch": _every(15, "outbox.watch"),
    "outbox-prune": _every(3_600, "outbox.prune"),
    "accounts-clear-unconfirmed": _every(3_600, "accounts.clear_unconfirmed"),
    "accounts-clear-sessions": _every(3_600, "accounts.clear_expired_sessions"),
    "remove-expired-tokens": _every(600, "accounts.remove_expired_tokens"),
    # Seeds an empty site, refreshes before the zones expire, tells when they have expired.
    "look-after-zones": _every(60, "caches.look_after_zones"),
    "messaging-sweep": _every(2, "messaging.sweep"),
    "messaging-reconcile": _every(1_800, "messaging.reconcile"),
    "messaging-membership": _every(10, "messaging.confirm_membership"),
    "tracker-prune-keys": _every(3_600, "tracker.prune_keys"),
}
