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

from tests.homes import databases_of
from tests.tracker.world import NOW, forget_mongodb, somebody
from tracker.services import timers, todos

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OURS = r"^/api/(todos|timers|friends|reports|users|health)"
FOR_STAFF = r"^/api/health"
EXAMPLES = settings(
    max_examples=6,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
api = schemathesis.openapi.from_wsgi("/api/openapi.json", get_wsgi_application())


@pytest.fixture
def caller(db):
    """Sign somebody in who has something; return the cookies and headers of that browser."""
    yield from _signed_in(somebody("Schema", "Tester"))


@pytest.fixture
def operator(db):
    """Sign a member of staff in."""
    yield from _signed_in(somebody("Schema", "Operator", is_staff=True))


def _signed_in(user):
    forget_mongodb()
    todos.create_todo(user_id=user.pk, at=NOW, title="x", done=True)
    timers.start_timer(user_id=user.pk, at=NOW)
    client = Client()
    client.force_login(user)
    client.get("/api/docs")  # a page of ours, which sets the token
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    yield {"cookies": cookies, "headers": {"X-CSRFToken": cookies["csrftoken"]}}
    forget_mongodb()


@api.include(path_regex=OURS).parametrize()
@EXAMPLES
def test_signed_in(case, caller) -> None:
    case.call_and_validate(**caller, checks=CHECKS)


@pytest.mark.long
@pytest.mark.timeout(900)
@api.include(path_regex=OURS).parametrize()
@settings(EXAMPLES, max_examples=100, derandomize=False)
def test_signed_in_with_many_examples(case, caller) -> None:
    case.call_and_validate(**caller, checks=CHECKS)


@api.include(path_regex=FOR_STAFF).parametrize()
@EXAMPLES
def test_as_staff(case, operator) -> None:
    case.call_and_validate(**operator, checks=CHECKS)


@api.include(path_regex=OURS).parametrize()
@settings(EXAMPLES, max_examples=2)
def test_as_nobody(case) -> None:
    answer = case.call_and_validate(checks=CHECKS)

    public = case.path in {"/api/health", "/api/health/databases"}
    assert public or answer.status_code in {400, 401, 404, 405, 422}
