"""Who calls."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.models import User
from accounts.passwords.changing import require_password
from accounts.throttling import Rule, client_of, spend
from common.access import Identity, UserNeeded
from common.errors import PolystoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


class SessionNeeded(PolystoreError):
    """A token called what only a person at a browser may do."""

    code, status, title = "accounts.session_needed", 403, "Sign in for this"
    remedy = "Sign in with a password; tokens may not change or export a whole account."


class PasswordWeak(PolystoreError):
    """The new password is too easy to guess."""

    code, status, title = "accounts.password_weak", 422, "The password is too easy to guess"
    remedy = "Choose another one: `errors` says what is wrong with it."


def user_of(request: HttpRequest) -> User:
    """Return the user who calls.

    :raises common.access.UserNeeded: for a machine that acts as nobody.
    """
    identity: Identity = request.auth  # type: ignore[attr-defined]  # ninja's
    if not isinstance(identity.user, User):
        raise UserNeeded
    return identity.user


def person_of(request: HttpRequest) -> User:
    """Return the user who calls from a session.

    :raises SessionNeeded: for a token.
    """
    identity: Identity = request.auth  # type: ignore[attr-defined]  # ninja's
    if identity.by != "session":
        raise SessionNeeded
    return user_of(request)


def proved(request: HttpRequest, password: str) -> User:
    """Return the user who calls from a session and knows the password, which counts as a try.

    :raises SessionNeeded: for a token.
    :raises accounts.passwords.changing.PasswordWrong: for another password.
    :raises accounts.throttling.TooManyAttempts: 429.
    """
    user = person_of(request)
    spent = spend(Rule.PASSWORD, client=client_of(request), account=user.pk)
    require_password(user, password)
    spent.give_back()
    return user


@contextmanager
def weak_passwords_are_problems(field: str) -> Iterator[None]:
    """Turn what Django's validators say into a problem document that names the field.

    :raises PasswordWeak: where they object.
    """
    try:
        yield
    except ValidationError as error:
        faults: list[dict[str, Any]] = [
            {
                "location": ["body", field],
                "message": " ".join(one.messages),
                "code": one.code or "invalid",
            }
            for one in error.error_list
        ]
        said = " ".join(str(fault["message"]) for fault in faults)
        raise PasswordWeak(said, errors=faults) from None
