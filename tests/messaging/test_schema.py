"""Whatever is sent, the API answers as its document says: no 500, nothing outside the schema."""

from __future__ import annotations

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from messaging.services.messages import post_message
from messaging.services.rooms import create_server
from tests.homes import databases_of
from tests.messaging.world import opened, somebody

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OURS = r"^/api/(conversations|servers|rooms|messages|health$)"
EXAMPLES = settings(
    max_examples=8,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
api = schemathesis.openapi.from_wsgi("/api/openapi.json", get_wsgi_application())


@pytest.fixture
def caller(db):
    """Sign somebody in who has rooms; return the cookies and headers of that browser."""
    user, other = somebody("Schema"), somebody("Other")
    room = opened(user, other)
    post_message(user_id=user.pk, room_id=room, content="word", key=None)
    create_server(user_id=user.pk, name="Server")
    client = Client()
    client.force_login(user)
    client.get("/api/docs")  # a page of ours, which sets the token
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    token = {"X-CSRFToken": cookies["csrftoken"]}
    return {"cookies": cookies, "headers": token}, {"room_id": room, "conversation_id": room}


@api.include(path_regex=OURS).parametrize()
@EXAMPLES
def test_signed_in(case, caller) -> None:
    browser, _ = caller
    case.call_and_validate(**browser, checks=CHECKS)


@api.include(path_regex=OURS).parametrize()
@EXAMPLES
def test_in_a_room_of_ones_own(case, caller) -> None:
    browser, ids = caller
    for name in case.path_parameters or {}:
        if name in ids:
            case.path_parameters[name] = str(ids[name])
    case.call_and_validate(**browser, checks=CHECKS)


@api.include(path_regex=OURS).parametrize()
@settings(EXAMPLES, max_examples=2)
def test_as_nobody(case) -> None:
    answer = case.call_and_validate(checks=CHECKS)

    assert case.path == "/api/health" or answer.status_code in {400, 401, 404, 405, 422}
