"""Changes of passwords, rights and roles reach the audit trail, whoever makes them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission
from django.db import connections

from accounts.models import User
from accounts.roles.giving import give_role, take_role
from compliance.models import AuditRecord
from outbox.delivery import drain_once
from outbox.models import OutboxEvent
from tests.homes import databases_of
from tests.people import a_superuser, a_user, signed_in, with_role

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("compliance"))
SECRET = "a-password-that-nobody-may-read"
ADDRESS = "198.51.100.77"
NETWORK = "198.51.100.0"


@pytest.fixture
def ada() -> User:
    made = a_user("ada@example.com")
    OutboxEvent.objects.all().delete()
    return made


def told() -> list[tuple[str, str, dict[str, Any]]]:
    """Deliver, and return what was recorded: type, subject, detail."""
    drain_once("compliance")
    rows = AuditRecord.objects.order_by("source_event_id")
    rows = rows.exclude(event_type__endswith="viewed").exclude(event_type__startswith="user.signed")
    return [(row.event_type, row.subject_id, row.detail) for row in rows]


def types() -> list[str]:
    return [event_type for event_type, _, _ in told()]


class TestAPassword:
    def test_that_is_changed_is_told_without_the_password(self, ada: User) -> None:
        ada.set_password(SECRET)
        ada.save()

        detail = {"usable": True, "database_role": "polystore"}
        assert told() == [("user.password_written", str(ada.pk), detail)]
        assert SECRET not in str(AuditRecord.objects.values())

    def test_that_is_changed_among_many_is_told(self, ada: User) -> None:
        User.objects.update(password=make_password(SECRET))

        assert types() == ["user.password_written"]

    def test_that_is_changed_with_plain_sql_is_told(self, ada: User) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("UPDATE accounts_user SET password = '!'")

        assert told()[0][2]["usable"] is False

    def test_whose_hash_is_made_anew_is_not(self, ada: User, settings) -> None:
        settings.PASSWORD_HASHERS = [
            "django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS
        ]  # fmt: skip
        before = ada.password

        assert ada.check_password("a-password-of-the-tests")

        assert User.objects.get().password != before
        assert types() == []

    def test_change_that_is_rolled_back_is_not(self, ada: User) -> None:
        from django.db import transaction

        with pytest.raises(ZeroDivisionError), transaction.atomic():
            User.objects.update(password="!")
            raise ZeroDivisionError

        assert types() == []

    def test_that_an_operator_sets_names_the_operator(self, ada: User) -> None:
        operator = with_role("operator")
        client = signed_in(operator)
        typed = {"usable_password": "true", "password1": SECRET, "password2": SECRET}

        client.post(f"/admin/accounts/user/{ada.pk}/password/", typed, REMOTE_ADDR=ADDRESS)

        drain_once("compliance")
        record = AuditRecord.objects.get(event_type="user.password_written", subject_id=ada.pk)
        assert (record.actor_kind, record.actor_id) == ("user", operator.pk)
        assert record.remote_address == NETWORK
        assert record.request_id
        assert record.detail == {"usable": True}


class TestRights:
    def test_are_told_when_they_change(self, ada: User) -> None:
        User.objects.update(is_staff=True)
        ada.refresh_from_db()
        ada.is_superuser = True
        ada.save()
        User.objects.update(is_active=False)

        found = [(event_type, detail) for event_type, _, detail in told()]
        role = {"database_role": "polystore"}
        assert found == [
            ("user.rights_written", {"staff": True, "superuser": False} | role),
            ("user.rights_written", {"staff": True, "superuser": True} | role),
            ("user.active_written", {"active": False} | role),
        ]

    def test_are_told_of_somebody_who_is_made_with_them(self, ada: User) -> None:
        made = a_superuser()

        assert ("user.rights_written", str(made.pk)) in [each[:2] for each in told()]

    def test_of_a_member_say_nothing(self, ada: User) -> None:
        a_user("bob@example.com")
        ada.first_name = "Ada"
        ada.save()

        assert types() == []

    def test_that_end_with_the_row_are_told(self, ada: User) -> None:
        ada.delete()

        assert types() == ["user.row_deleted"]

    def test_a_new_address_is_told_without_it(self, ada: User) -> None:
        User.objects.update(email="countess@example.com")

        assert types() == ["user.email_written"]
        assert "countess" not in str(AuditRecord.objects.values())


class TestARole:
    def test_that_is_given_or_taken_is_told(self, ada: User) -> None:
        give_role(user=ada, name="analyst")
        take_role(user=ada, name="analyst")
        found = [(event_type, detail.get("role")) for event_type, _, detail in told()]

        assert found == [
            ("user.role_given", "analyst"),
            ("user.rights_written", None),
            ("user.role_taken", "analyst"),
            ("user.rights_written", None),
        ]

    def test_that_a_superuser_gives_in_the_admin_names_both(self, ada: User) -> None:
        root = a_superuser()
        typed = {
            "email": ada.email, "is_active": "on", "is_staff": "on",
            "groups": [Group.objects.get(name="support").pk],
        }  # fmt: skip

        signed_in(root).post(f"/admin/accounts/user/{ada.pk}/change/", typed, REMOTE_ADDR=ADDRESS)

        drain_once("compliance")
        record = AuditRecord.objects.get(event_type="user.role_given")
        assert (record.actor_id, record.subject_id) == (root.pk, str(ada.pk))
        assert (record.remote_address, record.detail) == (NETWORK, {"role": "support"})

    def test_a_permission_of_ones_own_is_told(self, ada: User) -> None:
        ada.user_permissions.add(Permission.objects.get(codename="view_todo"))
        ada.user_permissions.clear()

        found = [(event_type, detail["permission"]) for event_type, _, detail in told()]
        assert found == [
            ("user.permission_given", "tracker.view_todo"),
            ("user.permission_taken", "tracker.view_todo"),
        ]

    def test_what_a_group_may_is_told(self, ada: User) -> None:
        group = Group.objects.create(name="Translators")
        group.permissions.add(Permission.objects.get(codename="view_todo"))
        group.delete()

        assert types() == [
            "role.created", "role.permission_given", "role.permission_taken", "role.deleted",
        ]  # fmt: skip

    def test_what_the_code_says_of_roles_is_not(self, ada: User) -> None:
        from accounts.roles.groups import write_roles

        Group.objects.filter(name="analyst").delete()
        OutboxEvent.objects.all().delete()

        assert write_roles(using="default") > 0
        assert types() == []
