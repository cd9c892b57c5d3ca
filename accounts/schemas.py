"""What goes over the wire."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from pydantic import AfterValidator, Field, StringConstraints

from common.schemas import AnswerSchema, WireSchema

LONGEST_PASSWORD = 256


def _an_address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError("is no e-mail address") from None
    return text


Address = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=254),
    AfterValidator(_an_address),
    Field(json_schema_extra={"format": "email"}),
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PASSWORD)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=150)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class RegisterBody(WireSchema):
    """A new account."""

    email: Address
    password: Password
    first_name: Name = ""
    last_name: Name = ""


class LoginBody(WireSchema):
    """Who signs in."""

    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=254)]
    password: Password
    code: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20)] = ""
    """Of the app or a recovery code, where the account asks for one."""


class AddressBody(WireSchema):
    """Where a letter is to go."""

    email: Address


class TokenBody(WireSchema):
    """What stood in a letter's link."""

    token: Token


class ResetBody(TokenBody):
    """A new password, by a letter."""

    new_password: Password


class ChangePasswordBody(WireSchema):
    """Another password."""

    current_password: Password
    new_password: Password


class ChangeAddressBody(WireSchema):
    """Another address."""

    email: Address
    password: Password


class PasswordBody(WireSchema):
    """Proof that it is oneself."""

    password: Password


class CsrfAnswer(AnswerSchema):
    """What browsers send along in X-CSRFToken."""

    csrf_token: str


class SentAnswer(AnswerSchema):
    """The same for every address, whether it is known or not."""

    detail: str


class MeAnswer(AnswerSchema):
    """Oneself."""

    id: UUID
    email: str
    first_name: str
    last_name: str
    name: str
    is_staff: bool
    date_joined: dt.datetime


class MeChange(WireSchema):
    """What people change of themselves; what is left out stays."""

    first_name: Name | None = None
    last_name: Name | None = None


class UserAnswer(AnswerSchema):
    """What anybody who is signed in may know of a user."""

    id: UUID
    name: str
    is_active: bool


class StaffUserAnswer(MeAnswer):
    """What operators see of a user."""

    is_active: bool
    is_superuser: bool
    last_login: dt.datetime | None
    updated_at: dt.datetime


class UsersQuery(WireSchema):
    """Which users."""

    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = Field(
        "", description="Part of an address or a name."
    )
    active: bool | None = None
    cursor: str | None = Field(None, max_length=1000, description="`next` or `previous` of a page.")
    limit: int = Field(50, ge=1, le=200)


class NewUserBody(WireSchema):
    """A user whom an operator makes; the operator vouches for the address."""

    email: Address
    password: Password | None = Field(
        None, description="Without one, the user sets one by the letter of a reset."
    )
    first_name: Name = ""
    last_name: Name = ""


class UserChange(WireSchema):
    """What operators change of a user; what is left out stays."""

    email: Address | None = None
    first_name: Name | None = None
    last_name: Name | None = None
