"""Send the letters that were asked for. Told by the outbox, again where the mail server refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from accounts.mailing.letters import letter_for
from accounts.mailing.queueing import MAIL
from accounts.models import PendingMail
from outbox.events import Event
from outbox.registry import Consumer, subscribe

OLDEST: Final = dt.timedelta(days=7)


def connect() -> None:
    """Have the outbox tell of letters that are due."""
    subscribe(
        Consumer(
            name="accounts.mail",
            app_label="accounts",
            aggregate_types=frozenset({MAIL}),
            handle=send,
        )
    )


def send(events: Sequence[Event]) -> None:
    """Send each letter and forget that it was due; one that was sent before is no more there.

    :raises OSError: (smtplib's errors are some) when the mail server does not take one.
    """
    for event in events:
        mail = PendingMail.objects.select_related("user").filter(pk=event.aggregate_id).first()
        if mail is None:
            continue
        letter = letter_for(mail)
        if letter is not None:
            letter.send()
        mail.delete()


def forget_old_mail(*, at: dt.datetime) -> int:
    """Delete what no mail server took in a week, addresses and all.

    :param at: now.
    :returns: how many.
    """
    deleted, _ = PendingMail.objects.filter(created_at__lt=at - OLDEST).delete()
    return deleted
