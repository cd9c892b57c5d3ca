"""Operations that only the tests mount: one per kind of access, one per way to fail."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router

from common.access import guarded, identify, public, signed_in, staff
from common.errors import PolystoreError
from common.schemas import AnswerSchema, Page, WireSchema

router = Router()


class MessageIn(WireSchema):
    file_url: str
    total_points: int
    password: str = ""


class MessageOut(AnswerSchema):
    file_url: str
    total_points: int


class Filters(WireSchema):
    page_size: int = 10


class Spilled(PolystoreError):
    code, status, title = "probe.spilled", 409, "Spilled"
    remedy = "Mop up."
    retry_after = 7


@router.get("/open")
@public
def open_to_all(request: HttpRequest) -> dict[str, Any]:
    identity = identify(request)
    return {"staff": identity is not None and identity.is_staff}


@router.get("/mine")
@signed_in("tracker")
def mine(request: HttpRequest) -> dict[str, str]:
    return {"by": request.auth.by}  # type: ignore[attr-defined]


@router.post("/mine", response=MessageOut)
@signed_in("tracker")
def change_mine(request: HttpRequest, payload: MessageIn) -> MessageIn:
    return payload


@router.get("/operations")
@staff("operations")
def operations(request: HttpRequest) -> dict[str, str]:
    return {"by": request.auth.by}  # type: ignore[attr-defined]


@router.get("/backups")
@staff("backups")
def backups(request: HttpRequest) -> dict[str, str]:
    return {}


@router.get("/staff-users")
@signed_in("operations")
def for_the_scope_of_staff(request: HttpRequest) -> dict[str, str]:
    return {}


@router.get("/later")
@signed_in("tracker")
async def later(request: HttpRequest) -> dict[str, str]:
    return {"by": request.auth.by}  # type: ignore[attr-defined]


@router.get("/page", response=Page[MessageOut])
@public
def page(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    items = [{"file_url": "a", "total_points": filters.page_size}]
    return {"items": items, "next": None, "previous": None}


@router.post("/echo", response=MessageOut)
@public
def echo(request: HttpRequest, payload: MessageIn) -> MessageIn:
    return payload


class _DriverError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate
        super().__init__("server at db.internal, user polystore")


@router.get("/fail/{how}")
@public
def fail(request: HttpRequest, how: str) -> None:
    raise _failure(how)


def fail_in_a_page(request: HttpRequest, how: str) -> HttpResponse:
    raise _failure(how)


@guarded
@staff("operations")
def guarded_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("let in")


def statement_too_slow(request: HttpRequest) -> HttpResponse:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 20")
        cursor.execute("SELECT pg_sleep(5)")
    return HttpResponse()


def _failure(how: str) -> Exception:
    if how.startswith("sqlstate-"):
        error = OperationalError("server at db.internal, user polystore")
        error.__cause__ = _DriverError(how.removeprefix("sqlstate-") or None)
        return error
    return {
        "on-purpose": Spilled("The milk is spilled.", spilled_ml=250, status=200),
        "missing": Http404("secret reason"),
        "denied": PermissionDenied("secret reason"),
        "suspicious": SuspiciousOperation("secret reason"),
        "bug": ZeroDivisionError("secret reason"),
    }[how]
