"""What workers do for accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounts.mailing.delivery import forget_old_mail
from accounts.registration.registering import remove_unconfirmed
from accounts.sessions import services


@shared_task(name="accounts.clear_expired_sessions", ignore_result=True)
def clear_expired_sessions(**_later_arguments: Any) -> None:
    """Delete the rows of sessions that have expired."""
    services.clear_expired_sessions()


@shared_task(name="accounts.clear_unconfirmed", ignore_result=True)
def clear_unconfirmed(**_later_arguments: Any) -> None:
    """Remove accounts that nobody confirmed, and letters that no mail server took."""
    at = timezone.now()
    remove_unconfirmed(older_than=timedelta(days=settings.UNCONFIRMED_ACCOUNT_DAYS), at=at)
    forget_old_mail(at=at)
