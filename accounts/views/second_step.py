"""Forms of the second step, for allauth's pages: they ask, and `accounts.second_step` judges."""

from __future__ import annotations

from typing import Any

from allauth.core import context
from allauth.mfa.base import forms as base_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.forms import GenerateRecoveryCodesForm
from allauth.mfa.stages import AuthenticateStage
from allauth.mfa.totp.forms import DeactivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, generate_totp_secret
from django import forms
from django.forms import ValidationError

from accounts.models import User
from accounts.second_step.checking import CodeRefused, check, period_of
from accounts.second_step.sealing import seal, unseal
from accounts.throttling import Rule, client_of, spend

WRONG = "This code is not valid. Wait for the next one of your app, and type it in at once."
LONGEST = 20


def _code_field(label: str = "Code", help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=help_text,
        max_length=LONGEST,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}
        ),
    )


def _checked(user: User, code: str) -> Authenticator:
    """Return what the code is of.

    :raises TooManyAttempts: which becomes a page with Retry-After.
    """
    try:
        return check(user=user, code=code, client=client_of(context.request))
    except CodeRefused:
        raise ValidationError(WRONG, code="incorrect_code") from None


class CodeStage(AuthenticateStage):  # type: ignore[misc]  # not typed
    """Where signing in stops until the code comes. No address waits in the session with it."""

    def handle(self) -> Any:
        """Forget the address, which nothing asks for behind this, and ask for the code."""
        self.login.email = None
        return super().handle()


class _OwnCode(forms.Form):
    """A code of the user who has a second step: the app's, or a recovery code."""

    code = _code_field(help_text="Of your app, or one of your recovery codes.")

    def clean_code(self) -> str:
        """Use the code up."""
        code: str = self.cleaned_data["code"]
        self.authenticator = _checked(self.user, code)  # type: ignore[attr-defined]  # the form's
        return code


class AuthenticateForm(_OwnCode, base_forms.AuthenticateForm):  # type: ignore[misc]  # not typed
    """The second step of signing in."""


class ReauthenticateForm(_OwnCode, base_forms.ReauthenticateForm):  # type: ignore[misc]  # not typed
    """The same, of whoever is signed in already."""


class ActivateForm(forms.Form):
    """The first code of a new app. Until it comes, its secret stands sealed in the session."""

    code = _code_field("Code that your app shows")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a secret, or take the one that the page showed."""
        self.user: User = kwargs.pop("user")
        super().__init__(*args, **kwargs)
        session = context.request.session
        if not self.is_bound or SECRET_SESSION_KEY not in session:
            session[SECRET_SESSION_KEY] = seal(generate_totp_secret())
        self.secret = unseal(session[SECRET_SESSION_KEY])

    def clean_code(self) -> str:
        """Compare the code with the secret's; tries are counted."""
        code = "".join(self.cleaned_data["code"].split())
        spent = spend(Rule.CODE, client=client_of(context.request), account=self.user.pk)
        if period_of(self.secret, code, after=0) is None:
            raise ValidationError(WRONG, code="incorrect_code")
        spent.give_back()
        return code


class DeactivateForm(DeactivateTOTPForm):  # type: ignore[misc]  # not typed
    """A code, for whoever found an open session and knows the password must not remove the app."""

    # The view fills the form in before anybody has sent it, so that the field cannot be required.
    code = _code_field(help_text="Of your app, or one of your recovery codes.")
    code.required = False

    def clean(self) -> Any:
        """Use the code up when the form is sent."""
        cleaned = super().clean()
        self.fields["code"].required = True
        if context.request.method == "POST":
            code = self.cleaned_data.get("code", "")
            if not code:
                self.add_error("code", "Type in a code.")
            elif not self.errors:
                try:
                    _checked(self.authenticator.user, code)
                except ValidationError as wrong:
                    self.add_error("code", wrong)
        return cleaned


class NewCodesForm(_OwnCode, GenerateRecoveryCodesForm):  # type: ignore[misc]  # not typed
    """A code, for the same reason."""
