"""What happened to accounts, for those who record it. No secret and no address is in any event."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from outbox.recording import record_event
from outbox.registry import NobodySubscribed

ACCOUNT: Final = "account"
"""The aggregate type of everything that is told here: consumers subscribe to it. It is not `user`,
whose events have MongoDB show a user anew: a sign-in changes nothing that is shown."""
NOBODY_KNOWN: Final = "unknown"
"""The aggregate's id where somebody failed to sign in with an address that nobody has."""

SIGNED_UP: Final = "user.signed_up"
SIGNED_IN: Final = "user.signed_in"
SIGNED_OUT: Final = "user.signed_out"
SIGN_IN_FAILED: Final = "user.sign_in_failed"
EMAIL_VERIFIED: Final = "user.email_verified"
EMAIL_CHANGED: Final = "user.email_changed"
PASSWORD_CHANGED: Final = "user.password_changed"
PASSWORD_RESET: Final = "user.password_reset"
DEACTIVATED: Final = "user.deactivated"
REACTIVATED: Final = "user.reactivated"
DELETED: Final = "user.deleted"
EXPORTED: Final = "user.exported"
CODE_REFUSED: Final = "user.code_refused"
RECOVERY_CODE_USED: Final = "user.recovery_code_used"
SECOND_STEP_RESET: Final = "user.second_step_reset"
THROTTLED: Final = "user.throttled"


def tell(
    what: str,
    *,
    user_id: UUID | None,
    actor_id: UUID | None = None,
    client: str = "",
    **detail: Any,
) -> None:
    """Record that something happened to an account, in the open transaction of the primary.

    Nothing is recorded on a site where no app subscribed to `ACCOUNT`.

    :param what: one of the names above.
    :param user_id: whose account; None where nobody has it.
    :param actor_id: who did it, where it was somebody else (an operator).
    :param client: the address of the device, as far as it is known.
    :param detail: what else an auditor needs, as JSON values; never a secret or a mail address.
    :raises databases.transactions.NoTransaction: outside a transaction of the primary.
    """
    payload = {
        "client": client,
        "actor_id": str(actor_id or user_id) if actor_id or user_id else None,
        **detail,
    }
    try:
        record_event(
            aggregate_type=ACCOUNT,
            aggregate_id=user_id or NOBODY_KNOWN,
            event_type=what,
            payload=payload,
        )
    except NobodySubscribed:
        return


def fingerprint(text: str) -> str:
    """Return what stands for an address where it must not be written: the same for the same one.

    Keyed with SECRET_KEY, so that nobody tries out addresses on what was written down. Nothing
    that forms or databases take for the same address is told apart, or each way to write it would
    have tries of its own: letters in other forms (NFKD), and İ, which PostgreSQL makes a plain i.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    folded = "".join(sign for sign in plain if not unicodedata.combining(sign)).strip()
    return hmac.new(settings.SECRET_KEY.encode(), folded.encode(), hashlib.sha256).hexdigest()[:32]
