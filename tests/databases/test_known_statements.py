"""A statement known to be harmless is looked at once; what may change anything, every time."""

from __future__ import annotations

import pytest
from django.db import connection, connections

from databases import guards, placement
from databases.causality import causal_scope
from databases.guards import WrongDatabase, harmless
from documents.models import Document
from tests.homes import databases_of, home_of

READ = "SELECT count(*) FROM documents_document"


@pytest.fixture(autouse=True)
def nothing_is_known():
    """Begin and end without knowledge."""
    guards.forget_statements()
    yield
    guards.forget_statements()


def run(alias: str, query: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(query)


@pytest.mark.django_db(databases=databases_of("documents"))
class TestOfOneApp:
    def test_a_read_at_home_is_remembered_as_harmless(self):
        run(home_of(Document), READ)

        assert READ in harmless[home_of(Document)]

    @pytest.mark.skipif("documents" not in connections.settings, reason="one database for all")
    def test_it_is_looked_at_again_when_the_app_moves(self):
        run("documents", READ)

        with placement.assumed({"documents": "default"}), pytest.raises(WrongDatabase):
            run("documents", READ)
        run("documents", READ)

    @pytest.mark.skipif("documents" not in connections.settings, reason="one database for all")
    def test_what_is_refused_is_refused_every_time(self):
        for _ in range(3):
            with pytest.raises(WrongDatabase):
                run("default", READ)

    def test_there_is_a_bound_to_what_is_remembered(self, monkeypatch):
        monkeypatch.setattr(guards, "MOST_HARMLESS", 10)

        for number in range(25):
            run(home_of(Document), f"{READ} WHERE {number} = {number}")

        assert len(harmless[home_of(Document)]) <= 10


@pytest.mark.django_db(transaction=True, databases=databases_of("documents"))
def test_a_function_that_writes_counts_every_time():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE noted (text text)")
        cursor.execute(
            "CREATE FUNCTION note(words text) RETURNS void LANGUAGE sql AS "
            "$$ INSERT INTO noted VALUES (words) $$"
        )
    try:
        for _ in range(3):
            with causal_scope() as state:
                run("default", "SELECT note('x')")
            assert state.wrote == {"default"}
    finally:
        run("default", "DROP FUNCTION note; DROP TABLE noted")


@pytest.mark.django_db(transaction=True, databases=databases_of("documents"))
def test_the_same_text_counts_as_a_write_only_when_it_met_a_row():
    update = "UPDATE documents_document SET title = 'x' WHERE false"
    alias = home_of(Document)

    run(alias, update)

    assert update not in harmless[alias]
