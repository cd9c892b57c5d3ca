"""Have every app forget those who left, each when its own database is there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import ProtectedError, RestrictedError
from django.utils import timezone

from accounts.leaving.registry import LEAVING, Holder, Leaver, forgetful, holder_of, keep
from accounts.models import Leaving, LeavingStep, User
from databases.placement import alias_of
from databases.transactions import atomic_for
from outbox.events import Event
from outbox.registry import Consumer, subscribe


def hold(holder: Holder) -> None:
    """Make known what an app keeps of people; the same app again replaces it.

    Its part of the export is asked for on demand, and the outbox tells it of those who leave, in a
    sink of its own, which waits while the app's database is down.
    """
    keep(holder)
    if holder.forget is not None:
        subscribe(
            Consumer(
                name=f"{holder.app_label}.leaving",
                app_label=holder.app_label,
                aggregate_types=frozenset({LEAVING}),
                handle=partial(forget, holder.app_label),
            )
        )


def forget(app_label: str, events: Sequence[Event]) -> None:
    """Have one app forget; told twice, it finds nothing."""
    holder = holder_of(app_label)
    for event in events:
        leaving = Leaving.objects.filter(user_id=UUID(event.aggregate_id), done_at=None).first()
        if leaving is None or holder is None or holder.forget is None:
            continue
        holder.forget(Leaver(user_id=leaving.user_id, addresses=tuple(leaving.addresses)))
        _note(leaving.pk, app_label)


def _note(leaving_id: UUID, app_label: str) -> None:
    """Note that an app has done its part; the last one ends it."""
    with atomic_for("accounts"):
        leaving = Leaving.objects.select_for_update().get(pk=leaving_id)
        LeavingStep.objects.get_or_create(leaving=leaving, app_label=app_label)
        done = set(leaving.steps.values_list("app_label", flat=True))
        if leaving.done_at is None and done >= forgetful():
            _delete_user(leaving.user_id)
            leaving.addresses = []
            leaving.done_at = timezone.now()
            leaving.save(update_fields=["addresses", "done_at"])


def _delete_user(user_id: UUID) -> None:
    """Delete the row, whose trigger tells all loose keys; nameless, it stays where rows need it."""
    user = User.objects.filter(pk=user_id).first()
    if user is None or _has_acted(user_id):
        return
    try:
        with transaction.atomic(using=alias_of("accounts")):
            user.delete()
    except (ProtectedError, RestrictedError):
        return


def _has_acted(user_id: UUID) -> bool:
    """Tell whether the admin's log names this user as its author: it is kept, without a name."""
    from django.contrib.admin.models import LogEntry

    return LogEntry.objects.filter(user_id=user_id).exists()
