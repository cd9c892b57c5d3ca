"""The JSON API: every app's router under /api/, one gate before every operation.

An operation that does not declare its access (see `common.access`) stops the start of the site.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.constants import NOT_SET
from ninja.errors import HttpError, Throttled, ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.router import BoundRouter

from common.access import Access, Identity, Kind, access_of, admit
from common.errors import PolystoreError
from common.failures import (
    InternalFailure,
    RequestRefused,
    as_polystore_error,
    is_reference_gone,
    is_unavailability,
)
from common.http import problem
from common.schemas import Problem, problem_openapi

logger = logging.getLogger(__name__)

ROUTERS: Final = {
    "": "databases.api",
    "/auth": "accounts.api.auth",
    "/auth/me": "accounts.api.leaving",
    "/auth/sessions": "accounts.sessions.api",
    "/auth/tokens": "accounts.oauth.api",
    "/backup": "databases.backup.api",
    "/health": "outbox.api",
    "/opportunity-zones": "caches.api",
    "/geocode": "caches.api.geocoding",
    "/conversations": "messaging.api.conversations",
    "/servers": "messaging.api.servers",
    "/rooms": "messaging.api.rooms",
    "/messages": "messaging.api.messages",
    "/todos": "tracker.api.todos",
    "/timers": "tracker.api.timers",
    "/friends": "tracker.api.friends",
    "/reports": "tracker.api.reports",
    # Before /users, whose /users/{id} they would meet.
    "/users/leaderboard": "tracker.api.leaderboard",
    "/users/search": "tracker.api.search",
    "/users": "accounts.api.users",
}
"""Prefix under /api to the module whose `router` is mounted there."""


class RequestInvalid(PolystoreError):
    """Parameters or body do not have the declared shape."""

    code, status, title = "request.invalid", 422, "Invalid request"
    remedy = "Correct what `errors` lists; /api/docs shows the expected shape."


class BodyUnreadable(PolystoreError):
    """The body is no JSON (RFC 8259), or holds text that no store can keep."""

    code, status, title = "request.body_unreadable", 400, "Unreadable body"
    remedy = "Send valid JSON in UTF-8, without NUL characters, NaN or lone surrogates."


class BodyTooComplex(PolystoreError):
    """The body is JSON, and nests deeper or holds more values than any operation needs."""

    code, status, title = "request.too_complex", 413, "Body too complex"
    remedy = "Send less at once, and fewer lists and objects within each other."


class TooManyRequests(PolystoreError):
    """The caller is over the limit of this operation."""

    code, status, title = "request.too_many", 429, "Too many requests"
    remedy = "Wait for the time in Retry-After."


class StrictParser(Parser):
    """JSON as RFC 8259 has it, and only text that every store can keep."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body's value. Raises ValueError, which ninja turns into a 400.

        :raises BodyTooComplex: 413, for what nests too deeply or holds too many values.
        """
        try:
            value = json.loads(request.body, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("The body nests deeper than can be read.") from None
        _refuse_too_complex(value)
        # json.loads lets the bytes of half a surrogate pass, which begin with ED.
        if any(mark in request.body for mark in (b"\\u", b"\0", b"\xed")):
            _refuse_unstorable(value)
        return value

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> Any:
        """Return the parameters. Raises RequestRefused for text that no store can keep."""
        for values in data.lists():
            if any("\0" in value for value in (values[0], *values[1]) if isinstance(value, str)):
                raise RequestRefused("A parameter holds a NUL character.")
        return super().parse_querydict(data, list_fields, request)


class Gate:
    """Lets callers through to one operation, by what that operation declared."""

    csrf = True  # tells the docs page to send the CSRF token

    def __init__(self, access: Access) -> None:
        """Guard with `access`."""
        self.access = access

    def __call__(self, request: HttpRequest) -> Identity | None:
        """Return who was let in; ninja keeps it as `request.auth`. Raises PolystoreError."""
        return admit(request, self.access)


def nobody(request: HttpRequest) -> None:
    """Let no one in: what guards an operation before its own gate is set."""


nobody.csrf = True  # type: ignore[attr-defined]  # tells the docs page to send the CSRF token


class Api(NinjaAPI):
    """NinjaAPI that denies by default, speaks camelCase, and answers errors as problems."""

    def set_default_exception_handlers(self) -> None:
        """Answer every exception as a problem document."""
        handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
            Exception: _on_any,
            HttpError: _on_http_error,
            ValidationError: _on_validation_error,
        }
        for kind, handler in handlers.items():
            self.add_exception_handler(kind, handler)

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        """Begin an answer that no browser or proxy keeps, unless its operation says otherwise."""
        response = super().create_temporal_response(request)
        response["Cache-Control"] = "no-store"
        return response

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Name places as the client knows them: without the name of the view's body parameter."""
        errors: list[dict[str, Any]] = []
        for context in error_contexts:
            inner = getattr(context.model, "__read_from_single_attr__", None)
            for fault in super().validation_error_from_error_contexts([context]).errors:
                source, *rest = fault["loc"]
                fault["loc"] = (source, *(rest[1:] if rest[:1] == [inner] else rest))
                errors.append(fault)
        return ValidationError(errors)

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """Return the OpenAPI document, with the errors and scopes of every operation."""
        schema = super().get_openapi_schema(**kwargs)
        components = schema["components"]
        components["schemas"]["Problem"] = _problem_schema(components["schemas"])
        components["securitySchemes"] = {
            "session": {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        for details, operation in self._documented(schema):
            details["responses"] = {**details["responses"], "default": problem_openapi()}
            access = access_of(operation.view_func)
            if access is not None and access.scope is not None:
                ways = ["session"] if access.in_person else ["session", "bearer"]
                details["security"] = [{way: [access.scope]} for way in ways]
                details["x-access"] = access.kind
        return schema

    def _get_bound_routers(self) -> list[BoundRouter]:
        fresh = self._bound_routers_cache is None
        routers = super()._get_bound_routers()
        if fresh:
            for _, operation in _operations(routers):
                _guard(operation)
        return routers

    def _documented(self, schema: OpenAPISchema) -> Iterator[tuple[dict[str, Any], Operation]]:
        by_id = {
            operation.operation_id or self.get_openapi_operation_id(operation): operation
            for _, operation in _operations(self._get_bound_routers())
        }
        for methods in schema["paths"].values():
            for details in methods.values():
                yield details, by_id[details["operationId"]]


def build(routers: dict[str, str] = ROUTERS, *, namespace: str = "api") -> Api:
    """Return the API with the router of every listed module mounted.

    :raises ImproperlyConfigured: when an operation does not declare its access.
    """
    api = Api(
        title="Polystore",
        version="1",
        description="One application over many databases.",
        auth=[nobody],
        parser=StrictParser(),
        urls_namespace=namespace,
    )
    for prefix, module in routers.items():
        if find_spec(module) is not None:
            api.add_router(prefix, f"{module}.router", tags=[module.partition(".")[0]])
    return api


def _operations(routers: list[BoundRouter]) -> Iterator[tuple[str, Operation]]:
    for bound in routers:
        for path, view in bound.path_operations.items():
            for operation in view.operations:
                yield f"{bound.prefix}{path}", operation


def _guard(operation: Operation) -> None:
    """Put the declared gate before `operation`; refuse an operation that declares none."""
    view: Callable[..., Any] = operation.view_func
    name = f"{view.__module__}.{view.__qualname__}"
    access = access_of(view)
    if access is None:
        raise ImproperlyConfigured(
            f"{name} does not declare who may call it. "
            "Add @public, @signed_in(scope) or @staff(scope) of common.access below its route."
        )
    if operation.auth_param not in (None, NOT_SET):
        raise ImproperlyConfigured(
            f"{name} sets ninja's auth=, which common.access replaces. Remove it."
        )
    operation.auth_callbacks = [] if access.kind is Kind.PUBLIC else [Gate(access)]
    operation.by_alias = True


def _on_any(request: HttpRequest, error: Exception) -> HttpResponse:
    meaning = as_polystore_error(error)
    if meaning is None:
        logger.error("api.operation.failed", exc_info=error)
        # Django's own signal for uncaught exceptions: error tracking and the test client listen.
        got_request_exception.send(sender=None, request=request)
        return problem(InternalFailure(), request=request)
    if is_unavailability(error):
        logger.warning("api.operation.unavailable", extra={"code": meaning.code})
    if is_reference_gone(error):
        # Seldom is right; often, a service does not look for what it refers to.
        logger.warning("api.operation.reference_gone", exc_info=error)
    return problem(meaning, request=request)


def _on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer what ninja itself raises: bodies that cannot be read, and throttles."""
    if isinstance(error.__cause__, PolystoreError):  # our parser's own refusal
        return problem(error.__cause__, request=request)
    if isinstance(error, Throttled):
        return problem(TooManyRequests("Too many requests."), request=request)
    if error.status_code == 400:
        return problem(BodyUnreadable("The body cannot be read as JSON."), request=request)
    refused = RequestRefused(str(error))
    refused.status = error.status_code
    return problem(refused, request=request)


def _on_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """List what is wrong and where. Values are never repeated: they may be secrets."""
    errors = [
        {
            "location": [str(part) for part in fault["loc"]],
            "message": fault["msg"].removeprefix("Value error, "),
            "code": fault["type"],
        }
        for fault in error.errors
    ]
    detail = "; ".join(f"{'.'.join(e['location'])}: {e['message']}" for e in errors[:5])
    return problem(RequestInvalid(detail, errors=errors), request=request)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON.")


def _refuse_too_complex(value: Any) -> None:
    """Raise BodyTooComplex beyond MAX_JSON_DEPTH and MAX_JSON_VALUES, without recursion."""
    level, values = [value], 0
    for _ in range(settings.MAX_JSON_DEPTH):
        values += len(level)
        if values > settings.MAX_JSON_VALUES:
            raise BodyTooComplex("The body holds too many values.")
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    if any(isinstance(inner, dict | list) for inner in level):
        raise BodyTooComplex("The body nests too deeply.")


def _refuse_unstorable(value: Any) -> None:
    """Raise ValueError where a text in `value` holds a NUL or half of a surrogate pair."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("NUL in a text.")
        value.encode()  # UnicodeEncodeError is a ValueError
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unstorable(inner)


def _problem_schema(components: dict[str, Any]) -> dict[str, Any]:
    schema = Problem.model_json_schema(
        by_alias=True, mode="serialization", ref_template="#/components/schemas/{model}"
    )
    components.update(schema.pop("$defs", {}))
    return schema


api = build()
