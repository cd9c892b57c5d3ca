"""What every environment shares. Imports with an empty environment."""

from __future__ import annotations

from pathlib import Path

import django_stubs_ext

from config.settings.accounts import *  # noqa: F403
from config.settings.admin import *  # noqa: F403
from config.settings.alerts import *  # noqa: F403
from config.settings.api import *  # noqa: F403
from config.settings.backup import *  # noqa: F403
from config.settings.celery import *  # noqa: F403
from config.settings.databases import *  # noqa: F403
from config.settings.env import flag, integer, items, text
from config.settings.geocoding import *  # noqa: F403
from config.settings.logging import *  # noqa: F403
from config.settings.messaging import *  # noqa: F403
from config.settings.oauth import *  # noqa: F403
from config.settings.observability import *  # noqa: F403
from config.settings.outbox import *  # noqa: F403
from config.settings.security import *  # noqa: F403
from config.settings.sessions import *  # noqa: F403
from config.settings.stores import *  # noqa: F403
from config.settings.zones import *  # noqa: F403

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = text("SECRET_KEY", "not-a-secret-and-refused-in-production")
ALLOWED_HOSTS = items("ALLOWED_HOSTS")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
TIME_ZONE = text("TIME_ZONE", "UTC")
USE_TZ = True
LANGUAGE_CODE = "en-us"
PORT = integer("PORT", 8000, least=1, most=65535)
APPEND_SLASH = False

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "ninja",
    "common",
    "databases",
    "outbox",
    "accounts",
    "oauth2_provider",
    "customers",
    "caches",
    "analytics",
    "documents",
    "compliance",
    "messaging",
    "workspace",
    "tracker",
    # Behind ours, whose templates go before theirs.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    *SOCIAL_APPS,
]

MIDDLEWARE = [
    # The first decides whom to believe, the second sees every answer, the third every failure.
    "common.middleware.TrustedProxies",
    "common.middleware.ObservedRequests",
    "common.middleware.ContentSecurityPolicy",
    "common.middleware.ProblemAnswers",
    "common.middleware.RequestLimits",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "databases.middleware.CausalReadsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.sessions.middleware.AuthenticationMiddleware",
    "accounts.middleware.KnownActor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SecondStepOfStaff",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
MEDIA_URL = text("MEDIA_URL", "/media/")
MEDIA_ROOT = BASE_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
