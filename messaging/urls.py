"""Addresses of messaging's pages."""

from __future__ import annotations

from typing import Final

from django.urls import URLPattern, path

from messaging.views import stream

app_name = "messaging"
STREAM: Final[URLPattern] = path("api/rooms/<uuid:room_id>/stream", stream.stream)
"""Beside the API, whose operations are no coroutines."""
