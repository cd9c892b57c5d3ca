"""What the library asks of us while it walks through a request.

oauthlib knows the protocol, the toolkit knows Django; the rows, and what may be done with them, are
ours. The toolkit's own answers are kept for client authentication, grant and response types.
"""

from __future__ import annotations

import hmac
from typing import Any

from django.utils import timezone
from oauth2_provider.oauth2_validators import OAuth2Validator

from accounts.models import AccessToken, Authorization, Client, RefreshToken
from accounts.models.oauth import ClientType, EndReason, checksum_of
from accounts.oauth.policies import ClientScopes
from accounts.oauth.services import issuing


class Protocol(OAuth2Validator):  # type: ignore[misc]  # the library has no types
    """Looks codes and tokens up by checksum, and locks what it is about to use up."""

    # Clients

    def _load_application(self, client_id: str | None, request: Any) -> Client | None:
        if request.client is None or request.client.client_id != client_id:
            known = client_id and "\0" not in client_id
            rows = Client.objects.select_related("user").filter(client_id=client_id, is_active=True)
            request.client = rows.first() if known else None
        found: Client | None = request.client
        return found

    def _extract_basic_auth(self, request: Any) -> str | None:
        """Return the credentials of the header; base64 is ASCII, and the library fails on more."""
        found: str | None = super()._extract_basic_auth(request)
        return found if found and found.isascii() else None

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        """Compare checksums. Clients without a secret are never recognised by one."""
        return bool(stored_secret) and hmac.compare_digest(
            checksum_of(provided_secret), stored_secret
        )

    # Being asked

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Client, request: Any, *_: Any, **__: Any
    ) -> bool:
        """Tell whether something is asked for, and nothing beyond what the client may."""
        allowed = ClientScopes().get_available_scopes(client)
        return bool(scopes) and set(scopes) <= set(allowed)

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        """Tell whether a challenge must come: from those who keep no secret, always."""
        client = self._load_application(client_id, request)
        return client is None or client.client_type == ClientType.PUBLIC

    def save_authorization_code(
        self, client_id: str, code: dict[str, str], request: Any, *_: Any, **__: Any
    ) -> None:
        """Keep the code's checksum with what was allowed."""
        asked = issuing.Asked(
            client=request.client,
            user=request.user,
            scopes=request.scopes,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge or "",
        )
        issuing.issue_code(value=code["code"], asked=asked, at=timezone.now())

    # Swapping a code

    def validate_code(
        self, client_id: str, code: str, client: Client, request: Any, *_: Any, **__: Any
    ) -> bool:
        """Claim the code; a second time it ends what came of it.

        A verifier without a challenge is refused (RFC 9700, 4.8.2): somebody took the challenge
        out of the request.
        """
        found = issuing.claim_code(value=code, client=client, at=timezone.now())
        if found is None or (request.code_verifier and not found.code_challenge):
            return False
        request.claimed = found
        request.user = found.authorization.user
        request.scopes = list(found.authorization.scopes)
        return True

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        """Return the challenge of the claimed code."""
        return request.claimed.code_challenge or None

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        """Return the one method."""
        return "S256"

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Client, request: Any,
        *_: Any, **__: Any,
    ) -> bool:  # fmt: skip
        """Tell whether it is the address that the code was sent to."""
        return bool(request.claimed.redirect_uri == redirect_uri)

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Any, *_: Any, **__: Any
    ) -> None:
        """Do nothing: it was used up when its tokens were kept."""

    # Swapping a refresh token

    def validate_refresh_token(
        self, refresh_token: str, client: Client, request: Any, *_: Any, **__: Any
    ) -> bool:
        """Claim the refresh token; a second time it ends its family."""
        at = timezone.now()
        found = issuing.claim_refresh_token(value=refresh_token, client=client, at=at)
        if found is None:
            return False
        request.claimed = found
        request.user = found.authorization.user
        return True

    def get_original_scopes(
        self, refresh_token: str, request: Any, *_: Any, **__: Any
    ) -> list[str]:
        """Return what was allowed; a refresh may ask for less, never for more."""
        return list(request.claimed.authorization.scopes)

    # Giving out, and ending

    def save_bearer_token(self, token: dict[str, Any], request: Any, *_: Any, **__: Any) -> None:
        """Keep the checksums of what the client is about to be told."""
        at = timezone.now()
        if request.grant_type == "client_credentials":
            issuing.issue_to_client(client=request.client, tokens=token, at=at)
        else:
            issuing.swap(used=request.claimed, tokens=token, at=at)

    def revoke_token(
        self, token: str, token_type_hint: str | None, request: Any, *_: Any, **__: Any
    ) -> None:
        """End the authorization that the client's own token hangs on; others' are left alone."""
        checksum = checksum_of(token)
        hangs_on = [
            *AccessToken.objects.filter(checksum=checksum).values_list(
                "authorization_id", flat=True
            ),
            *RefreshToken.objects.filter(checksum=checksum).values_list(
                "authorization_id", flat=True
            ),
        ]
        for found in Authorization.objects.filter(client=request.client, pk__in=hangs_on):
            issuing.end(issuing.locked(found.pk), reason=EndReason.REVOKED, at=timezone.now())
