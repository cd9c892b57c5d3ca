"""Third-party models in the admin, dressed like ours: the log, and the operators' schedules.

Imported by `config.urls`, when every app has registered what it brings.
"""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialApp
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.roles.definitions import CLOSED_APPS
from databases.admin_base import HomeAdmin, MachineWrittenAdmin

admin.site.unregister(Authenticator)  # nobody looks at secrets; the users' list resets them
admin.site.unregister(SocialApp)  # keys come from the settings alone


@admin.register(LogEntry)
class LogEntryAdmin(MachineWrittenAdmin[LogEntry]):
    """What staff did in the admin.

    As nobody deletes entries, staff who acted cannot be deleted either: deactivate them. Entries
    name what was changed, so those of closed apps are shown to those alone who may look there.
    """

    list_display = ("action_time", "user", "action_flag", "content_type", "object_repr")
    list_filter = ("action_flag", "action_time")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "=object_id", "user__email")
    date_hierarchy = "action_time"

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogEntry]:
        """Return the entries that this user may see."""
        closed = [
            app_label for app_label in CLOSED_APPS if not request.user.has_module_perms(app_label)
        ]
        return super().get_queryset(request).exclude(content_type__app_label__in=closed)


class TaskSelect(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    """The registered tasks, in the theme's own clothes."""


class PeriodicTaskForm(beat.PeriodicTaskForm):
    """Chooses a registered task, or names one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Dress the two fields that the theme does not know."""
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


for _model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(_model)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, HomeAdmin[PeriodicTask]):
    """What beat starts, and when."""

    form = PeriodicTaskForm


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(beat.CrontabScheduleAdmin, HomeAdmin[CrontabSchedule]):
    """Times of the day, week and year."""

    inlines = []


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(HomeAdmin[ClockedSchedule]):
    """Single moments."""

    list_display = ("clocked_time",)


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(HomeAdmin[IntervalSchedule]):
    """Every so many seconds, minutes or days."""

    list_display = ("__str__", "every", "period")
    list_filter = ("period",)


@admin.register(SolarSchedule)
class SolarScheduleAdmin(HomeAdmin[SolarSchedule]):
    """Sunrise, sunset and the like at a place."""

    list_display = ("event", "latitude", "longitude")
