"""The helpers for tests do what their names say, on the real servers."""

from __future__ import annotations

import contextlib
import threading

import pytest
from django.db import connections, transaction
from django.test import override_settings

from accounts.models import User
from common.errors import PolystoreError
from customers.models import BusinessEntity
from databases import replica
from databases.aliases import primary_of
from databases.breaker import AliasUnavailable
from databases.causality import causal_scope
from databases.guards import CrossesDatabases
from databases.middleware import settle
from databases.placement import alias_of
from databases.testing import (
    TestSetupRefused,
    alias_down,
    assert_no_cross_database,
    assert_read_from,
    replica_lag,
)
from documents.models import Document
from tests.waiting import eventually

EVERY = list(connections.settings)
with_a_replica = pytest.mark.skipif(
    "replica" not in connections.settings, reason="this shape has no replica"
)
split = pytest.mark.skipif("documents" not in connections.settings, reason="one database for all")
pytestmark = pytest.mark.django_db(transaction=True, databases=EVERY)


@pytest.fixture
def caught_up():
    """Return when the replica shows the test's database."""
    copy = replica.get("replica")
    eventually(lambda: copy.look().usable and copy.state().lag_bytes == 0)
    yield copy
    connections["replica"].close()


def an_entity() -> BusinessEntity:
    owner, _ = User.objects.get_or_create(email="owner@example.org")
    return BusinessEntity.objects.create(legal_name="Acme", owner=owner)


class TestAliasDown:
    @split
    def test_callers_are_refused_in_the_block_and_served_after_it(self):
        assert Document.objects.count() == 0

        with alias_down("documents") as breaker:
            assert breaker.state().open
            with pytest.raises(AliasUnavailable):
                Document.objects.count()
            assert User.objects.count() == 0

        assert not breaker.state().open
        assert Document.objects.count() == 0

    @split
    def test_other_threads_are_refused_too(self):
        seen: list[AliasUnavailable] = []

        def work() -> None:
            try:
                Document.objects.count()
            except AliasUnavailable as error:
                seen.append(error)
            finally:
                connections.close_all()

        with alias_down("documents"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        assert [error.store for error in seen] == ["documents"]

    @with_a_replica
    def test_reads_of_a_replica_that_is_down_come_from_the_primary(self, caught_up):
        known = an_entity()

        with alias_down("replica"), causal_scope() as state:
            with assert_read_from("default"):
                assert BusinessEntity.objects.get(pk=known.pk) == known
            assert state.degraded == {"replica"}

        eventually(lambda: caught_up.look().usable)

    @split
    def test_the_alias_is_back_also_after_a_failure_in_the_block(self):
        with pytest.raises(ZeroDivisionError), alias_down("documents"):
            1 / 0  # noqa: B018 - the failure

        assert Document.objects.count() == 0

    def test_inside_a_transaction_it_says_that_it_cannot(self):
        alias = alias_of("documents")

        with (
            transaction.atomic(using=alias),
            pytest.raises(TestSetupRefused, match="transaction is open"),
            alias_down(alias),
        ):
            pass


@with_a_replica
class TestReplicaLag:
    def test_the_replica_shows_nothing_new_in_the_block_and_everything_after_it(self, caught_up):
        with replica_lag():
            known = an_entity()
            assert not BusinessEntity.objects.using("replica").filter(pk=known.pk).exists()

        assert BusinessEntity.objects.using("replica").filter(pk=known.pk).exists()

    def test_who_wrote_reads_from_the_primary_meanwhile(self, caught_up):
        with replica_lag(), causal_scope() as state:
            known = an_entity()
            settle(state)
            with assert_read_from("default"):
                BusinessEntity.objects.get(pk=known.pk)


class TestAssertReadFrom:
    def test_counts_reads_by_alias(self):
        with assert_read_from(alias_of("accounts"), alias_of("documents")) as reads:
            User.objects.count()
            Document.objects.count()

        assert sum(reads.values()) == 2

    @split
    def test_names_what_was_read_elsewhere(self):
        with (
            pytest.raises(AssertionError, match=r"(?s)Not read from documents:.*default: SELECT"),
            assert_read_from("documents"),
        ):
            User.objects.count()

    def test_sees_raw_cursors(self):
        with (
            pytest.raises(AssertionError, match="default: select 1"),
            assert_read_from("nowhere"),
            connections["default"].cursor() as cursor,
        ):
            cursor.execute("select 1")

    def test_a_block_that_reads_nothing_proves_nothing(self):
        with pytest.raises(AssertionError, match="Nothing was read"), assert_read_from("default"):
            pass

    def test_writes_and_the_look_at_the_position_behind_them_are_no_reads(self):
        with assert_read_from("default") as reads, causal_scope() as state:
            with transaction.atomic():
                User.objects.create(email="somebody@example.org")
            settle(state)
            User.objects.count()

        assert reads == {"default": 1}

    @with_a_replica
    def test_tells_the_replica_from_its_primary(self, caught_up):
        with causal_scope(), assert_read_from("replica"):
            BusinessEntity.objects.count()
        with assert_read_from("default"):
            BusinessEntity.objects.count()

    @with_a_replica
    def test_a_read_that_the_primary_repeated_counts_for_the_primary(self, caught_up):
        with alias_down("replica"), assert_read_from("default") as reads:
            BusinessEntity.objects.using("replica").count()

        assert reads == {"default": 1}


class TestAssertNoCrossDatabase:
    CROSSING = "SELECT count(*) FROM accounts_user, documents_document"

    def cross(self) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute(self.CROSSING)

    @override_settings(CROSS_DATABASE_GUARD="log")
    def test_raises_also_where_the_site_only_logs(self):
        with pytest.raises(CrossesDatabases), assert_no_cross_database():
            self.cross()

    def test_an_error_that_the_code_caught_is_not_forgotten(self):
        with (
            pytest.raises(AssertionError, match="crossed 1 times"),
            assert_no_cross_database(),
            contextlib.suppress(PolystoreError),
        ):
            self.cross()

    def test_says_nothing_where_nothing_crosses(self):
        with assert_no_cross_database():
            User.objects.count()
            Document.objects.count()


def test_every_alias_can_be_down_and_comes_back():
    for alias in EVERY:
        if primary_of(alias) == alias:
            with alias_down(alias) as breaker:
                assert breaker.is_open
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1")
