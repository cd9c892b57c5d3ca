"""The app on a person's phone, and what they do with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.test import Client

from accounts.models import User
from accounts.second_step.checking import current_period
from tests import secrets_watch
from tests.people import PASSWORD

ACTIVATE = "/account/2fa/totp/activate/"
DEACTIVATE = "/account/2fa/totp/deactivate/"
CODES = "/account/2fa/recovery-codes/"
NEW_CODES = "/account/2fa/recovery-codes/generate/"
AUTHENTICATE = "/account/2fa/authenticate/"
REAUTHENTICATE = "/account/2fa/reauthenticate/"
INDEX = "/account/2fa/"


@dataclass
class App:
    """An app that holds a secret. Its codes work once each, so each is that of a later period."""

    secret: str
    _given: int = field(default=-2)

    def code(self) -> str:
        """Return a code that was not used: of the last, this and the next period, three at most."""
        self._given += 1
        assert self._given <= 1, "No more codes are valid at the same time."
        return self.code_at(self._given)

    def code_at(self, offset: int) -> str:
        """Return the code of a period so far from now."""
        return format_hotp_value(hotp_value(self.secret, current_period() + offset))

    def wrong(self) -> str:
        """Return a code of no period that is near."""
        near = {self.code_at(offset) for offset in range(-2, 4)}
        return next(code for code in ("000000", "111111", *"23456789") if code not in near)


def with_app(user: User) -> tuple[App, list[str]]:
    """Give a user an app; return it with the recovery codes."""
    secret = generate_totp_secret()
    secrets_watch.used(secret)
    TOTP.activate(user, secret)
    return App(secret), RecoveryCodes.activate(user).get_unused_codes()


def proved(client: Client) -> Client:
    """Have somebody who is signed in type in the password once more."""
    answer = client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return client


def set_up(client: Client) -> tuple[App, list[str]]:
    """Set an app up on the pages, by whoever is signed in; return it with the recovery codes."""
    page = proved(client).get(ACTIVATE).content.decode()
    app = App(re.findall(r'class="secret">([A-Z2-7]{32})<', page)[0])
    secrets_watch.used(app.secret)
    answer = client.post(ACTIVATE, {"code": app.code_at(0)}, follow=True)
    assert answer.redirect_chain == [(CODES, 302)], answer.content
    codes = re.findall(r"<li>(\d{8})</li>", answer.content.decode())
    app._given = 0  # what set it up counts as used, and what was before it
    return app, codes


def of(user: User, kind: str = "totp") -> Any:
    """Return the row."""
    return Authenticator.objects.get(user=user, type=kind)
