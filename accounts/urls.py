"""Addresses of the account's pages, under /account/."""

from __future__ import annotations

from django.urls import include, path

from accounts.views import pages

urlpatterns = [
    path("", pages.account, name="account"),
    # Ours goes before allauth's, which keeps several addresses of everybody.
    path("email/", pages.email, name="account_email"),
    path("export/", pages.export, name="account_export"),
    path("deactivate/", pages.deactivate, name="account_deactivate"),
    path("delete/", pages.delete, name="account_delete"),
    path("", include("allauth.urls")),
]
