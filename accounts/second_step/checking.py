"""Whether somebody has a second step, and whether a code is theirs. Each code works once."""

from __future__ import annotations

import hmac
import time
from typing import Any, Final
from uuid import UUID

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts import events
from accounts.models import User
from accounts.second_step.sealing import unseal
from accounts.throttling import Rule, client_of, spend
from common.errors import PolystoreError
from databases.transactions import atomic_for

PERIOD: Final = 30
"""Seconds that an app shows a code."""
LAST: Final = "last"
"""In the data of a TOTP: the number of the period whose code was used last."""
METHOD: Final = "mfa"
"""What allauth calls this way to prove who one is."""


class CodeNeeded(PolystoreError):
    """The password is right, and the account asks for a code, too."""

    code, status, title = "accounts.code_needed", 401, "A code is needed"
    remedy = "Send the code of your app, or one of your recovery codes, as `code`."


class CodeRefused(PolystoreError):
    """The code is wrong, too old, or was used before."""

    code, status, title = "accounts.code_refused", 401, "The code is refused"
    remedy = "Wait for the next code of your app, or use a recovery code that you did not use yet."


def is_on(user_id: UUID) -> bool:
    """Tell whether this user signs in with a second step."""
    rows = Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.TOTP)
    return bool(rows.exists())


def check(*, user: User, code: str, client: str) -> Authenticator:
    """Return what the code is of: the app, or the recovery codes. It does not work again.

    Counts as a try unless it succeeds, and is told to the audit trail where it does not, or where
    it is a recovery code.

    :param client: the address of the device.
    :raises CodeRefused: 401.
    :raises TooManyAttempts: 429, for this device or this user.
    """
    spent = spend(Rule.CODE, client=client, account=user.pk)
    with spent.unless_a_store_is_away(), atomic_for("accounts"):
        found = _used(user.pk, "".join(code.split()))
        if found is None:
            events.tell(events.CODE_REFUSED, user_id=user.pk, client=client)
        elif found.type == Authenticator.Type.RECOVERY_CODES:
            left = len(RecoveryCodes(found).get_unused_codes())
            events.tell(events.RECOVERY_CODE_USED, user_id=user.pk, client=client, left=left)
    if found is None:
        raise CodeRefused("This code is not valid.")
    spent.give_back()
    return found


def prove(request: HttpRequest, *, user: User, code: str) -> None:
    """Have the request's session know that its user passed the second step just now.

    :raises CodeRefused: 401.
    :raises TooManyAttempts: 429.
    """
    note(request, user, check(user=user, code=code, client=client_of(request)))


def note(request: HttpRequest, user: User, authenticator: Authenticator) -> None:
    """Write into the session which authenticator its user had at hand."""
    record_authentication(
        request, user, METHOD, id=authenticator.pk, type=authenticator.type, reauthenticated=True
    )


def has_passed(request: HttpRequest) -> bool:
    """Tell whether the user of this session passed the second step in it."""
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == METHOD for record in records)


def current_period() -> int:
    """Return the number of the period that is running."""
    return int(time.time()) // PERIOD


def period_of(secret: str, code: str, *, after: int) -> int | None:
    """Return the period whose code this is, of those near now and behind `after`."""
    now, tolerance = current_period(), settings.MFA_TOTP_TOLERANCE
    for period in range(now - tolerance, now + tolerance + 1):
        expected = format_hotp_value(hotp_value(secret, period))
        if period > after and hmac.compare_digest(code.encode(), expected.encode()):
            return period
    return None


def _used(user_id: UUID, code: str) -> Authenticator | None:
    """Use the code up and return whose it is; of two that send it at once, one has it."""
    rows = Authenticator.objects.select_for_update().filter(user_id=user_id).order_by("pk")
    found = {row.type: row for row in rows}
    app = found.get(Authenticator.Type.TOTP)
    if app is None:
        return None
    if not _is_of_app(app, code):
        codes = found.get(Authenticator.Type.RECOVERY_CODES)
        if codes is None or not RecoveryCodes(codes).validate_code(code):
            return None
        app = Authenticator.objects.get(pk=codes.pk)
    app.last_used_at = timezone.now()
    app.save(update_fields=["last_used_at"])
    return app


def _is_of_app(app: Authenticator, code: str) -> bool:
    data: dict[str, Any] = app.data
    period = period_of(unseal(data["secret"]), code, after=data.get(LAST, 0))
    if period is None:
        return False
    data[LAST] = period
    app.save(update_fields=["data"])
    return True
