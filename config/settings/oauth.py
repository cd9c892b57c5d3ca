"""OAuth 2: how long tokens live, and what the library is told."""

from __future__ import annotations

from typing import Any

from config.settings.env import integer

OAUTH_ACCESS_TOKEN_SECONDS = integer("OAUTH_ACCESS_TOKEN_SECONDS", 3_600, least=60, most=86_400)
"""How long an access token is valid; it can be ended before."""
OAUTH_REFRESH_TOKEN_DAYS = integer("OAUTH_REFRESH_TOKEN_DAYS", 30, least=1, most=366)
"""How long a refresh token waits for its use; each use gives a new one."""
OAUTH_CODE_SECONDS = 60
PERSONAL_TOKEN_MAX_DAYS = integer("PERSONAL_TOKEN_MAX_DAYS", 366, least=1, most=3_660)
"""The longest life that people may give a token of their own."""

OAUTH2_PROVIDER_APPLICATION_MODEL = "accounts.Client"
OAUTH2_PROVIDER_GRANT_MODEL = "accounts.AuthorizationCode"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "accounts.AccessToken"
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "accounts.RefreshToken"
# Neither ID tokens nor device codes are given out. The library wants a model for each; these exist
# already, so that it makes no tables of its own.
OAUTH2_PROVIDER_ID_TOKEN_MODEL = "accounts.Authorization"
OAUTH2_PROVIDER_DEVICE_GRANT_MODEL = "accounts.AuthorizationCode"
MIGRATION_MODULES: dict[str, str | None] = {
    # All of its models are replaced, so it has nothing to migrate; and its migrations depend on
    # ours, which depend on its models.
    "oauth2_provider": None,
}

OAUTH2_PROVIDER: dict[str, Any] = {
    "OAUTH2_BACKEND_CLASS": "accounts.oauth.services.server.Core",
    "OAUTH2_SERVER_CLASS": "accounts.oauth.services.server.Server",
    "OAUTH2_VALIDATOR_CLASS": "accounts.oauth.services.protocol.Protocol",
    "SCOPES_BACKEND_CLASS": "accounts.oauth.policies.ClientScopes",
    "ACCESS_TOKEN_GENERATOR": "accounts.oauth.services.issuing.new_access_token",
    "REFRESH_TOKEN_GENERATOR": "accounts.oauth.services.issuing.new_refresh_token",
    "ACCESS_TOKEN_EXPIRE_SECONDS": OAUTH_ACCESS_TOKEN_SECONDS,
    "AUTHORIZATION_CODE_EXPIRE_SECONDS": OAUTH_CODE_SECONDS,
    "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "APPLICATION_ADMIN_CLASS": "accounts.oauth.admin.ClientAdmin",
    "GRANT_ADMIN_CLASS": "accounts.oauth.admin.AuthorizationCodeAdmin",
    "ACCESS_TOKEN_ADMIN_CLASS": "accounts.oauth.admin.AccessTokenAdmin",
    "REFRESH_TOKEN_ADMIN_CLASS": "accounts.oauth.admin.RefreshTokenAdmin",
    "ID_TOKEN_ADMIN_CLASS": "accounts.oauth.admin.AuthorizationAdmin",
    # RFC 9700, where the library still asks.
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}
