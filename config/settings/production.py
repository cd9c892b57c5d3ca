"""Production: refuses to start without its secrets, naming each that is missing."""

from __future__ import annotations

from config.settings.base import *  # noqa: F403
from config.settings.env import flag, missing, refuse

_missing = missing(
    {
        "SECRET_KEY": "signs sessions and tokens; 50 random characters",
        "ALLOWED_HOSTS": "comma separated host names of the site",
        "REDIS_URL": "Celery broker and cache",
    }
)
if "default" not in DATABASE_CONFIGURATION.configured:
    _missing.insert(0, "DATABASE_URL (the primary PostgreSQL)")
if _missing:
    raise refuse(f"Production needs these environment variables: {'; '.join(_missing)}.")
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
    raise refuse("SECRET_KEY must have at least 50 characters, made at random.")
if "*" in ALLOWED_HOSTS:
    raise refuse("ALLOWED_HOSTS must name the site's hosts; * would believe any Host header.")

DEBUG = flag("DEBUG", default=False)
if DEBUG:
    raise refuse("DEBUG must be false in production. Use config.settings.local for development.")

SECURE_SSL_REDIRECT = flag("SECURE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
