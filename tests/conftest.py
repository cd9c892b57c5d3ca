"""What every test shares."""

from __future__ import annotations

import hypothesis
import pytest

from databases import replica
from databases.stores import mongo
from tests import session_site as sessions
from tests.running_site import SAMPLE, running

# Properties are about answers. Speed is measured in benchmarks/, not by a deadline here.
hypothesis.settings.register_profile("polystore", deadline=None)
hypothesis.settings.load_profile("polystore")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    """End the sessions that watch replicas before the test databases are dropped."""
    yield
    replica.close_all()


@pytest.fixture(scope="session", autouse=True)
def mongodb_is_left_in_order():
    """Close the process's client, which a process that serves keeps for life."""
    yield
    if mongo._client is not None:
        mongo._client.close()


@pytest.fixture(scope="session")
def cache_server(servers_of_the_session):
    """Give `cache` of the running site a server of its own, so that it can be stopped alone."""
    return servers_of_the_session.add_postgres("cache-alone", databases=["cache"])


@pytest.fixture(scope="session")
def site(servers_of_the_session, cache_server):
    """Run the whole site with two web processes; tests stop what they like under it."""
    environment = servers_of_the_session.environment() | {"OPPORTUNITY_ZONES_SOURCE": SAMPLE}
    with running(environment) as made:
        made.manage("seed_opportunity_zones")
        yield made


@pytest.fixture(scope="session")
def session_site(servers_of_the_session):
    """Run processes that remember sessions; tests end sessions and stop servers under them."""
    with sessions.session_site(servers_of_the_session.environment()) as made:
        yield made
