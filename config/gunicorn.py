"""gunicorn: `gunicorn -c config/gunicorn.py config.wsgi`.

PORT and WEB_CONCURRENCY (worker processes, 2) and WEB_THREADS (threads of each, 8) set its size.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

bind = os.environ.get("BIND", f"0.0.0.0:{os.environ.get('PORT', '8000')}")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
# Each worker loads the site itself: nothing that a fork would share, such as a pool, exists before.
preload_app = False
timeout = 60
graceful_timeout = 30
keepalive = 5
max_requests = 10_000
max_requests_jitter = 1_000
# Heartbeats in memory: on a disk they may stall, and the worker be killed for it.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn's advice
accesslog = None  # common.middleware writes the access log, without query strings
errorlog = "-"
# Nobody needs it, and its usual place is a home folder that several sites may share.
control_socket_disable = True
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "common.logging.StructuredFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "gunicorn.error": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "gunicorn.access": {"handlers": [], "propagate": False},
    },
}
# Forwarded addresses and schemes are judged by TRUSTED_PROXIES, in one place.
forwarded_allow_ips = ""
limit_request_line = 8190

_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(server: Any) -> None:
    """Give the workers an empty folder to count in, before any of them imports the metrics."""
    folder = os.environ.get(_METRICS)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in Path(folder).glob("*.db"):
            file.unlink(missing_ok=True)
    else:
        os.environ[_METRICS] = tempfile.mkdtemp(prefix="polystore-metrics-")
        server.polystore_metrics = os.environ[_METRICS]


def post_worker_init(worker: Any) -> None:
    """Load the zones before anybody asks for them."""
    from caches.services import holding

    holding.keep()


def child_exit(server: Any, worker: Any) -> None:
    """Take a dead worker's gauges out of the sums."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the folder that `on_starting` made."""
    folder = getattr(server, "polystore_metrics", None)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
