"""Addresses of messaging's pages."""

from __future__ import annotations

from typing import Final

from django.urls import URLPattern, path

from messaging.views import pages, stream

app_name = "messaging"
STREAM: Final[URLPattern] = path("api/rooms/<uuid:room_id>/stream", stream.stream)
"""Beside the API, whose operations are no coroutines."""
urlpatterns = [
    path("", pages.rooms_page, name="rooms"),
    path("<uuid:room_id>/", pages.room_page, name="room"),
]
