"""Users in the admin: forms, passwords, and who may give which rights."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group

from accounts.models import User
from tests.people import PASSWORD, a_superuser, a_user, an_operator, signed_in

pytestmark = pytest.mark.django_db(databases=["default"])
NEW_PASSWORD = "quite-another-passphrase"
USERS = "/admin/accounts/user/"


def typed(user: User, **changes: str) -> dict[str, str]:
    """Return what an operator sends with the form of this user."""
    return {"email": user.email, "is_active": "on", "first_name": "", "last_name": "", **changes}


class TestASuperuser:
    def test_adds_users_with_a_password(self) -> None:
        client = signed_in(a_superuser())

        answer = client.post(
            USERS + "add/",
            {
                "email": "new@example.com",
                "usable_password": "true",
                "password1": NEW_PASSWORD,
                "password2": NEW_PASSWORD,
            },
        )

        new = User.objects.get(email="new@example.com")
        assert answer.status_code == 302
        assert authenticate(username="new@example.com", password=NEW_PASSWORD) == new
        assert LogEntry.objects.get().object_id == str(new.pk)

    def test_is_told_that_an_address_is_taken_in_another_capitalisation(self) -> None:
        a_user("ada@example.com")

        answer = signed_in(a_superuser()).post(
            USERS + "add/",
            {
                "email": "ADA@example.com",
                "usable_password": "true",
                "password1": NEW_PASSWORD,
                "password2": NEW_PASSWORD,
            },
        )

        assert answer.status_code == 200
        assert "exists already" in answer.content.decode()

    def test_changes_names_and_rights(self) -> None:
        ada = a_user()

        answer = signed_in(a_superuser()).post(
            f"{USERS}{ada.pk}/change/", typed(ada, first_name="Ada", is_staff="on")
        )

        ada.refresh_from_db()
        assert answer.status_code == 302
        assert (ada.first_name, ada.is_staff) == ("Ada", True)

    def test_sets_a_password_which_is_logged_and_not_shown(self) -> None:
        ada = a_user()
        client = signed_in(a_superuser())

        page = client.get(f"{USERS}{ada.pk}/password/")
        client.post(
            f"{USERS}{ada.pk}/password/",
            {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
        )

        assert page.status_code == 200
        assert authenticate(username=ada.email, password=NEW_PASSWORD) == ada
        assert NEW_PASSWORD not in LogEntry.objects.get().change_message

    def test_deletes_a_user_who_did_nothing(self) -> None:
        ada = a_user()

        signed_in(a_superuser()).post(f"{USERS}{ada.pk}/delete/", {"post": "yes"})

        assert not User.objects.filter(pk=ada.pk).exists()

    def test_deactivates_others_and_not_oneself(self) -> None:
        ada, root = a_user(), a_superuser()

        signed_in(root).post(
            USERS, {"action": "deactivate", "_selected_action": [str(ada.pk), str(root.pk)]}
        )

        assert set(User.objects.active()) == {root}
        assert LogEntry.objects.get().change_message == "Deactivated."
        assert authenticate(username=ada.email, password=PASSWORD) is None

    def test_makes_groups(self) -> None:
        answer = signed_in(a_superuser()).post("/admin/auth/group/add/", {"name": "Translators"})

        assert answer.status_code == 302
        assert Group.objects.filter(name="Translators").exists()


class TestAnOperatorWhoMayChangeUsers:
    @pytest.fixture
    def operator(self) -> User:
        return an_operator(
            "accounts.view_user", "accounts.change_user", "accounts.delete_user",
            "auth.add_group", "auth.change_group",
        )  # fmt: skip

    def test_makes_nobody_a_superuser(self, operator: User) -> None:
        signed_in(operator).post(
            f"{USERS}{operator.pk}/change/",
            typed(operator, first_name="Eve", is_superuser="on", is_staff="on"),
        )

        operator.refresh_from_db()
        assert (operator.first_name, operator.is_superuser) == ("Eve", False)

    def test_neither_changes_nor_deletes_a_superuser_nor_sets_their_password(
        self, operator: User
    ) -> None:
        root = a_superuser()
        client = signed_in(operator)

        assert client.post(f"{USERS}{root.pk}/change/", typed(root)).status_code == 403
        assert client.post(f"{USERS}{root.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{USERS}{root.pk}/password/").status_code == 403
        client.post(USERS, {"action": "deactivate", "_selected_action": str(root.pk)})
        assert User.objects.active().filter(pk=root.pk).exists()

    def test_deletes_no_superuser_by_the_action(self, operator: User) -> None:
        root = a_superuser()

        answer = signed_in(operator).post(
            USERS,
            {"action": "delete_selected", "_selected_action": str(root.pk), "post": "yes"},
        )

        assert answer.status_code == 403
        assert User.objects.filter(pk=root.pk).exists()

    def test_makes_no_groups_as_they_give_rights(self, operator: User) -> None:
        answer = signed_in(operator).post("/admin/auth/group/add/", {"name": "Support"})

        assert answer.status_code == 403
