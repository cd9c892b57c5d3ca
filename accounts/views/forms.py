"""The forms of accounts. They ask; the services do, and say what is refused."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.core import context
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.models import User
from accounts.passwords.changing import PasswordWrong, change_password, require_password
from accounts.passwords.resetting import ask_reset, reset_password
from accounts.registration.registering import register
from accounts.throttling import Rule, client_of, origin_of, spend

LONGEST_PASSWORD = 256


class SignInForm(allauth_forms.LoginForm):  # type: ignore[misc]  # allauth is not typed
    """Address and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Name the fields as elsewhere."""
        super().__init__(*args, **kwargs)
        _name_the_address(self, "login")
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        password = self.fields["password"]
        password.help_text = ""
        password.max_length = LONGEST_PASSWORD
        password.widget.attrs.pop("placeholder", None)


class SignUpForm(allauth_forms.SignupForm):  # type: ignore[misc]  # allauth is not typed
    """A new account. Whether the address is taken, only its owner learns."""

    first_name = forms.CharField(
        label="First name", max_length=150, required=False,
        widget=forms.TextInput(attrs={"autocomplete": "given-name"}),
    )  # fmt: skip
    last_name = forms.CharField(
        label="Last name", max_length=150, required=False,
        widget=forms.TextInput(attrs={"autocomplete": "family-name"}),
    )  # fmt: skip
    field_order = ["email", "password1", "first_name", "last_name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what a password needs in one sentence."""
        super().__init__(*args, **kwargs)
        _name_the_address(self, "email")
        self.fields["password1"].max_length = LONGEST_PASSWORD
        _say_what_it_needs(self)

    def clean_email(self) -> str:
        """Return the address; nobody looks whether it is taken."""
        return str(self.cleaned_data["email"]).lower()

    def try_save(self, request: HttpRequest) -> tuple[None, HttpResponse]:
        """Sign up, and lead to the page that says what comes next."""
        email = self.cleaned_data["email"]
        spend(Rule.REGISTER, client=client_of(request), account=email)
        register(
            email=email,
            password=self.cleaned_data["password1"],
            first_name=self.cleaned_data["first_name"],
            last_name=self.cleaned_data["last_name"],
            origin=origin_of(request),
            client=client_of(request),
        )
        return None, redirect("account_email_verification_sent")


class AskResetForm(allauth_forms.ResetPasswordForm):  # type: ignore[misc]  # allauth is not typed
    """Where the link to a new password goes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Name the field as elsewhere."""
        super().__init__(*args, **kwargs)
        _name_the_address(self, "email")

    def clean_email(self) -> str:
        """Return the address; nobody looks whether it has an account."""
        return str(self.cleaned_data["email"]).lower()

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """Have the letter sent, where there is an account."""
        email: str = self.cleaned_data["email"]
        spend(Rule.MAIL, client=client_of(request), account=email)
        ask_reset(address=email, origin=origin_of(request))
        return email


class TokenForm(allauth_forms.UserTokenForm):  # type: ignore[misc]  # allauth is not typed
    """The token of a link, which nobody may guess at."""

    def clean(self) -> Any:
        """Count the try before the token is looked at."""
        spend(Rule.TOKEN, client=client_of(context.request), account=self.data.get("uidb36", ""))
        return super().clean()


class ResetForm(allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]  # allauth is not typed
    """A new password, by a link."""

    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what a password needs."""
        super().__init__(*args, **kwargs)
        _say_what_it_needs(self)

    def save(self) -> None:
        """Set it, unless the link was used in the meantime."""
        request = context.request
        self.user = reset_password(
            token=f"{self.user.pk.hex}-{self.temp_key}",
            new_password=self.cleaned_data["password1"],
            origin=origin_of(request),
            client=client_of(request),
        )


class ChangePasswordForm(allauth_forms.ChangePasswordForm):  # type: ignore[misc]  # not typed
    """Another password, by somebody who knows the present one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what a password needs."""
        super().__init__(*args, **kwargs)
        self.fields["oldpassword"].help_text = ""
        _say_what_it_needs(self)

    def clean_oldpassword(self) -> str:
        """Try the present password, which counts."""
        return tried(self.user, self.cleaned_data["oldpassword"])

    def save(self) -> None:
        """Change it."""
        _change(self.user, self.cleaned_data["password1"])


class SetPasswordForm(allauth_forms.SetPasswordForm):  # type: ignore[misc]  # allauth is not typed
    """A first password, for somebody who signed up through another site."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what a password needs."""
        super().__init__(*args, **kwargs)
        _say_what_it_needs(self)

    def save(self) -> None:
        """Set it."""
        _change(self.user, self.cleaned_data["password1"])


class ProfileForm(forms.ModelForm[User]):
    """What others see."""

    class Meta:
        model = User
        fields = ("first_name", "last_name")


class PasswordForm(forms.Form):
    """Asks for the present password, before what cannot be taken back."""

    password = forms.CharField(
        label="Your password",
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Ask `user`; one without a password, who signs in through another site, is not asked."""
        super().__init__(*args, **kwargs)
        self.user = user
        if not user.has_usable_password():
            del self.fields["password"]

    def clean_password(self) -> str:
        """Try it, which counts."""
        return tried(self.user, self.cleaned_data["password"])


class AddressForm(PasswordForm):
    """Another address."""

    address = forms.EmailField(
        label="New e-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ["address", "password"]


class LeaveForm(PasswordForm):
    """The end of an account."""

    sure = forms.BooleanField(label="I know that this cannot be taken back.")
    field_order = ["password", "sure"]


PASSWORD_HELP = "At least 8 characters, and neither common nor all digits."


def tried(user: User, password: str) -> str:
    """Return the password where it is the user's; counts as a try unless it is."""
    spent = spend(Rule.PASSWORD, client=client_of(context.request), account=user.pk)
    try:
        require_password(user, password)
    except PasswordWrong as wrong:
        raise forms.ValidationError(wrong.detail) from None
    spent.give_back()
    return password


def _change(user: User, password: str) -> None:
    request = context.request
    change_password(
        user=user,
        new_password=password,
        origin=origin_of(request),
        client=client_of(request),
    )


def _name_the_address(form: forms.Form, name: str) -> None:
    form.fields[name].label = "E-mail address"
    form.fields[name].widget.attrs.pop("placeholder", None)


def _say_what_it_needs(form: forms.Form) -> None:
    form.fields["password1"].help_text = PASSWORD_HELP
    for name in ("password1", "password2"):
        if name in form.fields:
            form.fields[name].widget.attrs.pop("placeholder", None)
