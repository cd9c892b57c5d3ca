"""People of messaging's tests."""

from __future__ import annotations

import pytest

from databases.stores import mongo
from tests.messaging.world import Caller, forget_mongodb, opened, somebody


@pytest.fixture(autouse=True)
def _mongodb(request):
    """Give each test empty collections with their indexes, and leave nothing behind.

    Tests of a running site, in a database of its own, need none of it.
    """
    if request.node.get_closest_marker("django_db") is None:
        yield
        return
    request.getfixturevalue("db")
    mongo.ensure_indexes()
    forget_mongodb()
    yield
    mongo.breaker().succeeded()
    forget_mongodb()


@pytest.fixture
def ann(db):
    return somebody("Ann")


@pytest.fixture
def ben(db):
    return somebody("Ben")


@pytest.fixture
def cleo(db):
    return somebody("Cleo")


@pytest.fixture
def as_ann(ann):
    return Caller(ann)


@pytest.fixture
def as_ben(ben):
    return Caller(ben)


@pytest.fixture
def as_cleo(cleo):
    return Caller(cleo)


@pytest.fixture
def room(ann, ben):
    """Return the path of the messages of Ann's and Ben's conversation."""
    return f"/api/rooms/{opened(ann, ben)}/messages"
