"""Addresses of the zones' pages, under /zones/."""

from __future__ import annotations

from django.urls import path

from caches.views import zones_map

app_name = "caches"
urlpatterns = [path("", zones_map, name="map")]
