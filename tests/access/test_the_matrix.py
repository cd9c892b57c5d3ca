"""Every endpoint and every page of the admin, tried by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

from config.api import api
from tests.access.callers import CALLERS, COLLECTOR_TOKEN, MACHINES, STAFF, STRANGERS
from tests.access.expectations import (
    ADMIN,
    API,
    BODIES,
    DEEDS,
    GENERATED,
    ID,
    NOT_BY_THE_ALLOWED,
    PAGES,
    PARAMETERS,
)
from tests.admin_site import registered
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(
    databases=databases_of(
        "customers",
        "caches",
        "analytics",
        "documents",
        "compliance",
        "workspace",
        "tracker",
        "messaging",
    )
)


@pytest.fixture(params=sorted(CALLERS))
def caller(request, settings) -> str:
    settings.METRICS_TOKEN = COLLECTOR_TOKEN
    return str(request.param)


@pytest.fixture
def client(caller: str) -> Client:
    made = CALLERS[caller]()
    made.raise_request_exception = False
    return made


# Everything is declared ---------------------------------------------------------------------------


def operations() -> set[str]:
    """Return every operation that the OpenAPI document names."""
    return {
        f"{method.upper()} {path}"
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method in methods
    }


def patterns(found: Any = None, prefix: str = "") -> Iterator[str]:
    """Yield the patterns of all pages, but those of the API and of the admin's models."""
    models = {f"admin/{model.replace('.', '/')}/" for model in ADMIN}
    for pattern in found or get_resolver().url_patterns:
        whole = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if whole not in models:
                yield from patterns(pattern.url_patterns, whole)
        elif not whole.startswith("api/") or whole in PAGES:
            yield re.sub(r"^admin/\^.*", "admin/<app>/", whole).replace(
                "admin/(?P<url>.*)$", "admin/<rest>"
            )


def test_every_operation_has_a_row() -> None:
    assert operations() == set(API)


def test_every_page_has_a_row() -> None:
    assert set(patterns()) == set(PAGES) | GENERATED


def test_every_model_of_the_admin_has_a_row() -> None:
    assert {model._meta.label_lower for model in registered()} == set(ADMIN)


def test_the_api_has_no_page_that_its_document_leaves_out() -> None:
    routes = {route for route in _all_patterns() if route.startswith("api/")}
    documented = {re.sub(r"<[^>]*>", "{}", route) for route in routes}
    named = {re.sub(r"\{[^}]*\}", "{}", each.partition(" ")[2].lstrip("/")) for each in API}

    pages = {re.sub(r"<[^>]*>", "{}", pattern) for pattern in PAGES}
    assert documented - named - pages == {"api/"}


def _all_patterns(found: Any = None, prefix: str = "") -> Iterator[str]:
    for pattern in found or get_resolver().url_patterns:
        whole = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _all_patterns(pattern.url_patterns, whole)
        else:
            yield whole


# Everybody tries ----------------------------------------------------------------------------------


def test_operations_of_the_api(client: Client, caller: str) -> None:
    wrong = []
    for operation, audience in API.items():
        if caller in audience and operation in NOT_BY_THE_ALLOWED:
            continue
        method, _, path = operation.partition(" ")
        answer = client.generic(
            method,
            re.sub(r"\{(\w+)\}", lambda name: PARAMETERS.get(name[1], ID), path),
            "" if method == "GET" else BODIES.get(operation, "{}"),
            content_type="application/json",
        )
        if caller in audience:
            fits = answer.status_code not in {401, 403, 500}
        else:
            fits = answer.status_code == (401 if caller in STRANGERS else 403)
            fits = fits and answer["Content-Type"] == "application/problem+json"
        if not fits:
            wrong.append(f"{operation}: {answer.status_code}")

    assert "\n".join(wrong) == ""


def test_pages(client: Client, caller: str) -> None:
    wrong = []
    for pattern, page in PAGES.items():
        if pattern in {"admin/logout/", "account/logout/"}:
            continue  # they would end the session
        answer = client.generic(page.method, page.path)
        if page.to is None:
            fits = answer.status_code in {301, 302, 307, 400, 401, 503}
        else:
            fits = lets_in(answer) == (caller in page.to) and answer.status_code != 500
        if not fits:
            wrong.append(f"{page.method} {page.path}: {answer.status_code}")

    assert "\n".join(wrong) == ""


def test_the_admins_models(client: Client, caller: str) -> None:
    wrong = []
    for model, audiences in ADMIN.items():
        for deed in DEEDS:
            answer = ask_the_admin(client, model, deed)
            allowed = caller in audiences[deed]
            refusal = 403 if caller in STAFF else 302
            fits = lets_in(answer) if allowed else answer.status_code == refusal
            if not fits or lets_in(answer) != allowed or answer.status_code == 500:
                wrong.append(f"{deed} {model}: {answer.status_code}")

    assert "\n".join(wrong) == ""


def ask_the_admin(client: Client, model: str, deed: str) -> Any:
    """Try a deed on a model; there is no row, and Django asks for the permission first."""
    address = f"/admin/{model.replace('.', '/')}/"
    row = "999999" if model.startswith(("outbox", "django_celery", "auth", "admin.")) else ID
    if deed == "view":
        return client.get(address)
    if deed == "add":
        return client.get(address + "add/")
    return client.post(f"{address}{row}/{deed}/", {"post": "yes"})


def test_nobody_of_staff_sees_the_history_of_what_they_may_not_view() -> None:
    stranger = CALLERS["staff without a role"]()
    pages = [f"/admin/{model.replace('.', '/')}/1/history/" for model in ADMIN]

    answers = {page: stranger.get(page).status_code for page in pages}

    assert {page for page, status in answers.items() if status not in {302, 403}} == set()


def test_signing_out_of_the_admin_is_for_those_who_are_in(client: Client, caller: str) -> None:
    answer = client.post("/admin/logout/")

    signed_out = answer.headers.get("Location") == "/"
    assert signed_out == (caller not in STRANGERS | MACHINES | {"member"})


def lets_in(answer: Any) -> bool:
    """Tell whether somebody was let in: neither refused nor sent to sign in."""
    if answer.status_code in {401, 403}:
        return False
    return not (answer.status_code == 302 and "/login/" in answer["Location"])
