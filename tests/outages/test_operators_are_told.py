"""A store fails under several processes: operators see which, and hear of it once."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from databases.alerts.ledger import PREFIX
from databases.stores import redis
from tests.listening import Webhook
from tests.running_site import IN_A_ZONE, METRICS_TOKEN, SAMPLE, running
from tests.waiting import eventually

pytestmark = pytest.mark.outage
TOKEN = {"Authorization": f"Bearer {METRICS_TOKEN}"}
WORKERS = 2


@pytest.fixture(scope="module")
def webhook():
    made = Webhook()
    yield made
    made.close()


@pytest.fixture(scope="module")
def told(servers_of_the_session, cache_server, webhook):
    """Run a site whose alerts go to the webhook: two web processes, a Celery worker and beat."""
    forget_what_was_told()
    environment = servers_of_the_session.environment() | {
        "ALERT_WEBHOOK_URL": webhook.url,
        "OPPORTUNITY_ZONES_SOURCE": SAMPLE,
        "REGION": "eu-north",
    }
    with running(environment, workers=WORKERS) as made:
        made.manage("seed_opportunity_zones")
        made.spawn("celery", "-A", "config", "worker", "--concurrency=1", "--loglevel=error")
        made.spawn("celery", "-A", "config", "beat", "--loglevel=error", "--schedule=")
        yield made


def forget_what_was_told():
    """Begin calm: what other tests told in this Redis would hold our messages back for minutes."""
    with redis.connection() as client:
        for key in client.scan_iter(f"{PREFIX}*"):
            client.delete(key)


def verbose(site):
    return site.get("/api/health/databases?verbose=1", headers=TOKEN).json()


def ours(site):
    """Return the processes of this site: another one may share its Redis."""
    return [found for found in verbose(site)["processes"] if found["region"] == "eu-north"]


def measured(site, name, **labels):
    text = site.get("/metrics", headers=TOKEN).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_every_process_is_seen_whoever_answers(told):
    def roles():
        told.get("/health")
        return sorted(found["role"] for found in ours(told))

    eventually(lambda: roles() == ["beat", "web", "web", "worker"])

    assert verbose(told)["scope"] == "all processes"
    assert measured(told, "polystore_processes", scope="all processes") >= 4


def test_a_store_that_fails_under_all_of_them_is_told_once_and_so_is_its_recovery(
    told, servers, webhook, cache_server
):
    eventually(lambda: told.get(IN_A_ZONE).status_code == 200)
    webhook.posted.clear()
    servers.stop(cache_server)

    def open_everywhere():
        assert told.get(IN_A_ZONE).status_code == 200, "the index in memory answers"
        return verbose(told)["detail"]["cache"]["breakerOpenIn"] >= WORKERS

    eventually(open_everywhere)
    detail = verbose(told)["detail"]["cache"]
    assert detail["breaker"] == "open"
    assert detail["breakerReason"] == "connection refused"
    eventually(lambda: measured(told, "polystore_breaker_open", store="cache") >= WORKERS)

    # A worker's open breaker is seen here, too, but only web processes share these counters.
    def counted():
        told.get(IN_A_ZONE)
        return measured(told, "polystore_breaker_opened_total", store="cache") >= WORKERS

    eventually(counted)
    answer = told.get(IN_A_ZONE)
    assert (answer.status_code, answer.headers["X-Degraded"]) == (200, "cache")
    eventually(lambda: webhook.of("cache") == ["failed"])

    servers.start(cache_server)
    eventually(lambda: webhook.of("cache") == ["failed", "recovered"])
    eventually(lambda: verbose(told)["detail"]["cache"]["breaker"] == "closed")

    assert webhook.of("cache") == ["failed", "recovered"]


def test_a_replica_that_fails_is_told_as_a_fallback(told, servers, webhook):
    eventually(lambda: verbose(told)["detail"]["replica"]["usableIn"] >= WORKERS)
    webhook.posted.clear()

    servers.stop("replica")
    # Once the primary was away it, too, was told of: messages in quick succession are held back.
    eventually(lambda: webhook.of("replica") == ["failed"])
    eventually(lambda: verbose(told)["detail"]["replica"]["up"] is False)

    servers.start("replica")
    eventually(lambda: webhook.of("replica") == ["failed", "recovered"])
    assert {found["code"] for found in webhook.posted} >= {"databases.fallback"}


def test_a_failure_below_every_view_names_the_store_and_is_told(told, servers, webhook):
    webhook.posted.clear()
    servers.stop("primary")

    def answer():
        return told.get("/admin/", cookies={"sessionid": "x" * 32})

    eventually(lambda: answer().headers.get("X-Degraded") == "default")
    assert answer().status_code == 503
    eventually(lambda: webhook.of("default") == ["failed"])

    servers.start("primary")
    eventually(lambda: webhook.of("default") == ["failed", "recovered"])


def test_while_redis_is_down_the_answering_process_speaks_for_itself(told, servers, webhook):
    webhook.posted.clear()
    servers.stop("redis")

    eventually(lambda: verbose(told)["scope"] == "this process")
    assert len(verbose(told)["processes"]) == 1
    assert "this process" in told.manage("describe_databases", "default").stdout
    eventually(lambda: webhook.of("redis") == ["failed"])

    servers.start("redis")
    eventually(lambda: verbose(told)["scope"] == "all processes")
    eventually(lambda: webhook.of("redis") == ["failed", "recovered"])
