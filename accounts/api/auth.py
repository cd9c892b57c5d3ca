"""Signing up, in and out, addresses and passwords, for programs and pages that speak JSON."""

from __future__ import annotations

from django.contrib.auth import logout as end_session
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest
from django.middleware.csrf import get_token
from ninja import Router, Status

from accounts.api.caller import proved, weak_passwords_are_problems
from accounts.models import User
from accounts.passwords.changing import change_password
from accounts.passwords.resetting import ask_reset, reset_password
from accounts.registration.confirming import change_address, confirm_by_token, send_again
from accounts.registration.registering import register
from accounts.schemas import (
    AddressBody,
    ChangeAddressBody,
    ChangePasswordBody,
    CsrfAnswer,
    LoginBody,
    MeAnswer,
    RegisterBody,
    ResetBody,
    SentAnswer,
    TokenBody,
)
from accounts.sign_in.trying import sign_in
from accounts.throttling import Rule, client_of, origin_of, spend
from common.access import public, signed_in
from common.csrf import require_csrf

router = Router()
SIGNED_UP = {"detail": "A letter is on its way. Open the link in it, then sign in."}
SENT = {"detail": "If there is an account for this address, a letter is on its way."}


@router.get("/csrf", response=CsrfAnswer, summary="The token that changes need")
@public
def get_csrf_token(request: HttpRequest) -> dict[str, str]:
    """Set the cookie `csrftoken` and answer with what belongs in the header X-CSRFToken."""
    return {"csrf_token": get_token(request)}


@router.post("/register", response={202: SentAnswer}, summary="Sign up")
@public
def sign_up(request: HttpRequest, body: RegisterBody) -> Status[dict[str, str]]:
    """Make an account, which signs in once its address is confirmed.

    The answer is the same where the address is taken; then its owner gets a letter that says so.
    """
    client = client_of(request)
    spend(Rule.REGISTER, client=client, account=body.email)
    with weak_passwords_are_problems("password"):
        register(
            email=body.email,
            password=body.password,
            first_name=body.first_name,
            last_name=body.last_name,
            origin=origin_of(request),
            client=client,
        )
    return Status(202, SIGNED_UP)


@router.post("/verify-email", response={204: None}, summary="Confirm an address")
@public
def verify_email(request: HttpRequest, body: TokenBody) -> Status[None]:
    """Confirm the address that the letter with this token went to. Each token works once."""
    spend(Rule.TOKEN, client=client_of(request))
    confirm_by_token(body.token, client=client_of(request))
    return Status(204, None)


@router.post(
    "/verify-email/resend", response={202: SentAnswer}, summary="Send the confirmation again"
)
@public
def resend_verification(request: HttpRequest, body: AddressBody) -> Status[dict[str, str]]:
    """Send the letter again, where the address waits for its confirmation."""
    spend(Rule.MAIL, client=client_of(request), account=body.email)
    send_again(address=body.email, origin=origin_of(request))
    return Status(202, SENT)


@router.post("/login", response=MeAnswer, summary="Sign in")
@public
def log_in(request: HttpRequest, body: LoginBody) -> User:
    """Begin a session, which the cookie stands for. Needs the token of `/api/auth/csrf`.

    An account with a second step answers 401 `accounts.code_needed`: send the same with `code`.
    """
    require_csrf(request)
    return sign_in(
        request,
        email=body.email,
        password=body.password,
        origin=origin_of(request),
        code=body.code,
    )


@router.post("/logout", response={204: None}, summary="Sign out")
@public
def log_out(request: HttpRequest) -> Status[None]:
    """End this session; nothing where there is none."""
    require_csrf(request)
    end_session(request)
    return Status(204, None)


@router.post("/password/change", response={204: None}, summary="Change your password")
@signed_in("users:write")
def change_own_password(request: HttpRequest, body: ChangePasswordBody) -> Status[None]:
    """Change the password; this session stays, every other one ends."""
    user = proved(request, body.current_password)
    with weak_passwords_are_problems("newPassword"):
        change_password(
            user=user,
            new_password=body.new_password,
            origin=origin_of(request),
            client=client_of(request),
        )
    update_session_auth_hash(request, user)
    return Status(204, None)


@router.post("/password/reset", response={202: SentAnswer}, summary="Forgot your password?")
@public
def ask_for_reset(request: HttpRequest, body: AddressBody) -> Status[dict[str, str]]:
    """Send a letter with a link to set a new password, where the address has an account."""
    spend(Rule.MAIL, client=client_of(request), account=body.email)
    ask_reset(address=body.email, origin=origin_of(request))
    return Status(202, SENT)


@router.post("/password/reset/confirm", response={204: None}, summary="Set a new password")
@public
def confirm_reset(request: HttpRequest, body: ResetBody) -> Status[None]:
    """Set a new password by a letter's token, once; every session ends."""
    spend(Rule.TOKEN, client=client_of(request), account=body.token.partition("-")[0])
    with weak_passwords_are_problems("newPassword"):
        reset_password(
            token=body.token,
            new_password=body.new_password,
            origin=origin_of(request),
            client=client_of(request),
        )
    return Status(204, None)


@router.post("/email/change", response={202: SentAnswer}, summary="Change your address")
@signed_in("users:write")
def change_own_address(request: HttpRequest, body: ChangeAddressBody) -> Status[dict[str, str]]:
    """Have a letter sent to the new address, which becomes yours when its link is opened."""
    user = proved(request, body.password)
    spend(Rule.MAIL, client=client_of(request), account=body.email)
    change_address(user=user, address=body.email, origin=origin_of(request))
    return Status(202, {"detail": "A letter is on its way to the new address."})
