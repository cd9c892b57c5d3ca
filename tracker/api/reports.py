"""Daily reports and analytics over HTTP."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.pagination import KeysetPage
from common.schemas import Day, Page
from tracker.models import DailyReport
from tracker.queries.analytics import Analytics, analytics, usual_first
from tracker.queries.own import report_of, reports_of
from tracker.schemas import (
    AnalyticsAnswer,
    AnalyticsQuery,
    ReportAnswer,
    ReportBody,
    ReportsQuery,
)
from tracker.services import reports
from tracker.services.reports import ReportNotFound

router = Router()


@router.get("/daily", response=Page[ReportAnswer], summary="Your reports, the latest day first")
@signed_in("tracker")
def list_reports(request: HttpRequest, asked: Query[ReportsQuery]) -> KeysetPage[DailyReport]:
    """List the caller's reports."""
    return reports_of(
        user_id=user_id_of(request),
        first=asked.from_,
        last=asked.to,
        cursor=asked.cursor,
        limit=asked.limit,
    )


@router.get("/daily/{day}", response=ReportAnswer, summary="Your report of a day")
@signed_in("tracker")
def get_report(request: HttpRequest, day: Day) -> DailyReport:
    """Show a report."""
    found = report_of(user_id=user_id_of(request), day=day)
    if found is None:
        raise ReportNotFound("You filed no report for this day.")
    return found


@router.put(
    "/daily/{day}", response={200: ReportAnswer, 201: ReportAnswer}, summary="File a report"
)
@signed_in("tracker")
def file_report(request: HttpRequest, day: Day, body: ReportBody) -> Status[DailyReport]:
    """File the report of a day (201), or put it in the place of an earlier one (200)."""
    filed = reports.file_report(
        user_id=user_id_of(request),
        day=day,
        hours=body.hours,
        mood=body.mood,
        notes=body.notes,
        at=timezone.now(),
    )
    return Status(201 if filed.created else 200, filed.report)


@router.delete("/daily/{day}", response={204: None}, summary="Delete a report")
@signed_in("tracker")
def delete_report(request: HttpRequest, day: Day) -> Status[None]:
    """Delete the report of a day."""
    reports.delete_report(user_id=user_id_of(request), day=day)
    return Status(204, None)


@router.get("/analytics", response=AnalyticsAnswer, summary="What you did, day by day")
@signed_in("tracker")
def get_analytics(request: HttpRequest, asked: Query[AnalyticsQuery]) -> Analytics:
    """Count todos, points and hours of each day in a time zone, with totals."""
    at = timezone.now()
    zone = asked.timezone or timezone.get_default_timezone_name()
    last = asked.to or _today(at, zone)
    first = asked.from_ or usual_first(last)
    return analytics(user_id=user_id_of(request), first=first, last=last, timezone=zone, at=at)


def _today(at: dt.datetime, zone: str) -> dt.date:
    """Return the day in the zone; in UTC for one that nobody knows, which is refused later."""
    try:
        return at.astimezone(ZoneInfo(zone)).date()
    except (LookupError, ValueError, OSError):
        return at.date()
