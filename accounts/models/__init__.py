"""What accounts keeps. The rows live in the primary and are never read from a replica."""

from accounts.models.leaving import Leaving, LeavingStep
from accounts.models.mail import PendingMail
from accounts.models.sessions import Session
from accounts.models.users import User

__all__ = ["Leaving", "LeavingStep", "PendingMail", "Session", "User"]
