"""Delete an account: at once what signs in and what names the person, the rest by the workers."""

from __future__ import annotations

from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount

from accounts import events
from accounts.leaving.registry import LEAVING
from accounts.mailing.queueing import queue_mail
from accounts.models import Leaving, PendingMail, User
from accounts.queries import UserNotFound
from databases.transactions import atomic_for
from outbox.recording import record_event


def delete_account(
    *, user_id: UUID, origin: str, client: str = "", actor_id: UUID | None = None
) -> None:
    """Delete an account and all that is the person's.

    When this returns, nobody signs in with the account any more, its names and addresses are gone
    from it, and the address may be used again. Every app that keeps something forgets it when the
    outbox tells it so, as soon as its database is there (`accounts.leaving.forgetting`).

    :param origin: scheme and host, for the letter.
    :param actor_id: the operator, where one does it.
    :raises UserNotFound: where there is no such user.
    """
    with atomic_for("accounts"):
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None or Leaving.objects.filter(user_id=user_id).exists():
            raise UserNotFound("There is no user with this id.")
        addresses = {user.email.lower()} | {
            known.lower()
            for known in EmailAddress.objects.filter(user=user).values_list("email", flat=True)
        }
        Leaving.objects.create(user_id=user_id, addresses=sorted(addresses))
        EmailAddress.objects.filter(user=user).delete()
        SocialAccount.objects.filter(user=user).delete()
        Authenticator.objects.filter(user=user).delete()
        PendingMail.objects.filter(address__in=addresses).delete()
        queue_mail(kind=PendingMail.Kind.DELETED, address=user.email, origin=origin)
        _take_the_name_away(user)
        record_event(aggregate_type=LEAVING, aggregate_id=user_id, event_type="leaving.asked")
        events.tell(events.DELETED, user_id=user_id, actor_id=actor_id, client=client)


def _take_the_name_away(user: User) -> None:
    user.email = f"{user.pk}@deleted.invalid"
    user.first_name = user.last_name = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
