"""The first page says where to go, to everybody, without asking a database."""

from __future__ import annotations


def test_the_home_page_links_to_what_there_is_and_asks_no_database(client):
    response = client.get("/")

    assert response.status_code == 200
    for address in ("/admin/", "/api/docs", "/api/health/databases"):
        assert f'href="{address}"' in response.content.decode()


def test_browsers_find_the_icon(client):
    response = client.get("/favicon.ico")

    assert response.status_code == 301
    assert response["Location"].endswith("site/icon.svg")
