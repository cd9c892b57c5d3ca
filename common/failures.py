"""What an exception means to a caller: one of our errors, whoever raised it.

Django's and the drivers' exceptions become `PolystoreError`s here, so that views, middleware and
the API give the same answer for the same cause.
"""

from __future__ import annotations

from typing import Final

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError

from common.errors import PolystoreError


class NotFound(PolystoreError):
    """Nothing lives at this address, or nothing that this caller may see."""

    code, status, title = "http.not_found", 404, "Not found"
    remedy = "Check the address; /api/docs lists every operation."


class MethodNotAllowed(PolystoreError):
    """The address exists, but not for this method."""

    code, status, title = "http.method_not_allowed", 405, "Method not allowed"
    remedy = "Use one of the methods in the header Allow."


class RequestRefused(PolystoreError):
    """The request is malformed in a way that no operation could answer."""

    code, status, title = "http.bad_request", 400, "Bad request"
    remedy = "Correct the request; sending it again unchanged will fail again."


class RequestTooLarge(PolystoreError):
    """The body is larger than the site takes."""

    code, status, title = "http.too_large", 413, "Request too large"
    remedy = "Send less at once."


class Forbidden(PolystoreError):
    """The caller is known and may not do this."""

    code, status, title = "http.forbidden", 403, "Forbidden"
    remedy = "Use an account that may do this."


class InternalFailure(PolystoreError):
    """A fault of ours. Says nothing about its cause; the log does, under the request id."""

    code, status, title = "internal", 500, "Something went wrong on our side"
    remedy = "Try again; if it stays, report the requestId."


class DatabaseUnavailable(PolystoreError):
    """The database behind this answer does not serve at the moment."""

    code, status, title = "databases.unavailable", 503, "A database is unavailable"
    remedy = "Try again after the time in Retry-After; the site recovers by itself."
    retry_after = 2


class DatabaseBusy(PolystoreError):
    """The database gave up waiting for a lock, or chose this transaction to end a deadlock."""

    code, status, title = "databases.busy", 503, "A database is busy"
    remedy = "Try again after the time in Retry-After."
    retry_after = 1


class DatabaseTooSlow(PolystoreError):
    """The statement took longer than its alias allows."""

    code, status, title = "databases.too_slow", 503, "A database took too long"
    remedy = "Ask for less at once, or try again later."
    retry_after = 5


class ReferenceGone(PolystoreError):
    """A row went, or came, while this was written that refers to it: nothing was written.

    Services look for what they refer to before they write, so it went in that moment: most often
    the account of whoever asks.
    """

    code, status, title = "databases.reference_gone", 409, "It has just changed"
    remedy = "Look again before you repeat it; sign in again if you closed your account."


_FOREIGN_KEY_VIOLATION: Final = "23503"
_BY_SQLSTATE: Final[dict[str, type[PolystoreError]]] = {
    "57014": DatabaseTooSlow,
    "55P03": DatabaseBusy,
    "40P01": DatabaseBusy,
    "40001": DatabaseBusy,
}
_MEANINGS: Final[tuple[tuple[tuple[type[Exception], ...], type[PolystoreError], str], ...]] = (
    ((Http404,), NotFound, "Nothing was found at this address."),
    ((PermissionDenied,), Forbidden, "You may not do this."),
    ((RequestDataTooBig,), RequestTooLarge, "The request is larger than the site takes."),
    (
        (SuspiciousOperation, BadRequest, MultiPartParserError),
        RequestRefused,
        "The request is malformed.",
    ),
)


def as_polystore_error(error: BaseException) -> PolystoreError | None:
    """Return what `error` means to a caller, or None where it is a fault of ours (a 500).

    The result never repeats a driver's message: those hold hosts, users and values.
    """
    if isinstance(error, PolystoreError):
        return error
    if isinstance(error, OperationalError | InterfaceError):
        return _database_error(error)
    if is_reference_gone(error):
        return ReferenceGone("What this refers to is gone, or something refers to it now.")
    for kinds, meaning, detail in _MEANINGS:
        if isinstance(error, kinds):
            return meaning(detail)
    return None


def is_unavailability(error: BaseException) -> bool:
    """Tell whether `error` says that a store does not serve: worth a warning, not a stack trace."""
    meaning = as_polystore_error(error)
    return meaning is not None and meaning.status == 503


def is_reference_gone(error: BaseException) -> bool:
    """Tell whether a foreign key refused what was written."""
    return (
        isinstance(error, IntegrityError)
        and getattr(error.__cause__, "sqlstate", None) == _FOREIGN_KEY_VIOLATION
    )


def _database_error(error: OperationalError | InterfaceError) -> PolystoreError:
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    kind = _BY_SQLSTATE.get(sqlstate, DatabaseUnavailable)
    return kind()
