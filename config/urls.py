"""Every address of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

import config.admin  # noqa: F401 - registers third-party models
import messaging.urls
from accounts.views.admin_sign_in import admin_sign_in
from config.api import api
from config.views import home, icon, metrics
from databases.admin_page import URL_NAME, databases_page
from databases.views import liveness
from outbox import admin_page as outbox_page

urlpatterns = [
    path("", home, name="home"),
    path("favicon.ico", icon),
    path("health", liveness, name="health"),
    path("metrics", metrics, name="metrics"),
    messaging.urls.STREAM,  # before the API, which would not find it
    path("api/", api.urls),
    path("account/", include("accounts.urls")),
    path("", include("accounts.oauth.urls")),
    path("tracker/", include("tracker.urls")),
    path("rooms/", include("messaging.urls")),
    path("zones/", include("caches.urls")),
    path("admin/databases/overview/", admin.site.admin_view(databases_page), name=URL_NAME),
    path(
        "admin/outbox/overview/",
        admin.site.admin_view(outbox_page.outbox_page),
        name=outbox_page.URL_NAME,
    ),
    path(
        "admin/outbox/overview/switch/",
        admin.site.admin_view(outbox_page.switch),
        name=outbox_page.SWITCH_NAME,
    ),
    path("admin/login/", admin_sign_in),
    path("admin/", admin.site.urls),
]
