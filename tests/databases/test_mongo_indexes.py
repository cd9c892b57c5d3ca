"""`ensure_mongo_indexes` makes what the apps declare, as often as it is asked."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from databases.stores import mongo
from databases.stores.mongo import Index

COLLECTION = "indexes_of_the_tests"


@pytest.fixture
def declared(monkeypatch):
    """Declare two indexes for this test only."""
    monkeypatch.setattr(mongo, "_indexes", [])
    mongo.declare_index(Index(collection=COLLECTION, keys=[("name", 1)], unique=True))
    mongo.declare_index(Index(collection=COLLECTION, keys=[("at", -1), ("name", 1)]))
    yield
    if mongo.configured():
        with mongo.database(timeout=10.0) as database:
            database.drop_collection(COLLECTION)


def run() -> str:
    out = StringIO()
    call_command("ensure_mongo_indexes", stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("declared")
def test_every_declared_index_is_made_and_a_second_time_changes_nothing():
    said = [run(), run()]
    with mongo.database(timeout=10.0) as database:
        found = database[COLLECTION].index_information()

    assert said == [f"{COLLECTION}: 2\n2 indexes are in place.\n"] * 2
    assert len(found) == 3  # MongoDB's own on _id is the third
    assert found["name_1"]["unique"]


@pytest.mark.usefixtures("declared")
def test_without_mongodb_it_says_which_variable_to_set(settings):
    settings.MONGO_URL = ""
    with pytest.raises(CommandError, match=r"MongoDB is not configured\. Set MONGO_URL"):
        run()
