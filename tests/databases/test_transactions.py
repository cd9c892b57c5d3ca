"""One transaction, one database, and none while another store is called."""

from __future__ import annotations

import pytest
from django.db import transaction

from databases.stores import mongo
from databases.transactions import (
    TransactionHeldOpen,
    after_commit,
    atomic_for,
    require_no_transaction,
)

BOTH_REGIMES = pytest.mark.parametrize(
    "regime",
    [
        pytest.param("wrapped", marks=pytest.mark.django_db(databases=["default"])),
        pytest.param("real", marks=pytest.mark.django_db(databases=["default"], transaction=True)),
    ],
)


@BOTH_REGIMES
def test_without_a_transaction_the_store_may_be_called(regime):
    require_no_transaction(before="MongoDB was called")


@BOTH_REGIMES
def test_with_a_transaction_open_it_says_where_and_what_to_do(regime):
    with transaction.atomic(), pytest.raises(TransactionHeldOpen) as caught:
        require_no_transaction(before="MongoDB was called")

    assert "MongoDB was called, while a transaction is open on default" in caught.value.detail
    assert "on_commit" in caught.value.remedy


@BOTH_REGIMES
def test_the_door_of_mongodb_refuses_inside_a_transaction(regime):
    with transaction.atomic(), pytest.raises(TransactionHeldOpen), mongo.database():
        pass


@BOTH_REGIMES
def test_atomic_for_opens_the_transaction_where_the_app_lives(regime):
    with atomic_for("customers"):
        assert transaction.get_connection("default").in_atomic_block


@pytest.mark.django_db(databases=["default"], transaction=True)
def test_after_commit_waits_for_the_commit_and_forgets_on_rollback():
    called = []

    with atomic_for("customers"):
        after_commit("customers", lambda: called.append("kept"))
        assert called == []
    with pytest.raises(RuntimeError), atomic_for("customers"):
        after_commit("customers", lambda: called.append("lost"))
        raise RuntimeError

    assert called == ["kept"]
