"""A site with nothing but the peers' outboxes, on Django's own backend and without our routers."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers import make_importable
from config.settings.base import *  # noqa: F403
from config.settings.env import text

make_importable()

_found = conninfo_to_dict(text("DATABASE_URL"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _found.get("dbname"),
        "USER": _found.get("user"),
        "PASSWORD": _found.get("password"),
        "HOST": _found.get("host"),
        "PORT": _found.get("port"),
    }
}
DATABASE_ROUTERS = []
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_celery_outbox",
    "django_outbox_pattern",
    "jaiminho",
]
AUTH_USER_MODEL = "auth.User"
MIDDLEWARE = []
ROOT_URLCONF = "benchmarks.outbox_peer_sink"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Each at its best: nothing waits where there is something to do, and what was sent is deleted or
# marked as its own defaults have it.
DJANGO_OUTBOX_PATTERN = {
    "DEFAULT_CONNECTION_CLASS": "benchmarks.outbox_peer_sink.DocumentConnection",
    "DEFAULT_PRODUCER_WAITING_TIME": 0,
    "DEFAULT_PUBLISHED_CHUNK_SIZE": 500,
}
JAIMINHO_CONFIG = {"PUBLISH_STRATEGY": "keep-order", "DELETE_AFTER_SEND": True}
CELERY_OUTBOX_APP = "benchmarks.outbox_peer_sink.app"
