"""Whatever is sent to /api/auth, it answers as its document says: no 500, nothing unforeseen."""

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

from tests.homes import every_database
from tests.people import a_user

pytestmark = pytest.mark.django_db(transaction=True, databases=every_database())
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = settings(
    max_examples=4, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None
)
api = schemathesis.openapi.from_wsgi("/api/openapi.json", get_wsgi_application())


@pytest.fixture
def caller(db):
    """Sign somebody in; return the cookies and headers of that browser."""
    client = Client()
    client.force_login(a_user())
    client.get("/api/auth/csrf")
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    return {"cookies": cookies, "headers": {"X-CSRFToken": cookies["csrftoken"]}}


@api.include(path_regex="^/api/auth").parametrize()
@EXAMPLES
def test_signed_in(case, caller) -> None:
    case.call_and_validate(**caller, checks=CHECKS)


@api.include(path_regex="^/api/auth").parametrize()
@settings(EXAMPLES, max_examples=2)
def test_as_nobody(case) -> None:
    answer = case.call_and_validate(checks=CHECKS)

    # What is public still changes nothing for strangers without the token of our pages.
    assert answer.status_code in {200, 202, 400, 401, 403, 404, 405, 413, 422, 429}
