"""The test suite: real servers (tests/servers.py), a fast password hash, no DEBUG."""

from __future__ import annotations

from config.settings.local import *  # noqa: F403

DEBUG = False
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
SECRET_KEY = "the-tests-need-a-key-that-is-the-same-in-every-process"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# Tests say themselves when the placement is read: a background thread would query their databases.
PLACEMENT_REFRESH = False
PUBLISH_PROCESS_STATE = False
OUTBOX_WAKE = False  # tests deliver when they say so
SESSION_MEMORY = False  # its threads would keep connections to databases that come and go
KEEP_ZONES_INDEX = False  # tests load it when they say so; until then the database answers
OPPORTUNITY_ZONES_SNAPSHOTS = ""
GEOCODER_PROVIDERS = []  # tests name the local servers that they run
