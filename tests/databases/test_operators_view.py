"""Operators see what processes know of their databases: in health, metrics, commands, the admin."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.http import HttpResponse, JsonResponse
from django.test import Client, RequestFactory
from django.urls import include, path
from prometheus_client.parser import text_string_to_metric_families

from common import metrics
from databases import breaker as breakers
from databases import overview, process_state, read_totals, reasons
from databases.breaker import AliasUnavailable, Breaker
from databases.causality import CausalState
from databases.middleware import CausalReadsMiddleware
from databases.pool_figures import PoolFigures
from databases.process_state import ALL, OWN, BreakerFigures, ProcessState, ReplicaFigures
from databases.stores import redis
from tests.homes import databases_of
from tests.people import a_superuser, an_operator, signed_in
from tests.waiting import eventually

TOKEN = "a-token-for-the-collector"
NINE = {
    *("main", "cache", "analytics", "documents", "compliance", "data"),
    *("readReplica", "mongodb", "redis"),
}
PAGE = "/admin/databases/overview/"
SPOKEN = (
    'connection to server at "10.1.2.3", port 5432 failed: FATAL: password authentication failed '
    'for user "bob"'
)


@pytest.fixture(autouse=True)
def nobody_publishes():
    """Forget what other tests' processes have published."""
    if redis.configured():
        with redis.connection() as client:
            client.delete(process_state.INDEX)


@pytest.fixture
def published(monkeypatch):
    """Return a function that publishes the state of a made-up process, as that would."""

    def publish(**parts) -> ProcessState:
        made = a_process(**parts)
        with monkeypatch.context() as patch:
            patch.setattr(process_state, "own_state", lambda: made)
            process_state.publish()
        return made

    return publish


@pytest.fixture
def an_open_breaker(monkeypatch):
    """Make a breaker of a store known that nobody else uses; it is open as long as the test."""
    monkeypatch.setattr(breakers, "_breakers", dict(breakers._breakers))

    def probe() -> None:
        if not well:
            raise ConnectionError(SPOKEN)

    well: list[bool] = []
    store = f"store-{uuid.uuid4().hex[:6]}"
    made = breakers.register(Breaker(store, probe=probe))
    made.failed(SPOKEN)
    yield made
    well.append(True)
    eventually(lambda: not made.is_open)


def a_process(**parts) -> ProcessState:
    own = process_state.own_state()
    return ProcessState(
        **{
            "id": uuid.uuid4().hex[:12],
            "role": "web",
            "host": "far-away",
            "pid": 4711,
            "region": "eu",
            "at": own.at,
            "breakers": {},
            "pools": {},
            "replicas": {},
            "reads": {},
            "crossings": {},
            "fallbacks": {},
            **parts,
        }
    )


def an_opened(**parts) -> BreakerFigures:
    return BreakerFigures(
        **{
            "open": True,
            "reason": "connection refused",
            "since": "2026-01-01T00:00:00+00:00",
            "opened": 3,
            "refused": 40,
            **parts,
        }
    )


class TestReasons:
    @pytest.mark.parametrize(
        ("spoken", "kind"),
        [
            (SPOKEN, "sign-in refused"),
            ('connection to server at "x" failed: Connection refused', "connection refused"),
            ("connection is bad: No such file or directory", "connection refused"),
            ("FATAL: the database system is starting up", "starting or shutting down"),
            ("FATAL: sorry, too many clients already", "too many connections"),
            ('FATAL: database "x" does not exist', "no such database"),
            ("no answer in time", "no answer in time"),
            ("ServerSelectionTimeoutError", "no answer in time"),
            ("server closed the connection unexpectedly", "connection lost"),
            ("something else about bob", "does not serve"),
            ("", ""),
        ],
    )
    def test_name_the_kind_and_never_what_the_driver_said(self, spoken, kind):
        assert reasons.kind_of(spoken) == kind

    def test_of_replicas_keep_our_own_words(self):
        assert reasons.of_replica(f"down: {SPOKEN}") == "down: sign-in refused"
        assert reasons.of_replica("behind: 5 bytes, 0.1 s") == "behind: 5 bytes, 0.1 s"


class TestReads:
    def test_are_summed_by_who_served_and_why_not_a_replica(self):
        found = read_totals.by_reason(
            {
                "replica": 90,
                "default": 8,
                "default: the caller wrote": 5,
                "default: in a transaction": 3,
                "cache": 7,
            }
        )

        assert found == {
            ("replica", ""): 90,
            ("default", "the caller wrote"): 5,
            ("default", "in a transaction"): 3,
            ("cache", read_totals.NO_REPLICA): 7,
        }

    def test_of_a_request_are_added_to_those_of_the_process(self):
        before = read_totals.totals().get("default", 0)
        state = CausalState()
        state.reads["default"] += 3

        read_totals.absorb(state)

        assert read_totals.totals()["default"] == before + 3


class TestAllProcesses:
    def test_those_that_publish_are_seen_with_what_they_know(self, published):
        made = published(
            breakers={"cache": an_opened()},
            pools={"cache": PoolFigures(total=3, idle=1, waiting=2)},
            replicas={
                "replica": ReplicaFigures(usable=True, reason="", lag_bytes=9, lag_seconds=0.5)
            },
            reads={"replica": 7},
        )

        found = process_state.all_processes()

        assert found.scope == ALL
        assert found.states == (made,)

    def test_one_that_ended_is_forgotten(self, published):
        made = published()
        with redis.connection() as client:
            assert 0 < client.ttl(process_state.PREFIX + made.id) <= process_state.KEPT_SECONDS
            client.delete(process_state.PREFIX + made.id)

        assert process_state.all_processes().scope == OWN

    def test_without_redis_only_this_process_is_shown(self, settings, published):
        published()
        settings.REDIS_URL = ""

        found = process_state.all_processes()

        assert (found.scope, len(found.states)) == (OWN, 1)

    @pytest.mark.outage
    def test_while_redis_is_down_only_this_process_is_shown(self, servers, published):
        published()
        servers.stop("redis")

        assert process_state.all_processes().scope == OWN
        assert process_state.all_processes().states[0].pid > 0

    def test_what_is_not_ours_in_redis_breaks_nothing(self, published):
        made = published()
        with redis.connection() as client:
            client.set(process_state.PREFIX + made.id, b"\x80 no json")

        assert process_state.all_processes().scope == OWN

    def test_what_is_published_names_no_host_and_no_user_of_a_database(self, an_open_breaker):
        process_state.publish()

        with redis.connection() as client:
            text = client.get(process_state.PREFIX + process_state.own_state().id).decode()
        assert an_open_breaker.store in text
        assert "bob" not in text and "10.1.2.3" not in text
        for entry in connections.settings.values():
            assert not entry.get("PASSWORD") or entry["PASSWORD"] not in text


class TestTogether:
    def test_breakers_are_counted_over_processes(self):
        states = (
            a_process(breakers={"default": an_opened()}),
            a_process(breakers={"default": an_opened(open=False, reason="", opened=1, refused=2)}),
            a_process(),
        )

        view = overview.by_store(process_state.Processes(scope=ALL, states=states))["default"]

        assert str(view.breaker) == "open in 1 of 2"
        assert (view.breaker.opened, view.breaker.refused) == (4, 42)
        assert view.breaker.reasons == ("connection refused",)

    def test_pools_are_summed_and_the_worst_lag_counts(self):
        figures = PoolFigures(total=5, idle=2, waiting=1)
        near = ReplicaFigures(usable=True, reason="", lag_bytes=10, lag_seconds=0.1)
        far = ReplicaFigures(usable=False, reason="behind: 99", lag_bytes=99, lag_seconds=12.0)
        states = (
            a_process(pools={"default": figures}, replicas={"replica": near}),
            a_process(pools={"default": figures}, replicas={"replica": far}),
        )

        views = overview.by_store(process_state.Processes(scope=ALL, states=states))

        assert (views["default"].pool.total, views["default"].pool.used) == (10, 6)
        assert views["default"].pool.waiting == 2
        if "replica" in views:
            lag = views["replica"].lag
            assert lag is not None
            assert (lag.usable, lag.known, lag.lag_bytes, lag.lag_seconds) == (1, 2, 99, 12.0)

    def test_the_share_of_replicas_is_of_the_reads_of_their_primary(self):
        reads = {"replica": 90, "replica_2": 5, "default": 5, "default: the caller wrote": 5}

        views = overview.by_store(
            process_state.Processes(scope=ALL, states=(a_process(reads=reads),))
        )

        found = views["default"].reads
        assert found is not None
        assert (found.total, found.on_replicas, found.share) == (100, 95, 0.95)
        assert found.reasons == {"the caller wrote": 5}


@pytest.mark.django_db(databases=databases_of("customers"))
class TestHealth:
    @pytest.fixture
    def verbose(self, client, settings):
        settings.METRICS_TOKEN = TOKEN

        def get() -> dict[Any, Any]:
            answer = client.get(
                "/api/health/databases?verbose=1", headers={"authorization": f"Bearer {TOKEN}"}
            )
            assert answer.status_code == 200
            return answer.json()

        return get

    def test_tells_the_public_nine_booleans_and_nothing_else(self, client):
        assert set(client.get("/api/health/databases").json()) == NINE
        assert set(client.get("/api/health/databases?verbose=1").json()) == NINE

    def test_tells_staff_what_all_processes_know(self, verbose, published):
        published(
            breakers={"default": an_opened()},
            pools={"default": PoolFigures(total=5, idle=2, waiting=1)},
            reads={"replica": 9, "default": 1, "default: in a transaction": 1},
        )

        found = verbose()
        detail = found["detail"]["default"]

        assert found["scope"] == ALL
        assert [process["host"] for process in found["processes"]] == ["far-away"]
        assert (detail["breaker"], detail["breakerOpenIn"]) == ("open", 1)
        assert detail["breakerReason"] == "connection refused"
        assert detail["pool"]["total"] == 5 and detail["pool"]["waiting"] == 1
        assert detail["reads"]["shareOnReplicas"] == 0.9
        assert detail["reads"]["reasons"] == {"in a transaction": 1}

    def test_says_so_when_it_speaks_for_one_process(self, verbose, settings):
        assert verbose()["scope"] == OWN


@pytest.mark.django_db(databases=databases_of("caches"))
class TestMetrics:
    @pytest.fixture
    def samples(self):
        def collect() -> dict[Any, Any]:
            return {
                (sample.name, tuple(sorted(sample.labels.values()))): sample.value
                for family in text_string_to_metric_families(metrics.exposition().decode())
                for sample in family.samples
            }

        return collect

    def test_show_breakers_and_replicas_of_all_processes(self, samples, published):
        behind = ReplicaFigures(usable=False, reason="behind", lag_bytes=99, lag_seconds=12.0)
        published(breakers={"cache": an_opened()}, replicas={"replica": behind})
        published(breakers={"cache": an_opened()})

        found = samples()

        assert found["polystore_processes", (ALL,)] == 2
        if "cache" in connections.settings:
            assert found["polystore_breaker_open", ("cache",)] == 2
        if "replica" in connections.settings:
            assert found["polystore_replica_lag_bytes", ("replica",)] == 99
            assert found["polystore_replica_lag_seconds", ("replica",)] == 12.0
            assert found["polystore_replica_usable", ("replica",)] == 0

    def test_count_openings_and_who_was_turned_away(self, samples, an_open_breaker):
        store = an_open_breaker.store
        for _ in range(3):
            with pytest.raises(AliasUnavailable):
                an_open_breaker.require()

        found = samples()

        assert found["polystore_breaker_opened_total", (store,)] == 1
        assert found["polystore_breaker_refused_total", (store,)] == 3
        assert samples()["polystore_breaker_refused_total", (store,)] == 3

    def test_count_reads_by_who_served_and_why(self, samples):
        key = "polystore_reads_total", ("default", "the caller wrote")
        before = samples().get(key, 0)
        state = CausalState()
        state.reads.update({"default": 2, "default: the caller wrote": 2})

        read_totals.absorb(state)

        assert samples()[key] == before + 2


@pytest.mark.django_db(
    databases=databases_of(
        "customers", "caches", "analytics", "documents", "compliance", "workspace"
    ),
    transaction=True,
)
class TestDescribeDatabases:
    def test_shows_all_processes_where_they_publish(self, capsys, published):
        published(
            breakers={"default": an_opened()},
            pools={"default": PoolFigures(total=5, idle=2, waiting=1)},
        )
        published(breakers={"default": an_opened(open=False)})

        call_command("describe_databases", "default", "--json")
        found = json.loads(capsys.readouterr().out)

        assert (found["scope"], found["processes"]) == (ALL, 2)
        assert found["stores"][0]["breaker"] == "open in 1 of 2"
        assert found["stores"][0]["pool"].startswith("3/")

    def test_says_so_when_it_sees_no_other_process(self, capsys):
        call_command("describe_databases", "default")

        assert "this process" in capsys.readouterr().out


@pytest.mark.django_db(
    databases=databases_of(
        "customers", "caches", "analytics", "documents", "compliance", "workspace"
    )
)
class TestTheAdminsPage:
    def test_shows_stores_processes_and_the_way_to_placement(self, published):
        published(breakers={"default": an_opened()}, reads={"replica": 1, "default": 1})

        page = signed_in(an_operator("databases.view_placement")).get(PAGE)
        text = page.content.decode()

        assert page.status_code == 200
        assert "open: connection refused" in text
        assert "far-away" in text
        assert "/admin/databases/placement/" in text
        assert "all processes" in text

    def test_says_so_when_it_speaks_for_one_process(self):
        text = signed_in(a_superuser()).get(PAGE).content.decode()

        assert "not of the others" in text

    def test_shows_no_secret(self, an_open_breaker, published):
        text = signed_in(a_superuser()).get(PAGE).content.decode()

        assert "bob" not in text and "10.1.2.3" not in text
        for entry in connections.settings.values():
            assert not entry.get("PASSWORD") or entry["PASSWORD"] not in text

    def test_is_for_those_who_may_look_at_placement(self):
        assert Client().get(PAGE).status_code == 302
        assert signed_in(an_operator()).get(PAGE).status_code == 403
        assert signed_in(a_superuser()).post(PAGE).status_code == 405

    def test_stands_in_the_side_bar_of_those_who_may(self):
        def listed(client: Client) -> list[str]:
            groups = client.get("/admin/").context["sidebar_navigation"]
            return [item["title"] for group in groups for item in group["items"]]

        assert "Databases" in listed(signed_in(a_superuser()))
        assert "Databases" not in listed(
            signed_in(an_operator("documents.view_document", email="other@example.com"))
        )


# What answers say -------------------------------------------------------------------------------


def is_down(request):
    raise AliasUnavailable("documents")


def serves_from_elsewhere(request):
    try:
        raise AliasUnavailable("mongodb")
    except AliasUnavailable:
        return JsonResponse({"from": "elsewhere"})


urlpatterns = [
    path("api/is-down", is_down),
    path("api/elsewhere", serves_from_elsewhere),
    path("", include("config.urls")),
]


@pytest.mark.urls(__name__)
@pytest.mark.django_db(databases=databases_of("customers"))
class TestWhatAnswersSay:
    def test_a_refusal_names_the_store_that_is_down(self, client):
        answer = client.get("/api/is-down")

        assert answer.status_code == 503
        assert answer["X-Degraded"] == "documents"
        assert answer["Retry-After"]

    def test_so_does_an_answer_from_elsewhere(self, client):
        answer = client.get("/api/elsewhere")

        assert (answer.status_code, answer["X-Degraded"]) == (200, "mongodb")

    def test_all_is_well_is_not_said(self, client):
        assert "X-Degraded" not in client.get("/health")

    def test_debug_names_who_served_the_reads(self, settings):
        state_of_read: list[str] = []

        def view(request) -> HttpResponse:
            from customers.models import BusinessEntity

            state_of_read.append(BusinessEntity.objects.all().db)
            return HttpResponse()

        middleware = CausalReadsMiddleware(view)
        settings.DEBUG = True
        answer = middleware(RequestFactory().get("/"))
        settings.DEBUG = False
        silent = middleware(RequestFactory().get("/"))

        assert answer["X-Read-From"] == state_of_read[0]
        assert "X-Read-From" not in silent
