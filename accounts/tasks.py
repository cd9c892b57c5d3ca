"""What workers do for accounts."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from accounts.sessions import services


@shared_task(name="accounts.clear_expired_sessions", ignore_result=True)
def clear_expired_sessions(**_later_arguments: Any) -> None:
    """Delete the rows of sessions that have expired."""
    services.clear_expired_sessions()
