"""What scopes mean, and who may have which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from oauth2_provider.scopes import BaseScopes

from accounts.models import Client
from common.access import Scope, known_scopes

DESCRIPTIONS: Final[dict[Scope, str]] = {
    Scope.USERS_READ: "See your profile and those of other people",
    Scope.USERS_WRITE: "Change your profile",
    Scope.MESSAGES_READ: "Read your messages",
    Scope.MESSAGES_WRITE: "Write messages in your name",
    Scope.TRACKER: "See and change your todos, timers, friends and reports",
    Scope.DOCUMENTS: "See and change your documents",
    Scope.CUSTOMERS: "See and change customers that you may see",
    Scope.ANALYTICS: "See figures that you may see",
    Scope.COMPLIANCE: "See filings and audit records that you may see",
    Scope.IMPORTS: "Import and export rows in your name",
    Scope.ZONES_READ: "Look up opportunity zones",
    Scope.ZONES_WRITE: "Refresh opportunity zones",
    Scope.OPERATIONS: "See how the site and its databases are doing",
    Scope.BACKUPS: "Start backups",
    Scope.ADMIN: "Administer the site, as far as you may",
}
"""For the person who is asked."""


class ClientScopes(BaseScopes):  # type: ignore[misc]  # the library has no types
    """Tells the library which scopes there are, and which a client may ask for."""

    def get_all_scopes(self) -> dict[str, str]:
        """Return every scope and what it means."""
        return {str(scope): text for scope, text in DESCRIPTIONS.items()}

    def get_available_scopes(
        self, application: Client | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """Return what this client may ask for; nothing where there is none."""
        return [] if application is None else list(application.scopes)

    def get_default_scopes(
        self, application: Client | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """Return nothing: whoever asks says what for."""
        return []


def described(names: Iterable[str]) -> Sequence[tuple[Scope, str]]:
    """Return these scopes with what they mean, in the order of the vocabulary."""
    wanted = known_scopes(names)
    return [(scope, text) for scope, text in DESCRIPTIONS.items() if scope in wanted]
