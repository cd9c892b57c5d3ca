"""The ASGI entry point."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application
from django.urls import get_resolver

from common.asgi import BoundedBodies
from databases.starting import require_reachable_rows

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

application = BoundedBodies(get_asgi_application())
require_reachable_rows()
# Load every address now: an operation without declared access stops the start, not a request.
get_resolver().url_patterns  # noqa: B018
