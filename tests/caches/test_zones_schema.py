"""Whatever is sent, the zones answer as their document says: no 500, nothing outside the schema."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from caches.models import Run
from caches.services.seeding import seed
from caches.services.sources import SAMPLE
from tests.caches.geocoders import geocoding
from tests.caches.memory import in_memory
from tests.homes import databases_of
from tests.people import a_superuser

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches", "accounts"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = settings(max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck))
api = schemathesis.openapi.from_wsgi("/api/openapi.json", get_wsgi_application())


@pytest.fixture(params=["memory", "database"])
def caller(request):
    """Sign staff in; return the cookies and headers of that browser."""
    seed(location=str(SAMPLE), at=timezone.now())
    client = Client()
    client.force_login(a_superuser())
    client.get("/api/docs")  # a page of ours, which sets the token
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    found = {"cookies": cookies, "headers": {"X-CSRFToken": cookies["csrftoken"]}}
    with in_memory() if request.param == "memory" else nullcontext(), geocoding("census"):
        yield found


@api.include(path_regex=r"^/api/(opportunity-zones|geocode)").parametrize()
@EXAMPLES
def test_the_zones_answer_as_documented(case, caller) -> None:
    case.call_and_validate(**caller, checks=CHECKS)
    Run.objects.filter(slot=1).update(slot=None, state=Run.State.FAILED)
