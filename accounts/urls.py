"""Addresses of the account's pages, under /account/."""

from __future__ import annotations

from django.urls import include, path

from accounts.sessions import views as sessions
from accounts.views import pages

urlpatterns = [
    path("", pages.account, name="account"),
    # Ours goes before allauth's, which keeps several addresses of everybody.
    path("email/", pages.email, name="account_email"),
    path("sessions/", sessions.sessions, name="account_sessions"),
    path("sessions/end-others", sessions.end_others, name="account_sessions_end_others"),
    path("sessions/<uuid:session_id>/end", sessions.end_session, name="account_session_end"),
    path("export/", pages.export, name="account_export"),
    path("deactivate/", pages.deactivate, name="account_deactivate"),
    path("delete/", pages.delete, name="account_delete"),
    path("", include("allauth.urls")),
]
