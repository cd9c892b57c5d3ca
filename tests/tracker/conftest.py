"""People of the tracker's tests."""

from __future__ import annotations

import pytest

from tests.tracker.world import Caller, forget_mongodb, somebody


@pytest.fixture
def ann(db):
    return somebody("Ann", "Archer")


@pytest.fixture
def ben(db):
    return somebody("Ben", "Baker")


@pytest.fixture
def as_ann(ann):
    return Caller(ann)


@pytest.fixture
def as_ben(ben):
    return Caller(ben)


@pytest.fixture
def mongodb():
    """Give the test empty collections, and leave none of its documents behind."""
    forget_mongodb()
    yield
    forget_mongodb()
