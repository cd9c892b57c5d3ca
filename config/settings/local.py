"""A developer's machine: `script/server` provides the servers behind it."""

from __future__ import annotations

from config.settings.base import *  # noqa: F403
from config.settings.env import flag, items, text

DEBUG = flag("DEBUG", default=True)
ALLOWED_HOSTS = items("ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Static files straight from the apps: no collectstatic, no folder of collected files.
CROSS_DATABASE_GUARD = "raise"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
if not text("EMAIL_URL"):
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
