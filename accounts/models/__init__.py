"""What accounts keeps. The rows live in the primary and are never read from a replica."""

from accounts.models.leaving import Leaving, LeavingStep
from accounts.models.mail import PendingMail
from accounts.models.oauth import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    Client,
    RefreshToken,
)
from accounts.models.sessions import Session
from accounts.models.tokens import PersonalToken
from accounts.models.users import User

__all__ = [
    "AccessToken",
    "Authorization",
    "AuthorizationCode",
    "Client",
    "Leaving",
    "LeavingStep",
    "PendingMail",
    "PersonalToken",
    "RefreshToken",
    "Session",
    "User",
]
