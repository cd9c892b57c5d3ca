"""Clients: registered, changed and removed by operators. Their secrets are shown once."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any, Final

from django.db.models import QuerySet

from accounts.models import Client
from accounts.models.oauth import ClientType, checksum_of
from accounts.oauth import events
from databases.transactions import atomic_for

SECRET_PREFIX: Final = "pss_"
TOLD: Final = (
    "name", "client_type", "authorization_grant_type", "scopes", "may_introspect", "is_active",
)  # fmt: skip
"""What the audit trail is told of a client."""


def new_secret() -> str:
    """Return a random value."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def create_client(client: Client) -> str:
    """Save a new client.

    :param client: not saved yet, and valid.
    :returns: its secret, which nobody can read again; "" for public clients.
    """
    secret = new_secret() if client.client_type == ClientType.CONFIDENTIAL else ""
    client.client_secret = checksum_of(secret) if secret else ""
    with atomic_for("accounts"):
        client.save(force_insert=True)
        events.tell(events.CLIENT_CREATED, client.pk, _told(client))
    return secret


def change_client(client: Client) -> None:
    """Save what was changed. Tokens feel it with the next request."""
    with atomic_for("accounts"):
        client.save()
        events.tell(events.CLIENT_CHANGED, client.pk, _told(client))


def give_new_secret(client: Client, *, at: dt.datetime) -> str:
    """Replace the secret. Tokens that the client got for the old one end; people's stay.

    :returns: the new secret, which nobody can read again.
    :raises ValueError: for a public client, which has none.
    """
    if client.client_type != ClientType.CONFIDENTIAL:
        raise ValueError("A public client has no secret.")
    secret = new_secret()
    with atomic_for("accounts"):
        Client.objects.filter(pk=client.pk).update(client_secret=checksum_of(secret), updated_at=at)
        events.tell(events.CLIENT_SECRET_CHANGED, client.pk, _told(client))
    return secret


def delete_clients(clients: QuerySet[Client]) -> int:
    """Delete clients with all that people allowed them; return how many."""
    with atomic_for("accounts"):
        found = list(clients.select_for_update(of=("self",)))
        for client in found:
            events.tell(events.CLIENT_DELETED, client.pk, _told(client))
        Client.objects.filter(pk__in=[client.pk for client in found]).delete()
    return len(found)


def _told(client: Client) -> dict[str, Any]:
    acts_as = client.user_id
    return {
        "client_id": client.client_id,
        "acts_as": None if acts_as is None else str(acts_as),
        **{name: getattr(client, name) for name in TOLD},
    }
