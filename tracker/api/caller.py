"""Who calls, and what they called before with the same key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Header
from pydantic import StringConstraints

from common.access import user_id_of
from common.schemas import AnswerSchema
from tracker.services.idempotency import LONGEST_KEY, once

IdempotencyKey = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_KEY)] | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same request again gets the first answer, for 24 h.",
    ),
]
REPLAYED = "Idempotency-Replayed"


def answer_once(
    request: HttpRequest,
    response: HttpResponse,
    key: str | None,
    perform: Callable[[], Any],
    answer: type[AnswerSchema],
    *,
    takes_body: bool = False,
) -> Any:
    """Perform, or give the answer that the same request with the same key got.

    :param perform: returns what `answer` is made from.
    :param takes_body: the operation parsed what came; others ignore whatever is sent.
    """
    if key is None:
        return perform()

    def as_json() -> Any:
        made = answer.model_validate(perform(), from_attributes=True)
        return made.model_dump(mode="json", by_alias=False)

    found = once(
        user_id=user_id_of(request),
        key=key,
        operation=f"{request.method} {request.path}",
        body=json.loads(request.body) if takes_body else None,
        perform=as_json,
        at=timezone.now(),
    )
    if found.replayed:
        response[REPLAYED] = "true"
    return found.body
