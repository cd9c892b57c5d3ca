"""A read of MongoDB ends in an answer or in an error that callers have a fallback for."""

from __future__ import annotations

import pytest

from databases.breaker import AliasUnavailable
from databases.stores import mongo


def test_a_read_whose_collection_is_replaced_is_one_that_mongodb_did_not_serve():
    with mongo.database() as database:
        database.drop_collection("replaced")
        database["replaced"].insert_many({"_id": number} for number in range(10))

    with pytest.raises(AliasUnavailable), mongo.database() as database:
        for _ in database["replaced"].find(batch_size=2):
            database.drop_collection("replaced")

    assert not mongo.breaker().is_open, "it is there for everybody else"
