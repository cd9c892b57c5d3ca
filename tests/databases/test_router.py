"""Every app's rows go home; nothing is left to chance."""

from __future__ import annotations

import itertools

import pytest
from django.apps import apps
from django.db import connections, router

from accounts.models import User
from caches.models import Zone
from customers.models import BusinessEntity
from databases.aliases import HOME_OF_APP, REPLICA_READERS, Alias, declared_home, is_replica
from databases.causality import causal_scope
from documents.models import Document

MODELS = apps.get_models(include_auto_created=True)
NEVER_FROM_A_REPLICA = {
    *("accounts", "account", "socialaccount", "auth", "sessions", "admin", "contenttypes"),
    *("oauth2_provider", "outbox", "databases", "django_celery_beat", "compliance"),
}


def serving(app_label: str) -> str:
    """Return the alias that must serve an app in the shape that the tests run in."""
    home = declared_home(app_label).value
    return home if home in connections.settings else "default"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_rows_are_written_to_the_home_of_their_app_or_to_the_primary(model):
    assert router.db_for_write(model) == serving(model._meta.app_label)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_outside_any_request_nothing_is_read_from_a_replica(model):
    assert router.db_for_read(model) == serving(model._meta.app_label)


def test_an_object_that_came_from_a_replica_is_written_to_its_primary():
    entity = BusinessEntity()
    entity._state.db = "replica"

    assert router.db_for_write(BusinessEntity, instance=entity) == "default"


@pytest.mark.parametrize("app_label", sorted({model._meta.app_label for model in MODELS}))
def test_migrations_run_exactly_where_the_app_lives(app_label):
    answers = {alias: router.allow_migrate(alias, app_label) for alias in connections.settings}

    assert answers == {alias: alias == serving(app_label) for alias in connections.settings}


def test_migrations_never_run_on_a_replica():
    replicas = [alias for alias in connections.settings if is_replica(alias)]

    for alias, app_label in itertools.product(replicas, HOME_OF_APP):
        assert router.allow_migrate(alias, app_label) is False


def test_relations_are_allowed_within_one_home_only_however_many_databases_there_are():
    assert router.allow_relation(User(), BusinessEntity()) is True
    assert router.allow_relation(User(), Document()) is False
    assert router.allow_relation(Zone(), Document()) is False


def test_a_replica_is_the_same_database_as_its_primary_for_relations():
    here, copy = BusinessEntity(), User()
    copy._state.db = "replica"

    assert router.allow_relation(here, copy) is True


def test_apps_whose_staleness_would_be_a_fault_of_security_never_read_a_replica():
    assert REPLICA_READERS.isdisjoint(NEVER_FROM_A_REPLICA)


@pytest.mark.skipif("replica" not in connections.settings, reason="this shape has no replica")
@pytest.mark.parametrize(
    "model",
    [model for model in MODELS if model._meta.app_label in NEVER_FROM_A_REPLICA],
    ids=lambda model: model._meta.label,
)
def test_even_inside_a_request_those_apps_read_their_own_database(model):
    with causal_scope():
        assert not is_replica(router.db_for_read(model))


def test_every_alias_of_the_design_is_a_home():
    assert {declared_home(label) for label in HOME_OF_APP} == set(Alias)
