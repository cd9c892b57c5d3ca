"""While the primary is down its replica goes on serving readers, as long as it has everything."""

from __future__ import annotations

import pytest
from django.db import connections

from accounts.models import User
from customers.models import BusinessEntity
from databases import replica
from databases.breaker import AliasUnavailable
from databases.causality import causal_scope
from databases.testing import assert_read_from
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.skipif("replica" not in connections.settings, reason="this shape has no replica"),
    pytest.mark.django_db(transaction=True, databases=["default", "replica"]),
]


@pytest.fixture
def copy():
    """Return the replica, once it shows the test's database; it is well again afterwards."""
    found = replica.get("replica")
    eventually(lambda: found.look().usable and found.state().lag_bytes == 0)
    yield found
    connections.close_all()
    eventually(lambda: found.look().usable)


@pytest.fixture
def primary_away(servers, copy):
    """Stop the primary, and start it again."""
    known = BusinessEntity.objects.create(
        legal_name="Acme", owner=User.objects.create(email="owner@example.org")
    )
    eventually(lambda: copy.look().lag_bytes == 0)
    connections.close_all()
    servers.stop("primary")
    eventually(lambda: copy.look().reason.startswith(replica.CUT_OFF))
    with pytest.raises(AliasUnavailable):
        User.objects.count()
    yield known
    servers.start("primary")
    eventually(_primary_serves)


def _primary_serves() -> bool:
    try:
        return User.objects.count() >= 0
    except AliasUnavailable:
        return False


def test_who_wrote_nothing_new_reads_from_the_replica_and_is_told(primary_away):
    with causal_scope() as state, assert_read_from("replica"):
        assert BusinessEntity.objects.get(pk=primary_away.pk) == primary_away

    assert state.degraded == {"default"}


def test_a_write_that_the_replica_lacks_is_never_hidden(primary_away, copy):
    with causal_scope() as state:
        state.positions["default"] = copy.replayed + 1

        with pytest.raises(AliasUnavailable):
            BusinessEntity.objects.count()


def test_a_replica_that_lacks_what_the_primary_is_known_to_have_is_left_alone(primary_away, copy):
    copy._positions.append((copy._positions[-1][0], copy.replayed + 1))

    with causal_scope(), pytest.raises(AliasUnavailable):
        BusinessEntity.objects.count()
