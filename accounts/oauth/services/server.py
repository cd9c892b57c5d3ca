"""The three ways to a token that this site knows; the library's others do not exist here."""

from __future__ import annotations

import re
from typing import Any, Final

from oauth2_provider.oauth2_backends import OAuthLibCore
from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    ClientCredentialsGrant,
    InvalidRequestError,
    RefreshTokenGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256

from accounts.models.oauth import CHALLENGE_LENGTH
from accounts.oauth.services.issuing import new_code

AUTHORIZE: Final = "authorize"
"""Name of the address where people are asked."""
_CHALLENGE = re.compile(rf"[A-Za-z0-9_-]{{{CHALLENGE_LENGTH}}}")


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # the library has no types
    """Authorization code, with PKCE by S256 alone."""

    _code_challenge_methods: Final = {"S256": code_challenge_method_s256}

    def create_authorization_code(self, request: Any) -> dict[str, str]:
        """Return a code of ours, and the state that came with the request."""
        state = {"state": request.state} if request.state else {}
        return {"code": new_code(), **state}


class Server(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint):  # type: ignore[misc]
    """Authorization code, refresh and client credentials; no implicit grant, no passwords."""

    def __init__(
        self,
        request_validator: Any,
        token_expires_in: int | None = None,
        token_generator: Any = None,
        refresh_token_generator: Any = None,
        **_of_other_grants: Any,
    ) -> None:
        """Join the grants; the parameters are the library's."""
        code = CodeGrant(request_validator, pre_auth=[require_a_real_challenge])
        bearer = BearerToken(
            request_validator, token_generator, token_expires_in, refresh_token_generator
        )
        AuthorizationEndpoint.__init__(
            self,
            default_response_type="code",
            response_types={"code": code},
            default_token_type=bearer,
        )
        TokenEndpoint.__init__(
            self,
            default_grant_type="authorization_code",
            grant_types={
                "authorization_code": code,
                "client_credentials": ClientCredentialsGrant(request_validator),
                "refresh_token": RefreshTokenGrant(request_validator),
            },
            default_token_type=bearer,
        )
        RevocationEndpoint.__init__(self, request_validator)


class Core(OAuthLibCore):  # type: ignore[misc]  # the library has no types
    """What turns Django's requests into the library's."""

    def extract_body(self, request: Any) -> list[tuple[str, str]]:
        """Return the form; where people are asked, nothing: what they saw stands in the query."""
        if request.resolver_match is not None and request.resolver_match.url_name == AUTHORIZE:
            return []
        fields: list[tuple[str, str]] = super().extract_body(request)
        return fields


def require_a_real_challenge(request: Any) -> dict[str, str]:
    """Refuse a challenge that no S256 can have made.

    :raises InvalidRequestError: which goes back to the client.
    """
    challenge = request.code_challenge
    if challenge is not None and not _CHALLENGE.fullmatch(challenge):
        raise InvalidRequestError(
            description="code_challenge must be the S256 of a verifier.", request=request
        )
    return {}
