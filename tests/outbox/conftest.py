"""Subscribers of the tests, in place of the site's own."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from databases.stores import mongo
from outbox import registry
from outbox.delivery import settling
from tests.outbox.notes import Listener, Notes


@pytest.fixture
def nobody(monkeypatch):
    """Have nobody subscribed, and retries come due only when a test says so."""
    monkeypatch.setattr(settling, "pause_before", lambda _: 3_600.0)
    monkeypatch.setattr(registry, "_registry", registry._Registry())
    # Indexes are declared for good: those of one test are not for the next.
    monkeypatch.setattr(mongo, "_indexes", list(mongo._indexes))


@pytest.fixture
def elsewhere(transactional_db):
    """Yield a connection of somebody else."""
    parameters = connection.get_connection_params()
    kept = {name: parameters[name] for name in ("dbname", "user", "host", "port", "password")
            if parameters.get(name)}  # fmt: skip
    with psycopg.connect(**kept) as made:
        yield made


@pytest.fixture(scope="module")
def table_of_notes(django_db_setup, django_db_blocker):
    """Make a table that no model stands for."""
    with django_db_blocker.unblock():
        connection.cursor().execute("CREATE TABLE tests_note (id text PRIMARY KEY, text text)")
        connection.close()
    yield
    with django_db_blocker.unblock():
        connection.cursor().execute("DROP TABLE tests_note")
        connection.close()


@pytest.fixture
def notes(nobody, table_of_notes, transactional_db):
    """Have notes shown in MongoDB."""
    made = Notes()
    registry.subscribe(made.projection())
    yield made
    connection.cursor().execute("TRUNCATE tests_note")
    with mongo.database() as database:
        database["notes"].delete_many({})


@pytest.fixture
def listener(nobody, table_of_notes, transactional_db):
    """Have a consumer told of notes."""
    made = Listener()
    registry.subscribe(made.consumer())
    yield made
    connection.cursor().execute("TRUNCATE tests_note")
