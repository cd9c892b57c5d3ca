"""Take somebody's second step away, who lost the phone and the recovery codes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from allauth.mfa.models import Authenticator

from accounts import events
from accounts.models import User
from accounts.sessions import primary
from accounts.sessions.services import end_sessions
from databases.transactions import atomic_for


def reset_second_steps(*, user_ids: Sequence[UUID], actor_id: UUID | None = None) -> int:
    """Remove the app and the recovery codes of these users, and end their sessions everywhere.

    They sign in with the password alone, and may set up another app.

    :param actor_id: the operator who does it; whoever asks has been proved to be the person.
    :returns: how many of them had a second step.
    """
    with atomic_for("accounts"):
        # In the order in which everybody locks users.
        people = User.objects.filter(pk__in=list(user_ids)).order_by("pk").select_for_update()
        had = set(Authenticator.objects.values_list("user_id", flat=True).filter(user__in=people))
        Authenticator.objects.filter(user_id__in=had).delete()
        for user_id in sorted(had):
            events.tell(events.SECOND_STEP_RESET, user_id=user_id, actor_id=actor_id)
    end_sessions(sessions=primary.rows().filter(user_id__in=had), actor_id=actor_id)
    return len(had)
