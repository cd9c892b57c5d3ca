"""Try a password."""

from __future__ import annotations

from django.contrib.auth import authenticate, login
from django.http import HttpRequest

from accounts.models import User
from accounts.registration.confirming import is_confirmed, send_again
from accounts.second_step.checking import CodeNeeded, check, is_on, note
from accounts.throttling import Rule, client_of, spend
from common.errors import PolystoreError


class SignInRefused(PolystoreError):
    """No active account has this address and this password. Which of them is wrong, nobody says."""

    code, status, title = "accounts.sign_in_refused", 401, "Sign-in refused"
    remedy = "Check address and password; set a new password if you forgot it."


class AddressUnconfirmed(PolystoreError):
    """The password is right, and the address waits for its confirmation."""

    code, status, title = "accounts.address_unconfirmed", 403, "Confirm your address first"
    remedy = "Open the link in the letter that was just sent to your address."


def try_password(request: HttpRequest, *, email: str, password: str) -> User | None:
    """Return who has this address and password, or None. Counts as a try unless it succeeds.

    An unknown address costs a hash, too; a deactivated account is like an unknown one.

    :raises TooManyAttempts: for this device or this address, whether it has an account or not.
    """
    spent = spend(Rule.SIGN_IN, client=client_of(request), account=email)
    with spent.unless_a_store_is_away():
        user = authenticate(request, username=email, password=password)
    if user is None:
        return None
    spent.give_back()
    return user


def sign_in(
    request: HttpRequest, *, email: str, password: str, origin: str, code: str = ""
) -> User:
    """Sign somebody in on this device.

    :param origin: scheme and host for links in a letter.
    :param code: of the second step, for accounts that have one.
    :raises SignInRefused: 401, whatever is wrong.
    :raises AddressUnconfirmed: 403, for the right password; the letter is sent again.
    :raises accounts.second_step.checking.CodeNeeded: 401, for the right password without a code.
    :raises accounts.second_step.checking.CodeRefused: 401, for the right password.
    :raises TooManyAttempts: 429.
    """
    user = try_password(request, email=email, password=password)
    if user is None:
        raise SignInRefused("There is no account with this address and password.")
    if not is_confirmed(user):
        spend(Rule.MAIL, client=client_of(request), account=email)
        send_again(address=user.email, origin=origin)
        raise AddressUnconfirmed("Your address is not confirmed yet.")
    if not is_on(user.pk):
        login(request, user)
        return user
    if not code:
        raise CodeNeeded("This account asks for a code, too.")
    authenticator = check(user=user, code=code, client=client_of(request))
    login(request, user)
    note(request, user, authenticator)
    return user
