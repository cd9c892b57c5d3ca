"""The audit trail is told of clients and tokens with the change itself, and of no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Authorization, Client
from accounts.oauth.services import clients, personal
from accounts.oauth.services.authorizations import end_authorizations
from outbox.models import OutboxEvent
from tests.accounts.oauth.flows import a_machine, an_app
from tests.people import a_superuser, a_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def told() -> list[tuple[str, Any]]:
    rows = OutboxEvent.objects.filter(aggregate_type__in=["client", "token"]).order_by("id")
    return [(row.type, row.payload) for row in rows]


def kinds() -> list[str]:
    return [kind for kind, _ in told()]


def test_the_life_of_a_client_is_told() -> None:
    app = an_app()
    app.row.name = "Another name"
    clients.change_client(app.row)
    clients.give_new_secret(app.row, at=timezone.now())
    clients.delete_clients(Client.objects.all())

    assert kinds() == [
        "client.created", "client.changed", "client.secret_changed", "client.deleted",
    ]  # fmt: skip


def test_the_life_of_tokens_is_told_with_ids_and_scopes() -> None:
    user, app = a_user(), an_app()
    first = app.tokens(user)
    app.refresh(first["refresh_token"])
    end_authorizations([Authorization.objects.get().pk], at=timezone.now())

    events = told()[1:]
    assert [kind for kind, _ in events] == ["token.issued", "token.issued", "token.revoked"]
    wanted = {
        "kind": "oauth",
        "client_id": app.row.client_id,
        "user_id": str(user.pk),
        "scopes": ["tracker"],
        "grant_type": "authorization_code",
    }
    assert {name: events[0][1][name] for name in wanted} == wanted


def test_who_ended_somebody_elses_token_is_told() -> None:
    user, root = a_user(), a_superuser()
    an_app().tokens(user)
    chosen = Authorization.objects.get()

    signed_in(root).post(
        "/admin/accounts/authorization/",
        {"action": "end", "_selected_action": [str(chosen.pk)]},
    )

    kind, payload = told()[-1]
    assert kind == "token.revoked"
    assert (payload["actor_id"], payload["user_id"]) == (str(root.pk), str(user.pk))


def test_each_reuse_is_told() -> None:
    app = an_app()
    first = app.tokens(a_user())
    app.refresh(first["refresh_token"])
    app.refresh(first["refresh_token"])
    app.refresh(first["refresh_token"])

    assert kinds()[-2:] == ["token.reuse_detected"] * 2
    assert told()[-1][1]["reason"] == "refresh token reused"


def test_personal_tokens_are_told_of() -> None:
    user = a_user()
    made = personal.create_token(
        user_id=user.pk, name="A", scopes=["tracker"], days=3, at=timezone.now()
    )
    personal.revoke_token(user_id=user.pk, token_id=made.token.pk, at=timezone.now())

    assert kinds() == ["token.issued", "token.revoked"]
    assert told()[0][1]["kind"] == "personal"


def test_no_event_holds_a_secret_or_an_address() -> None:
    user, app = a_user(), an_app()
    machine = a_machine(user=user)
    tokens = app.tokens(user)
    machine.token(grant_type="client_credentials", scope="tracker")
    made = personal.create_token(
        user_id=user.pk, name="A", scopes=["tracker"], days=3, at=timezone.now()
    )

    text = json.dumps(told())
    secrets = [app.secret, machine.secret, made.value, *map(str, tokens.values()), user.email]
    assert [each for each in secrets if len(each) > 10 and each in text] == []
    assert app.row.client_secret not in text


def test_what_is_rolled_back_is_not_told() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        an_app()
        raise ZeroDivisionError

    assert kinds() == []
    assert Client.objects.count() == 0
