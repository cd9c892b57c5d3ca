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
CELERY_BEAT_SCHEDULE = {
    "outbox-sweep": {
        "task": "outbox.sweep",
        "schedule": float(OUTBOX_SWEEP_SECONDS),
        # One that no worker took in time is made up for by the next.
        "options": {"expires": OUTBOX_SWEEP_SECONDS},
    },
    # Makes one when one is due, removes old ones, and tells when the last is too old.
    "look-after-backups": {
        "task": "databases.look_after_backups",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    # Often enough for a lag of 30 s to be told soon, and for a sample of every minute.
    "outbox-watch": {"task": "outbox.watch", "schedule": 15.0, "options": {"expires": 15}},
    "outbox-prune": {"task": "outbox.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    "accounts-clear-unconfirmed": {
        "task": "accounts.clear_unconfirmed",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "accounts-clear-sessions": {
        "task": "accounts.clear_expired_sessions",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "remove-expired-tokens": {
        "task": "accounts.remove_expired_tokens",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    # Seeds an empty site, refreshes before the zones expire, tells when they have expired.
    "look-after-zones": {
        "task": "caches.look_after_zones",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "messaging-sweep": {"task": "messaging.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "messaging-reconcile": {
        "task": "messaging.reconcile",
        "schedule": 1800.0,
        "options": {"expires": 1800},
    },
    "messaging-membership": {
        "task": "messaging.confirm_membership",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "tracker-prune-keys": {
        "task": "tracker.prune_keys",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
}
