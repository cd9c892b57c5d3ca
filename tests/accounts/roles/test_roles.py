"""Roles: what their groups hold, who gets them, and that nobody holds more."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import connections

from accounts.models import User
from accounts.roles import asking, giving
from accounts.roles.definitions import CLOSED_APPS, ROLES, allows
from accounts.roles.groups import write_roles
from common.access import ALL_SCOPES, CLOSED_SCOPES, STAFF_SCOPES, USER_SCOPES, Scope
from databases.aliases import PRIMARY
from tests.homes import databases_of
from tests.people import PASSWORD, a_superuser, a_user, an_operator, signed_in, with_role

pytestmark = pytest.mark.django_db(databases=["default"])


def permissions_of(role: str) -> set[str]:
    found = Group.objects.get(name=role).permissions.values_list(
        "content_type__app_label", "codename"
    )
    return {f"{app_label}.{codename}" for app_label, codename in found}


class TestTheGroups:
    def test_hold_what_the_definitions_say_of_every_app_wherever_it_lives(self) -> None:
        for role in ROLES.values():
            wanted = {
                f"{each.content_type.app_label}.{each.codename}"
                for each in Permission.objects.select_related("content_type")
                if allows(
                    role,
                    app_label=each.content_type.app_label,
                    model=each.content_type.model,
                    codename=each.codename,
                )
            }
            assert permissions_of(role.name) == wanted
        assert "compliance.view_auditrecord" in permissions_of("compliance officer")
        assert "outbox.operate_delivery" in permissions_of("operator")
        assert permissions_of("member") == set()

    def test_are_put_right_and_then_left_alone(self) -> None:
        analyst = Group.objects.get(name="analyst")
        analyst.permissions.add(Permission.objects.get(codename="delete_user"))
        analyst.permissions.remove(Permission.objects.get(codename="view_businessmetric"))

        assert write_roles(using=PRIMARY) == 2
        assert write_roles(using=PRIMARY) == 0
        assert "accounts.delete_user" not in permissions_of("analyst")
        assert "analytics.view_businessmetric" in permissions_of("analyst")

    def test_get_the_permissions_of_a_model_that_comes_later(self) -> None:
        later = Permission.objects.get(codename="view_activityevent")
        later.delete()
        write_roles(using=PRIMARY)
        assert "analytics.view_activityevent" not in permissions_of("analyst")

        call_command("migrate", database=PRIMARY, verbosity=0)

        assert "analytics.view_activityevent" in permissions_of("analyst")

    def test_that_are_no_roles_are_left_alone(self) -> None:
        theirs = Group.objects.create(name="Translators")
        theirs.permissions.add(Permission.objects.get(codename="view_user"))

        write_roles(using=PRIMARY)

        assert theirs.permissions.count() == 1

    @pytest.mark.parametrize("role", list(ROLES))
    def test_are_not_changed_by_hand(self, role: str) -> None:
        group = Group.objects.get(name=role)
        client = signed_in(a_superuser())

        assert client.get(f"/admin/auth/group/{group.pk}/change/").status_code == 200
        changed = client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "x"})
        deleted = client.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})

        assert (changed.status_code, deleted.status_code) == (403, 403)


def test_every_place_that_a_role_names_exists() -> None:
    places = {place for role in ROLES.values() for place in role.may}
    labels = {config.label for config in apps.get_app_configs()}
    models = {model._meta.label_lower for model in apps.get_models(include_auto_created=True)}

    assert {place for place in places if place not in labels | models} == set()


class TestANewUser:
    def test_becomes_a_member_however_it_is_made(self) -> None:
        made = a_user()
        User.objects.bulk_create([User(email=f"{n}@example.com") for n in range(3)])
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "INSERT INTO accounts_user (id, email, password, is_superuser, first_name,"
                " last_name, is_active, is_staff) VALUES (gen_random_uuid(), 'sql@example.com',"
                " '', false, '', '', true, false)"
            )

        assert asking.roles_of(made) == {"member"}
        assert User.objects.filter(groups__name="member").count() == User.objects.count() == 5

    def test_can_be_deleted_with_plain_sql(self) -> None:
        with_role("analyst")
        with connections["default"].cursor() as cursor:
            cursor.execute("DELETE FROM accounts_user")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

        assert not User.groups.through.objects.exists()


class TestGivingARole:
    def test_opens_the_admin_as_far_as_it_goes(self) -> None:
        analyst = with_role("analyst")

        assert analyst.is_staff
        assert analyst.has_perm("analytics.view_businessmetric")
        assert not analyst.has_perm("accounts.view_user")

    def test_can_be_undone_and_closes_the_door(self) -> None:
        analyst = with_role("analyst")

        assert giving.take_role(user=analyst, name="analyst")
        assert not giving.take_role(user=analyst, name="analyst")

        assert not User.objects.get(pk=analyst.pk).is_staff
        assert not analyst.has_perm("analytics.view_businessmetric")

    def test_leaves_the_door_open_for_those_with_another(self) -> None:
        both = with_role("analyst")
        giving.give_role(user=both, name="support")

        giving.take_role(user=both, name="analyst")

        assert User.objects.get(pk=both.pk).is_staff

    def test_is_refused_for_an_unknown_one(self) -> None:
        with pytest.raises(giving.UnknownRole):
            giving.give_role(user=a_user(), name="king")

    def test_by_the_admin_is_a_superusers(self) -> None:
        analyst = with_role("analyst")
        address = f"/admin/accounts/user/{analyst.pk}/change/"
        typed = {"email": analyst.email, "is_active": "on", "is_staff": "on"}

        signed_in(with_role("operator")).post(
            address, typed | {"groups": [Group.objects.get(name="operator").pk]}
        )
        assert asking.roles_of(User.objects.get(pk=analyst.pk)) == {"analyst", "member"}

        member = Group.objects.get(name="member").pk
        signed_in(a_superuser()).post(address, typed | {"groups": [member]})
        left = User.objects.get(pk=analyst.pk)
        assert asking.roles_of(left) == {"member"}
        assert not left.is_staff


class TestTheCommand:
    def test_gives_lists_and_takes(self) -> None:
        a_user("ada@example.com")

        assert self.said("give", "ADA@example.com", "support")["roles"] == ["member", "support"]
        assert self.said("list", "ada@example.com")["changed"] is False
        assert self.said("take", "ada@example.com", "support")["roles"] == ["member"]
        assert {each["role"] for each in self.said()["roles"]} == set(ROLES)

    @pytest.mark.parametrize(
        "arguments", [("give", "nobody@example.com", "support"), ("give", "ada@example.com", "x")]
    )
    def test_refuses_what_it_does_not_know(self, arguments: tuple[str, ...]) -> None:
        a_user("ada@example.com")

        with pytest.raises(CommandError) as refused:
            call_command("role", *arguments)

        assert refused.value.returncode == 2

    def said(self, *arguments: str) -> dict[str, Any]:
        out = StringIO()
        call_command("role", *arguments, "--json", stdout=out)
        found: dict[str, Any] = json.loads(out.getvalue())
        return found


class TestScopesOfASession:
    def test_follow_the_role(self) -> None:
        assert asking.scopes_of(a_user()) == USER_SCOPES
        assert asking.scopes_of(with_role("support")) == USER_SCOPES
        assert asking.scopes_of(with_role("operator")) == USER_SCOPES | STAFF_SCOPES
        assert asking.scopes_of(with_role("compliance officer")) == USER_SCOPES | CLOSED_SCOPES
        assert asking.scopes_of(a_superuser()) == ALL_SCOPES - CLOSED_SCOPES

    def test_of_staff_without_a_role_are_an_operators(self) -> None:
        assert asking.scopes_of(an_operator()) == USER_SCOPES | STAFF_SCOPES

    def test_cost_members_no_query(self, django_assert_num_queries) -> None:
        member = a_user()

        with django_assert_num_queries(0):
            assert Scope.COMPLIANCE not in asking.scopes_of(member)

    def test_decide_in_the_api(self) -> None:
        assert signed_in(with_role("operator")).get("/api/health/connections").status_code == 200
        refused = signed_in(with_role("analyst")).get("/api/health/connections")
        assert (refused.status_code, refused.json()["scope"]) == (403, "operations")


@pytest.mark.django_db(databases=databases_of("compliance"))
class TestAClosedApp:
    def test_is_open_to_its_officers_alone(self) -> None:
        assert with_role("compliance officer").has_perm("compliance.view_filing")
        assert not a_superuser().has_perm("compliance.view_filing")
        assert not a_superuser("b@example.com").has_module_perms("compliance")

    def test_is_not_opened_by_permissions_given_by_hand(self) -> None:
        operator = an_operator("compliance.view_filing")

        assert not operator.has_perm("compliance.view_filing")
        assert "compliance.view_filing" not in operator.get_all_permissions()
        assert signed_in(operator).get("/admin/compliance/filing/").status_code == 403

    def test_is_opened_to_superusers_by_the_setting(self, settings) -> None:
        settings.COMPLIANCE_SUPERUSERS = True
        root = a_superuser()

        assert root.has_perm("compliance.view_filing")
        assert "compliance.view_filing" in root.get_all_permissions()
        assert Scope.COMPLIANCE in asking.scopes_of(root)

    def test_is_closed_to_an_officer_who_is_deactivated_or_no_staff(self) -> None:
        officer = with_role("compliance officer")
        User.objects.filter(pk=officer.pk).update(is_staff=False)
        assert not User.objects.get(pk=officer.pk).has_perm("compliance.view_filing")

        User.objects.filter(pk=officer.pk).update(is_staff=True, is_active=False)
        assert not User.objects.get(pk=officer.pk).has_perm("compliance.view_filing")

    def test_is_declared_and_installed(self) -> None:
        assert {config.label for config in apps.get_app_configs()} > CLOSED_APPS


def test_operators_do_not_sign_in_as_others_of_staff() -> None:
    """They may set members' passwords; with an officer's they would read compliance data."""
    officer, member = with_role("compliance officer"), a_user()
    client = signed_in(with_role("operator"))

    assert client.get(f"/admin/accounts/user/{officer.pk}/password/").status_code == 403
    assert client.get(f"/admin/accounts/user/{member.pk}/password/").status_code == 200
    assert client.get(f"/admin/accounts/user/{officer.pk}/change/").status_code == 200
    assert officer.check_password(PASSWORD)
