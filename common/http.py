"""The one way from an error to an HTTP answer: application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from pydantic.alias_generators import to_camel

from common.errors import PolystoreError
from common.tracing import current_request_id

CONTENT_TYPE: Final = "application/problem+json"
_OWN_MEMBERS: Final = frozenset(
    {"type", "title", "status", "detail", "instance", "code", "remedy", "requestId"}
)


def problem(error: PolystoreError, *, request: HttpRequest | None = None) -> HttpResponse:
    """Return the answer that tells a program and its people about `error`.

    `error.extensions` become further members, `error.retry_after` the header Retry-After, and
    `error.challenge` the header WWW-Authenticate.
    """
    return problem_response(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        remedy=error.remedy,
        retry_after=error.retry_after,
        extensions=error.extensions,
        challenge=error.challenge,
        request=request,
    )


def problem_response(
    *,
    status: int,
    code: str,
    detail: str,
    remedy: str,
    title: str = "",
    retry_after: int | None = None,
    extensions: Mapping[str, Any] | None = None,
    challenge: str = "",
    request: HttpRequest | None = None,
) -> HttpResponse:
    """Return a problem document. Extensions never replace the members that RFC 9457 defines.

    :param extensions: further members, named in snake_case, written in camelCase.
    :param retry_after: whole seconds until another try may succeed.
    :param challenge: how to authenticate; the header WWW-Authenticate.
    :param request: gives `instance`, the path that was asked for (without its query).
    """
    members: dict[str, Any] = {
        "type": f"urn:problem-type:polystore:{code}",
        "title": title or _phrase(status),
        "status": status,
        "detail": detail,
        "instance": request.path if request is not None else "",
        "code": code,
        "remedy": remedy,
        "requestId": current_request_id(),
    }
    named = {to_camel(key): value for key, value in (extensions or {}).items()}
    extra = {key: value for key, value in named.items() if key not in _OWN_MEMBERS}
    body = json.dumps(members | extra, cls=DjangoJSONEncoder)
    response = HttpResponse(body, status=status, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    if retry_after is not None:
        response["Retry-After"] = str(max(1, retry_after))
    if challenge:
        response["WWW-Authenticate"] = challenge
    return response


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
