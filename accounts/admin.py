"""Users and groups in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from unfold.forms import AdminPasswordChangeForm

import accounts.sessions.admin  # noqa: F401 - registers sessions
from accounts import services
from accounts.models import User
from accounts.policies import may_touch
from accounts.querysets import UserQuerySet
from accounts.roles import giving
from accounts.roles.definitions import ROLES
from accounts.second_step.resetting import reset_second_steps
from databases.admin_base import HomeAdmin
from databases.transactions import atomic_for

if TYPE_CHECKING:
    from django.contrib.auth.forms import AdminUserCreationForm as ThemedUserCreationForm
    from django.contrib.auth.forms import UserChangeForm as ThemedUserChangeForm
else:
    from unfold.forms import UserChangeForm as ThemedUserChangeForm
    from unfold.forms import UserCreationForm as ThemedUserCreationForm

STAFF_ROLES = [role.name for role in ROLES.values() if role.is_staff]
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


class UserAddForm(ThemedUserCreationForm[User]):
    """Asks for an address and a password, twice."""

    class Meta:
        model = User
        fields = ("email",)


class UserEditForm(ThemedUserChangeForm[User]):
    """Everything but the password, which has a form of its own."""

    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User], HomeAdmin[User]):
    """People who may sign in.

    Rights are given by superusers alone, and only they touch somebody else of staff: whoever may
    change users would otherwise make themselves a superuser, or sign in as whoever has more rights.
    """

    form = UserEditForm
    add_form = UserAddForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "is_active", "is_staff", "last_login", "date_joined")
    list_filter = ("is_active", "is_staff", "is_superuser", "date_joined")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("-date_joined",)
    date_hierarchy = "date_joined"
    readonly_fields = ("last_login", "date_joined", "updated_at")
    filter_horizontal = ("groups", "user_permissions")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Dates", {"fields": ("last_login", "date_joined", "updated_at")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("email", "usable_password", "password1", "password2"),
            },
        ),
    )
    actions = ("deactivate", "reactivate", "reset_second_step")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return the fields that this operator may only look at."""
        fields = super().get_readonly_fields(request, obj)
        return fields if _is_superuser(request) else (*fields, *RIGHTS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Tell whether this operator may change the user, the password included."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Tell whether this operator may delete the user."""
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def save_model(
        self,
        request: HttpRequest,
        obj: User,
        form: ModelForm[User],
        change: bool,  # noqa: FBT001 - Django's signature
    ) -> None:
        """Save; whoever gives a user another address vouches for it."""
        super().save_model(request, obj, form, change)
        if change and "email" in form.changed_data:
            with atomic_for("accounts"):
                services.vouch_for_address(user=obj, actor_id=_id_of(request))

    @admin.action(description="Deactivate the selected users", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        """Bar them from signing in; whoever asks stays active."""
        chosen = [
            user for user in queryset.active() if user != request.user and _may_touch(request, user)
        ]
        count = services.deactivate_users(
            users=_these(chosen), at=timezone.now(), actor_id=_id_of(request)
        )
        self.log_deed(request, chosen, "Deactivated.")
        messages.success(request, f"{count} users can no longer sign in.")
        if kept := queryset.active().count():
            messages.warning(request, f"{kept} stay active: yourself, or superusers above you.")

    @admin.action(description="Reactivate the selected users", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        """Let them sign in again."""
        chosen = [user for user in queryset.filter(is_active=False) if _may_touch(request, user)]
        count = services.reactivate_users(
            users=_these(chosen), at=timezone.now(), actor_id=_id_of(request)
        )
        self.log_deed(request, chosen, "Reactivated.")
        messages.success(request, f"{count} users can sign in again.")

    @admin.action(description="Reset the second step of the selected users", permissions=["change"])
    def reset_second_step(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        """Take app and recovery codes away from who lost them, and sign them out everywhere."""
        chosen = [user for user in queryset if _may_touch(request, user)]
        count = reset_second_steps(user_ids=[user.pk for user in chosen], actor_id=_id_of(request))
        self.log_deed(request, chosen, "Second step reset.")
        messages.success(request, f"{count} users sign in without a second step now.")
        if kept := queryset.count() - len(chosen):
            messages.warning(request, f"{kept} are above you, and keep theirs.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save the roles, too; who loses the last one of staff no longer opens the admin."""
        user: User = form.instance
        before = user.groups.filter(name__in=STAFF_ROLES).exists() if change else False
        super().save_related(request, form, formsets, change)
        after = user.groups.filter(name__in=STAFF_ROLES).exists()
        if before and not after and giving.close_the_door(user):
            messages.warning(request, f"{user} has no role of staff left and is no staff any more.")


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_authenticated and request.user.is_superuser)


def _id_of(request: HttpRequest) -> UUID | None:
    key: UUID | None = request.user.pk
    return key


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    return may_touch(request.user, user)


def _these(users: list[User]) -> UserQuerySet:
    chosen: UserQuerySet = User.objects.filter(pk__in=[user.pk for user in users])
    return chosen


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, HomeAdmin[Group]):
    """Sets of permissions; superusers alone make and change them, as they give rights.

    Those that carry roles are as accounts/roles/definitions.py has them, and nobody changes them.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether this operator may make a group."""
        return super().has_add_permission(request) and _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Tell whether this operator may change a group."""
        return super().has_change_permission(request, obj) and _may_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Tell whether this operator may delete a group."""
        return super().has_delete_permission(request, obj) and _may_change(request, obj)


def _may_change(request: HttpRequest, group: Group | None) -> bool:
    return _is_superuser(request) and (group is None or group.name not in ROLES)
