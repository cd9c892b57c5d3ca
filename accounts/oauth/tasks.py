"""What beat starts for tokens."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from accounts.oauth.services.cleaning import remove_expired


@shared_task(name="accounts.remove_expired_tokens", ignore_result=True)
def remove_expired_tokens(**_later_arguments: Any) -> None:
    """Remove codes, tokens and authorizations that are over."""
    remove_expired(at=timezone.now())
