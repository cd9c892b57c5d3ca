"""What every page of the admin shares: the theme, the log, deleting, and links across databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.contrib.admin.actions import delete_selected as django_delete_selected
from django.contrib.admin.models import CHANGE
from django.core.exceptions import SuspiciousOperation
from django.db import models, router, transaction
from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils.html import format_html
from unfold.paginator import InfinitePaginator

from databases.admin_log import LoggedAdmin
from databases.loose import LooseForeignKey

if TYPE_CHECKING:
    # unfold has no types; its classes are Django's with other templates and widgets.
    from django.contrib.admin import ModelAdmin as ThemedAdmin
    from django.contrib.admin import TabularInline as ThemedInline
    from django.contrib.admin.widgets import AdminTextInputWidget as TextInput
    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase
else:
    from unfold.admin import ModelAdmin as ThemedAdmin
    from unfold.admin import TabularInline as ThemedInline
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

AnyModel = TypeVar("AnyModel", bound=Model)
Parent = TypeVar("Parent", bound=Model)


class HomeAdmin(LoggedAdmin[AnyModel], ThemedAdmin[AnyModel]):
    """Base of the admin of any model, wherever its rows live."""

    show_full_result_count = False
    list_per_page = 50
    compressed_fields = True
    warn_unsaved_form = True
    # The filters' lists are short choices; the theme's sheet would cost a click.
    list_filter_sheet = False
    # What Django 6 does by itself; until then it warns.
    formfield_overrides = {
        models.URLField: {"assume_scheme": "https"},
        LooseForeignKey: {"widget": TextInput},
    }

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list. Raises SuspiciousOperation (400) for a filter that no text can equal."""
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            raise SuspiciousOperation("A parameter holds a NUL character.")
        return super().changelist_view(request, extra_context)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions; deleting logs and deletes in one transaction."""
        actions: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in actions:
            _, name, description = actions["delete_selected"]
            actions["delete_selected"] = (delete_selected, name, description)
        return actions

    def get_fieldsets(self, request: HttpRequest, obj: AnyModel | None = None) -> Any:
        """Return the fields; a new row shows none that the database is to fill in."""
        found = super().get_fieldsets(request, obj)
        if obj is not None:
            return found
        unknown = {field.name for field in self.opts.concrete_fields if field.has_db_default()}
        unknown &= set(self.get_readonly_fields(request, obj))
        shown = [
            (
                title,
                {**options, "fields": [name for name in options["fields"] if name not in unknown]},
            )
            for title, options in found
        ]
        return [(title, options) for title, options in shown if options["fields"]]

    def log_deed(self, request: HttpRequest, objects: Iterable[Model], deed: str) -> None:
        """Log what an action did to these objects; call it when the action is done.

        :param deed: for people, e.g. "Suspended."; ends with a full stop.
        """
        self._log(request, objects, CHANGE, deed)


class MachineWrittenAdmin(HomeAdmin[AnyModel]):
    """For tables that machines write: to look at, not to add to, change or delete from."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AnyModel | None = None) -> bool:
        """Say no."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AnyModel | None = None) -> bool:
        """Say no."""
        return False


class EndlessAdmin(MachineWrittenAdmin[AnyModel]):
    """For machine-written tables of any length: pages forth and back, and never counts."""

    paginator = InfinitePaginator


class HomeInline(ThemedInline[AnyModel, Parent]):
    """Base of rows that are edited on their parent's page; both live in the same database."""

    extra = 0
    show_change_link = True


class ReadOnlyInline(HomeInline[AnyModel, Parent]):
    """For rows that are shown on their parent's page and changed elsewhere, or by machines."""

    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return all fields: also those that no form could hold."""
        return self.fields or super().get_readonly_fields(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Parent | None = None) -> bool:
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Parent | None = None) -> bool:
        """Say no."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Parent | None = None) -> bool:
        """Say no."""
        return False


def delete_selected(
    modeladmin: HomeAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponseBase | None:
    """Delete the selected objects, with Django's page of confirmation.

    Django's own action writes the log before it deletes and outside any transaction, so that a
    deletion that fails would be logged as done.
    """
    with transaction.atomic(using=router.db_for_write(modeladmin.model)):
        return django_delete_selected(modeladmin, request, queryset)


def link(model: str, object_id: UUID | None) -> str:
    """Return a link to an object that may live in another database; costs no query.

    :param model: its label, e.g. `accounts.user`.
    :param object_id: its id, or None where there is none; shown shortened to its random end.
    """
    if object_id is None:
        return "–"
    address = reverse(f"admin:{model.replace('.', '_')}_change", args=[object_id])
    return format_html(
        '<a href="{}" title="{}" class="text-primary-600 dark:text-primary-500">…{}</a>',
        address,
        object_id,
        str(object_id)[-12:],
    )
