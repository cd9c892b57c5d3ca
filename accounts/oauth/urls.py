"""Addresses of OAuth 2. The namespace, and the names of the endpoints, are those of the library."""

from __future__ import annotations

from django.urls import path

from accounts.oauth.views import consent, endpoints, tokens

app_name = "oauth2_provider"
urlpatterns = [
    path(
        ".well-known/oauth-authorization-server", endpoints.metadata, name="oauth-server-metadata"
    ),
    path("o/authorize", consent.authorize, name="authorize"),
    path("o/token", endpoints.token, name="token"),
    path("o/revoke", endpoints.revoke, name="revoke-token"),
    path("o/introspect", endpoints.introspect, name="introspect"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<uuid:token_id>/revoke", tokens.revoke_token, name="revoke-personal"),
    path("account/applications/<uuid:client_id>/end", tokens.end_access, name="end-access"),
]
