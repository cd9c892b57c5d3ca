"""What accounts keeps. The rows live in the primary and are never read from a replica."""

from accounts.models.oauth import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    Client,
    RefreshToken,
)
from accounts.models.tokens import PersonalToken
from accounts.models.users import User

__all__ = [
    "AccessToken",
    "Authorization",
    "AuthorizationCode",
    "Client",
    "PersonalToken",
    "RefreshToken",
    "User",
]
