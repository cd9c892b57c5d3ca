"""An app may declare what it serves while its database is down."""

from __future__ import annotations

import pytest
from django.db import connections, router, transaction
from django.db.utils import OperationalError, ProgrammingError

from analytics.models import ActivityEvent
from databases import fallback
from databases.breaker import AliasUnavailable
from databases.causality import causal_scope
from databases.fallback import falls_back_to
from tests.homes import databases_of
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.skipif("analytics" not in connections.settings, reason="one server serves all"),
    pytest.mark.django_db(transaction=True, databases=databases_of("analytics")),
]


def last_known(*, added: int) -> int:
    return -1 + added


@falls_back_to(last_known, app_label="analytics")
def how_many(*, added: int) -> int:
    return ActivityEvent.objects.count() + added


def count_slowly() -> None:
    alias = router.db_for_read(ActivityEvent)
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 50")
        cursor.execute("SELECT pg_sleep(5)")


def nothing_known() -> None:
    raise AliasUnavailable("analytics")


@pytest.fixture
def analytics_down(servers):
    """Stop the server of analytics for the test."""
    server = servers.server_of("analytics")
    servers.stop(server)
    yield
    servers.start(server)
    eventually(lambda: isinstance(how_many(added=0), int) and how_many(added=0) >= 0)


def test_while_the_database_is_up_it_answers_itself():
    with causal_scope() as state:
        assert how_many(added=7) == 7

    assert not state.degraded


def test_while_it_is_down_the_declared_answer_is_served_and_said_so(analytics_down):
    before = fallback.served["how_many"]

    with causal_scope() as state:
        answers = {how_many(added=7) for _ in range(5)}

    assert answers == {6}
    assert state.degraded == {"analytics"}
    assert fallback.served["how_many"] == before + 5


def test_a_fallback_that_has_nothing_says_that_the_database_is_unavailable(analytics_down):
    ask = falls_back_to(nothing_known, app_label="analytics")(count_slowly)

    with pytest.raises(AliasUnavailable):
        ask()


def test_slow_sql_is_no_outage():
    with pytest.raises(OperationalError):
        falls_back_to(lambda: None, app_label="analytics")(count_slowly)()


def test_wrong_sql_is_no_outage():
    def wrong() -> None:
        with connections["analytics"].cursor() as cursor:
            cursor.execute("SELECT nonsense")

    with pytest.raises(ProgrammingError):
        falls_back_to(lambda: None, app_label="analytics")(wrong)()
