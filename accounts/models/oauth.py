"""Who may ask for tokens, what people allowed them, and the tokens: as checksums, never values."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from oauthlib.oauth2 import MissingRedirectURIError

from accounts.models.redirects import refuse_redirect_uri, scheme_of
from common.ids import uuid7

CHECKSUM_LENGTH: Final = 64
CHALLENGE_LENGTH: Final = 43
"""Characters of an S256 challenge: 256 bits in base64url without padding."""


def checksum_of(value: str) -> str:
    """Return what is kept of a secret: its SHA-256, in hexadecimal.

    Secrets here are 256 random bits, so that nothing is gained by a slow hash with a salt.
    """
    return hashlib.sha256(value.encode()).hexdigest()


def new_client_id() -> str:
    """Return a random public name of a client."""
    return secrets.token_hex(16)


def _scopes(**options: Any) -> ArrayField[Any, Any]:
    return ArrayField(models.CharField(max_length=40), **options)


class ClientType(models.TextChoices):
    """Whether a client can keep a secret; the values are the library's."""

    CONFIDENTIAL = "confidential", "Confidential: a server that keeps a secret"
    PUBLIC = "public", "Public: an app or a page in people's hands, without a secret"


class Flow(models.TextChoices):
    """How a client comes to tokens; the values are the library's."""

    CODE = "authorization-code", "Authorization code: people allow it"
    CLIENT = "client-credentials", "Client credentials: it acts by itself"


class Client(models.Model):
    """A program that may ask for tokens, as the library's "application"."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    name = models.CharField(max_length=100, help_text="People read it when they are asked.")
    client_id = models.CharField(
        "client id", max_length=100, unique=True, default=new_client_id, editable=False
    )
    client_secret = models.CharField(
        max_length=CHECKSUM_LENGTH, blank=True, default="", editable=False
    )
    """Checksum of the secret; empty for public clients, which have none."""
    client_type = models.CharField(
        max_length=12, choices=ClientType, default=ClientType.CONFIDENTIAL
    )
    authorization_grant_type = models.CharField(
        "how it gets tokens", max_length=20, choices=Flow, default=Flow.CODE
    )
    redirect_uris = models.TextField(
        "redirect addresses",
        blank=True,
        default="",
        help_text="One a line. A request must name one of them, character for character.",
    )
    scopes = _scopes(help_text="The most that it may ask for.")
    may_introspect = models.BooleanField(
        default=False, help_text="May ask whether anybody's token is valid (/o/introspect)."
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="clients",
        verbose_name="acts as",
        help_text="Only for client credentials: whose rights it has. It is deleted with the user.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Clear this to end all of its tokens at once."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(client_type="public", client_secret="")
                | (Q(client_type="confidential") & ~Q(client_secret="")),
                name="accounts_client_secret_if_confidential",
            ),
            models.CheckConstraint(
                condition=~Q(authorization_grant_type="client-credentials", client_type="public"),
                name="accounts_client_credentials_need_a_secret",
                violation_error_message="A public client has no credentials: choose confidential.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse redirect addresses that a code must not be sent to.

        :raises ValidationError: naming each fault.
        """
        addresses = self.redirect_uris.split()
        if self.authorization_grant_type == Flow.CODE and not addresses:
            raise ValidationError({"redirect_uris": "Name at least one address."})
        faults = [fault for address in addresses if (fault := refuse_redirect_uri(address))]
        if faults:
            raise ValidationError({"redirect_uris": faults})
        if self.user_id and self.authorization_grant_type != Flow.CLIENT:
            raise ValidationError({"user": "Only client credentials act as one user."})

    # What the library asks an application.

    @property
    def default_redirect_uri(self) -> str:
        """The only redirect address. Raises the library's error where there is not exactly one."""
        addresses = self.redirect_uris.split()
        if len(addresses) != 1:
            raise MissingRedirectURIError
        return addresses[0]

    def redirect_uri_allowed(self, uri: str) -> bool:
        """Tell whether `uri` is registered: compared as text, not by its meaning."""
        return uri in self.redirect_uris.split()

    def get_allowed_schemes(self) -> list[str]:
        """Return the schemes of the registered addresses."""
        return sorted({scheme_of(address) for address in self.redirect_uris.split()})

    def allows_grant_type(self, *grant_types: str) -> bool:
        """Tell whether the client uses one of these flows."""
        return self.authorization_grant_type in grant_types

    def is_usable(self, request: object) -> bool:
        """Tell whether it may be served at all."""
        return self.is_active

    def origin_allowed(self, origin: str) -> bool:
        """Say no: browsers of other sites do not call the token endpoint."""
        return False


class EndReason(models.TextChoices):
    """Why an authorization ended before its tokens expired."""

    REVOKED = "revoked", "Ended by a person or the client"
    CODE_REUSED = "code reused", "Its code was presented twice"
    REFRESH_REUSED = "refresh token reused", "A refresh token was presented twice"


class Authorization(models.Model):
    """What somebody allowed a client. Its code and all its tokens live and die with this row.

    Whoever issues, uses up or ends anything of it locks the row first.
    """

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="authorizations")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="authorizations",
    )
    """Who allowed it; nobody for client credentials."""
    scopes = _scopes()
    credentials = models.CharField(max_length=CHECKSUM_LENGTH)
    """Checksum of the stored password hash, or of the client's stored secret, when it was given.
    Whoever changes either, by whatever way, ends it."""
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=24, choices=EndReason, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(revoked_at=None, reason="")
                | (Q(revoked_at__isnull=False) & ~Q(reason="")),
                name="accounts_authorization_end_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["revoked_at"],
                condition=Q(revoked_at__isnull=False),
                name="accounts_authorization_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"Authorization {self.pk}"


class _Secret(models.Model):
    """A value that was given out once and is known by its checksum alone."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    checksum = models.CharField(max_length=CHECKSUM_LENGTH, unique=True)
    authorization = models.ForeignKey(
        Authorization, on_delete=models.CASCADE, related_name="%(class)ss"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}".capitalize()

    def is_expired(self, at: datetime) -> bool:
        """Tell whether its time is over."""
        return at >= self.expires_at


class AuthorizationCode(_Secret):
    """What a client swaps for its first tokens, once."""

    redirect_uri = models.TextField()
    code_challenge = models.CharField(max_length=CHALLENGE_LENGTH, blank=True, default="")
    """S256; empty where a confidential client sent none."""
    used_at = models.DateTimeField(null=True, blank=True)


class AccessToken(_Secret):
    """What a client shows with each request."""

    scopes = _scopes()


class RefreshToken(_Secret):
    """What a client swaps for its next tokens, once."""

    used_at = models.DateTimeField(null=True, blank=True)
