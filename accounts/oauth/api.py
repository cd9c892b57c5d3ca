"""Personal tokens over HTTP. With a session only: no token makes or ends tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Status

from accounts.oauth.queries import personal_tokens_of
from accounts.oauth.schemas import NewTokenAnswer, TokenAnswer, TokenBody, TokenList
from accounts.oauth.services import personal
from accounts.sessions.current import current_session
from accounts.throttling import Rule, client_of, spend
from common.access import signed_in, user_of

router = Router()


@router.get("", response=TokenList, summary="Your personal tokens, the newest first")
@signed_in("users:read", in_person=True)
def list_tokens(request: HttpRequest) -> dict[str, Any]:
    """List the caller's tokens, without those that were revoked."""
    return {"items": list(personal_tokens_of(_user_id(request)))}


@router.post("", response={201: NewTokenAnswer}, summary="Make a personal token")
@signed_in("users:write", in_person=True)
def create_token(request: HttpRequest, response: HttpResponse, body: TokenBody) -> Any:
    """Make a token; `value` is shown in this answer and never again."""
    spend(Rule.NEW_TOKEN, client=client_of(request), account=_user_id(request))
    made = personal.create_token(
        user_id=_user_id(request),
        name=body.name,
        scopes=body.scopes,
        days=body.days,
        at=timezone.now(),
        session_id=current_session(request),
    )
    response["Cache-Control"] = "no-store"
    shown = TokenAnswer.model_validate(made.token, from_attributes=True)
    return Status(201, shown.model_dump(by_alias=False) | {"value": made.value})


@router.delete("/{uuid:token_id}", response={204: None}, summary="Revoke a personal token")
@signed_in("users:write", in_person=True)
def revoke_token(request: HttpRequest, token_id: UUID) -> Any:
    """End a token; it is refused from the next request on."""
    personal.revoke_token(user_id=_user_id(request), token_id=token_id, at=timezone.now())
    return Status(204, None)


def _user_id(request: HttpRequest) -> UUID:
    key: UUID = user_of(request.auth).pk  # type: ignore[attr-defined]  # ninja's
    return key
