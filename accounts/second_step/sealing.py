"""Secrets of second steps, sealed: a copy of the database, or of a session, opens nothing."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from common.errors import PolystoreError

_PURPOSE: Final = b"polystore.2ndstp"


class SecretUnreadable(PolystoreError):
    """None of the keys opens a sealed secret."""

    code, status, title = "accounts.secret_unreadable", 500, "A second step cannot be read"
    remedy = "Put the former key back behind the others, or reset the second step of the person."


def seal(secret: str) -> str:
    """Return a secret as it may be stored."""
    return _box().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Return what was sealed, by whichever of the keys.

    :raises SecretUnreadable: where its key is gone, or it is none of ours.
    """
    try:
        return _box().decrypt(sealed.encode()).decode()
    except (InvalidToken, UnicodeError):
        raise SecretUnreadable("No key opens what is stored.") from None


def _box() -> MultiFernet:
    """Return what seals with the first key, and opens with all."""
    own: list[str] = settings.FIELD_ENCRYPTION_KEYS
    keys = own or [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    # The keys are random and long: what is left to do is to keep their uses apart.
    digest = hashlib.blake2b(key.encode(), digest_size=32, person=_PURPOSE).digest()
    return base64.urlsafe_b64encode(digest)
