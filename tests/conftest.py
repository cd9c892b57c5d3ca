"""What every test shares."""

from __future__ import annotations

import gc
import os
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.core.management import BaseCommand
from django.core.management.commands import migrate
from django.db import connections

from databases import placement, replica
from databases.migration import run
from databases.stores import mongo
from tests import emptying, people, secrets_watch
from tests import session_site as sessions
from tests.running_site import METRICS_TOKEN, SAMPLE, running

# Properties are about answers. Speed is measured in benchmarks/, not by a deadline here.
hypothesis.settings.register_profile("polystore", deadline=None)
hypothesis.settings.load_profile("polystore")


def _migrate(command: BaseCommand, *_: Any, database: str, **__: Any) -> None:
    """Migrate as `migrate_all` does: Django goes through all apps again for every database."""
    labels = tuple(app for app in run.apps_with_migrations() if placement.alias_of(app) == database)
    run.apply_pending(connections[database], labels, lambda _: None, [])
    if database == "default":
        run.describe_models_of_every_home()


@pytest.fixture(scope="session")
def migrating():
    """Yield what has Django make test databases in our way, until it is undone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate.Command, "handle", _migrate)
        yield patch


@pytest.fixture(scope="session")
def django_db_setup(migrating, django_db_setup):
    """End the sessions that watch replicas before the test databases are dropped."""
    migrating.undo()
    yield
    replica.close_all()


def pytest_configure(config: pytest.Config) -> None:
    """Have every answer looked at, by a middleware around all others."""
    settings.MIDDLEWARE = ["tests.secrets_watch.Answers", *settings.MIDDLEWARE]


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_written_down():
    """Look for secrets in what the processes of running sites wrote, when all is over."""
    known = secrets_watch.known_from_the_start(os.environ.values())
    secrets_watch.used(people.PASSWORD, METRICS_TOKEN, *known)
    yield
    for file in secrets_watch.watch.files:
        file.seek(0)
        lines = (line.decode(errors="replace") for line in file)
        found = secrets_watch.watch.leaks(lines, secrets_watch.watch.always)
        file.close()
        assert not found, f"A running site wrote secrets down: {found}"


@pytest.fixture(autouse=True)
def no_secret_is_written_by_this_test(no_secret_is_written_down):
    """Look for secrets in this test's log lines and error pages."""
    with secrets_watch.watching():
        yield


@pytest.fixture(scope="session", autouse=True)
def tables_are_emptied_soon():
    """Empty them after tests that commit without Django's `flush` where that comes to the same."""
    with emptying.tables_are_emptied():
        yield


@pytest.fixture(scope="session")
def what_lives_as_long_as_the_tests():
    """Leave out of every later collection what was imported by now: nearly all there is."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def what_a_module_leaves_open_is_found_at_its_end(what_lives_as_long_as_the_tests):
    """Collect garbage: else the warning fails whoever runs when it happens to be collected.

    What stays is left out of later collections, each of which would take a quarter of a second.
    """
    yield
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="module")
def browser():
    """Run a Chromium for a module's tests: in between, its event loop would be in others' way."""
    from tests.browsing import chromium

    with chromium() as made:
        yield made
