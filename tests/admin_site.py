"""What the admin shows."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib import admin
from django.db.models import Model


def registered() -> list[type[Model]]:
    """Return the models that the admin shows: the site's addresses leave some of Django's out."""
    import_module(settings.ROOT_URLCONF)
    return list(admin.site._registry)
