"""What allauth's pages do, done by our services: one behaviour for pages and the API."""

from __future__ import annotations

from typing import Any

import qrcode
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from qrcode.image.svg import SvgPathImage

from accounts.mailing.queueing import queue_mail
from accounts.models import PendingMail, User
from accounts.registration.confirming import confirm, is_confirmed, send_again
from accounts.second_step.sealing import seal, unseal
from accounts.sign_in.trying import try_password
from accounts.throttling import Rule, client_of, origin_of, spend
from databases.transactions import atomic_for


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """allauth's decisions, as ours."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "There is no account with this address and password.",
    }

    def get_login_stages(self) -> list[str]:
        """Return what signing in goes through, with our stage for the code."""
        ours = {"allauth.mfa.stages.AuthenticateStage": "accounts.views.second_step.CodeStage"}
        return [ours.get(stage, stage) for stage in super().get_login_stages()]

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Try a password, as the API does.

        :raises TooManyAttempts: which becomes a page with Retry-After.
        """
        return try_password(
            request, email=credentials.get("email", ""), password=credentials.get("password", "")
        )

    def reauthenticate(self, user: Any, password: str) -> bool:
        """Tell whether the password is the user's, who is signed in already."""
        spent = spend(Rule.PASSWORD, client=client_of(context.request), account=user.pk)
        if not user.check_password(password):
            return False
        spent.give_back()
        return True

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        """Take over addresses that operators vouch for, before allauth asks whether it may."""
        _forget_address(request)
        is_confirmed(user)
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def login(self, request: HttpRequest, user: Any) -> None:
        """Sign in; the session keeps how somebody proved to be it, and no address."""
        super().login(request, user)
        _forget_address(request)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Confirm an address whose link was opened, once."""
        done = confirm(email_address.pk, client=client_of(request))
        if done:
            messages.success(request, f"{email_address.email} is confirmed. You can sign in now.")
        return done

    def send_confirmation_mail(
        self,
        request: HttpRequest,
        emailconfirmation: Any,
        signup: bool,  # noqa: FBT001 - allauth's signature
    ) -> None:
        """Have the workers send the letter."""
        address = emailconfirmation.email_address.email
        spend(Rule.MAIL, client=client_of(request), account=address)
        send_again(address=address, origin=origin_of(request))

    def send_account_already_exists_mail(self, email: str) -> None:
        """Have the workers tell the owner; reached by social sign-ups alone."""
        request = context.request
        spend(Rule.MAIL, client=client_of(request), account=email)
        with atomic_for("accounts"):
            queue_mail(
                kind=PendingMail.Kind.SIGN_UP, address=email.lower(), origin=origin_of(request)
            )

    def get_email_verification_redirect_url(self, email_address: EmailAddress) -> str:
        """Lead to where the person goes on."""
        signed_in = self.request.user.is_authenticated
        return resolve_url(settings.LOGIN_REDIRECT_URL if signed_in else settings.LOGIN_URL)


def _forget_address(request: HttpRequest) -> None:
    proofs = request.session.get(AUTHENTICATION_METHODS_SESSION_KEY, [])
    request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {key: value for key, value in proof.items() if key != "email"} for proof in proofs
    ]


class SecondStepAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is not typed
    """The second step: secrets are sealed, and the picture of one needs no style of its own."""

    def encrypt(self, text: str) -> str:
        """Seal a secret before it is stored."""
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Open it."""
        return unseal(encrypted_text)

    def build_totp_svg(self, url: str) -> str:
        """Return the QR code as a part of the page: an image's data would not be of this site."""
        drawn: str = qrcode.make(url, image_factory=SvgPathImage).to_string(encoding="unicode")
        return drawn


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # not typed
    """Other sites to sign in through."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Return those whose keys the settings hold, so that the sign-in page asks no database."""
        providers: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS
        return [
            SocialApp(provider=name, **keys)
            for name, of in providers.items()
            for keys in of["APPS"]
            if provider in {None, name} and client_id in {None, keys["client_id"]}
        ]
