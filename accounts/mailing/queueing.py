"""Ask for a letter, in the transaction that makes it due."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from accounts.models import PendingMail
from outbox.recording import record_event

MAIL: Final = "mail"
"""The aggregate type of letters."""


def queue_mail(
    *, kind: PendingMail.Kind, address: str, origin: str, user_id: UUID | None = None
) -> None:
    """Have the workers send a letter when the open transaction of the primary has committed.

    :param address: where it goes.
    :param origin: scheme and host of the links in it, from a request whose host was checked.
    :param user_id: whose account it is about, where whoever asks knows that.
    :raises databases.transactions.NoTransaction: outside a transaction of the primary.
    """
    mail = PendingMail.objects.create(kind=kind, address=address, origin=origin, user_id=user_id)
    record_event(aggregate_type=MAIL, aggregate_id=mail.pk, event_type="mail.queued")
