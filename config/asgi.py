"""The ASGI entry point."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from common.asgi import BoundedBodies
from config.starting import start_serving

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

application = BoundedBodies(get_asgi_application())
start_serving()
