"""DATABASES and DATABASE_ROUTERS, from the environment; the rules stand in `databases`."""

from __future__ import annotations

import os

from config.settings.env import flag, integer, refuse, text
from databases.pools import ConfigurationRefused, read_environment
from databases.url_files import with_files

try:
    DATABASE_CONFIGURATION = read_environment(with_files(os.environ))
except ConfigurationRefused as refused:
    raise refuse(str(refused)) from None

DATABASES = DATABASE_CONFIGURATION.databases
DATABASE_ROUTERS = ["databases.router.HomeRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOG_DB_QUERIES = flag("LOG_DB_QUERIES", default=False)
PROCESSES = integer("PROCESSES", 4, least=1, most=10_000)
"""Processes that hold pools, over all machines: web workers and Celery workers together. The
check of the pool sums multiplies by it."""
REGION = text("REGION")
"""Where this process runs; replicas with the same `<NAME>_REGION` are preferred."""
CROSS_DATABASE_GUARD = "log"
"""What happens to statements that cross databases: "log" them, or "raise" (see guards)."""
PUBLISH_PROCESS_STATE = True
"""Publish what this process knows of its databases (see `databases.process_state`)."""
PLACEMENT_REFRESH = True
"""Read in the background where each app's rows live (see `databases.placement`)."""
