"""Taking one's data along, and leaving."""

from __future__ import annotations

from django.contrib.auth import logout
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from ninja import Router, Status

from accounts import services
from accounts.api.caller import person_of, proved
from accounts.leaving.deleting import delete_account
from accounts.leaving.exporting import exported_parts, file_name
from accounts.schemas import PasswordBody
from accounts.throttling import Rule, client_of, origin_of, spend
from common.access import signed_in
from common.json_stream import as_download

router = Router()
DOCUMENT = {
    "responses": {
        200: {
            "description": "Everything that is kept of the caller, app by app; `missing` names "
            "parts whose database is down.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    }
}


@router.get("/export", summary="Everything that is kept of you", openapi_extra=DOCUMENT)
@signed_in("users:read")
def export(request: HttpRequest) -> HttpResponseBase:
    """Download it as one JSON document."""
    user = person_of(request)
    spend(Rule.EXPORT, client=client_of(request), account=user.pk)
    at = timezone.now()
    parts = exported_parts(user_id=user.pk, at=at, client=client_of(request))
    return as_download(parts, file_name=file_name(at=at))


@router.post("/deactivate", response={204: None}, summary="Close your account for now")
@signed_in("users:write")
def deactivate(request: HttpRequest, body: PasswordBody) -> Status[None]:
    """Sign out everywhere and bar the account; an operator can open it again."""
    user = proved(request, body.password)
    services.deactivate_account(user=user, at=timezone.now(), client=client_of(request))
    logout(request)
    return Status(204, None)


@router.post("/delete", response={204: None}, summary="Delete your account")
@signed_in("users:write")
def delete(request: HttpRequest, body: PasswordBody) -> Status[None]:
    """Delete the account and all that is yours. This cannot be taken back."""
    user = proved(request, body.password)
    delete_account(user_id=user.pk, origin=origin_of(request), client=client_of(request))
    logout(request)
    return Status(204, None)
