"""What is limited. How much, the settings say."""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """One thing that is limited; ACCOUNT_THROTTLES names the limits of each."""

    SIGN_IN = "sign_in"
    """Tries with a password, on pages and in the API."""
    ADMIN_SIGN_IN = "admin_sign_in"
    REGISTER = "register"
    MAIL = "mail"
    """Letters that somebody asks for without being signed in."""
    TOKEN = "token"
    """Tries with the token of a letter."""
    PASSWORD = "password"
    """Tries with the password of whoever is signed in already."""
    EXPORT = "export"
    CLIENT = "client"
    """Requests of OAuth clients that are refused, by whichever endpoint."""
    ISSUE = "issue"
    """Requests for OAuth tokens, and to revoke them, whether they succeed or not."""
    CODE = "code"
    """Tries with a code of the second step."""
    NEW_TOKEN = "new_token"
    """Personal tokens that somebody makes."""
