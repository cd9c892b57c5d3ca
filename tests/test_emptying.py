"""After a test that commits, tables are as Django's `flush` leaves them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connections

from accounts.models import User
from outbox.models import OutboxEvent
from tests.emptying import LARGE, Emptier
from tests.people import a_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def emptier() -> Emptier:
    """Return one that knows how `flush` leaves the database."""
    made = Emptier()
    made.empty("default")
    return made


def permissions() -> set[tuple[str, str]]:
    return set(Permission.objects.values_list("content_type__app_label", "codename"))


def test_what_came_is_gone_and_nothing_tells_of_it(emptier):
    a_user()
    OutboxEvent.objects.all().delete()

    emptier.empty("default")

    assert not User.objects.exists()
    assert not OutboxEvent.objects.exists()


def test_what_flush_writes_stays_and_keeps_its_keys(emptier):
    before = set(Permission.objects.values_list("pk", "codename"))
    a_user().groups.add(Group.objects.get(name="support"))

    emptier.empty("default")

    assert set(Permission.objects.values_list("pk", "codename")) == before


def test_what_flush_writes_comes_back(emptier):
    before = permissions()
    Permission.objects.first().delete()
    Group.objects.all().delete()

    emptier.empty("default")

    assert permissions() == before
    assert Group.objects.exists()


def test_a_large_table_is_truncated(emptier):
    User.objects.bulk_create(User(email=f"{number}@example.com") for number in range(2_000))
    size = "SELECT pg_relation_size('accounts_user')"
    with connections["default"].cursor() as cursor:
        cursor.execute(size)
        assert cursor.fetchone()[0] > LARGE

        emptier.empty("default")

        cursor.execute(size)
        assert cursor.fetchone()[0] == 0
