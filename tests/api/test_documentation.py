"""The API documents itself, from our own files alone."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
from django.contrib.staticfiles import finders

pytestmark = pytest.mark.urls("tests.api.urls")


@pytest.fixture
def document(client):
    return client.get("/api/probe/openapi.json").json()


class TestTheOpenApiDocument:
    def test_is_public(self, client):
        assert client.get("/api/openapi.json").json()["openapi"].startswith("3.")

    def test_speaks_camel_case(self, document):
        assert set(document["components"]["schemas"]["MessageOut"]["properties"]) == {
            "fileUrl",
            "totalPoints",
        }

    def test_names_scope_and_kind_of_what_is_not_public(self, document):
        details = document["paths"]["/api/probe/operations"]["get"]

        assert details["security"] == [{"session": ["operations"]}, {"bearer": ["operations"]}]
        assert details["x-access"] == "staff"
        assert "security" not in document["paths"]["/api/probe/open"]["get"]

    def test_describes_the_errors_of_every_operation(self, document):
        for methods in document["paths"].values():
            for details in methods.values():
                content = details["responses"]["default"]["content"]
                assert "application/problem+json" in content
        problem = document["components"]["schemas"]["Problem"]
        assert {"type", "code", "remedy", "requestId"} <= set(problem["required"])


class TestTheDocumentationPage:
    def test_loads_nothing_from_other_sites(self, client):
        page = client.get("/api/docs").content.decode()

        sources = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert sources
        assert all(source.startswith("/static/ninja/") for source in sources)

    def test_has_no_script_of_its_own_and_a_policy_that_allows_none(self, client):
        response = client.get("/api/docs")

        page = response.content.decode()
        assert all("src=" in tag or "json" in tag for tag in re.findall(r"<script[^>]*>", page))
        policy = response["Content-Security-Policy"]
        assert "script-src 'self';" in policy

    def test_finds_its_files_among_ours(self, client):
        page = client.get("/api/docs").content.decode()

        for source in re.findall(r'(?:src|href)="/static/([^"]+)"', page):
            assert finders.find(source), source

    def test_gets_its_files_served(self, client, db):
        with closing(client.get("/static/ninja/swagger-ui-init.js")) as response:
            assert response.status_code == 200
            assert "javascript" in response["Content-Type"]
