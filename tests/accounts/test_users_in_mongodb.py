"""MongoDB shows users as they are, whoever changes them, and nothing that is nobody's business."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.projections import SHOWN, load_users, page_of_user_ids
from accounts.services import deactivate_users, lock_users
from common.ids import uuid7
from databases.stores import mongo, versioned
from outbox.delivery import drain_once
from outbox.models import OutboxEvent
from tests.people import a_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def only_these_users():
    yield
    with mongo.database() as database:
        database["users"].delete_many({})


def shown(user: User) -> mongo.Document | None:
    """Return what MongoDB shows of a user."""
    drain_once()
    with mongo.database() as database:
        return database["users"].find_one({"_id": str(user.pk), **versioned.ONLY_LIVE})


def test_a_user_is_shown_without_address_and_password() -> None:
    user = a_user(first_name="Ada", last_name="Lovelace")

    found = shown(user)
    assert {name: found[name] for name in ("name", "first_name", "last_name", "is_active")} == {
        "name": "Ada Lovelace",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "is_active": True,
    }
    assert abs((found["date_joined"] - timezone.now()).total_seconds()) < 60
    assert "member@example.com" not in str(found)


def test_a_user_without_a_name_does_not_show_part_of_the_address() -> None:
    assert shown(a_user())["name"] == ""


def test_changes_by_whatever_means_are_shown() -> None:
    user = a_user()
    User.objects.filter(pk=user.pk).update(first_name="Grace")
    assert shown(user)["first_name"] == "Grace"

    connection.cursor().execute("UPDATE accounts_user SET last_name = 'Hopper'")
    assert shown(user)["name"] == "Grace Hopper"

    deactivate_users(users=User.objects.all(), at=timezone.now())
    assert shown(user)["is_active"] is False

    user.delete()
    assert shown(user) is None


def test_a_sign_in_is_no_event() -> None:
    user = a_user()
    drain_once()

    user.last_login = timezone.now()
    user.save()

    assert not OutboxEvent.objects.exists()


def test_every_column_that_is_shown_makes_an_event() -> None:
    a_user()
    drain_once()
    for change in ("first_name = 'x'", "last_name = 'x'", "is_active = false",
                   "date_joined = now()"):  # fmt: skip
        assert change.split()[0] in SHOWN
        connection.cursor().execute(f"UPDATE accounts_user SET {change}")
        assert drain_once().events == 1
    assert len(SHOWN) == 4


def test_many_users_are_read_in_one_query(django_assert_num_queries) -> None:
    users = [a_user(f"{number}@example.com") for number in range(5)]
    ids = [str(user.pk) for user in users]

    with django_assert_num_queries(1):
        assert load_users([*ids, str(uuid7())]).keys() == set(ids)


def test_pages_hold_every_user_once_in_the_order_of_text() -> None:
    ids = sorted(str(a_user(f"{number}@example.com").pk) for number in range(5))

    first = page_of_user_ids(None, 3)
    assert [*first, *page_of_user_ids(first[-1], 3)] == ids
    assert page_of_user_ids(ids[-1], 3) == []


def test_locking_users_needs_a_transaction_and_returns_those_that_exist() -> None:
    user = a_user()
    with pytest.raises(transaction.TransactionManagementError):
        lock_users([user.pk])

    with transaction.atomic():
        assert lock_users([uuid7(), user.pk]) == {user.pk}
