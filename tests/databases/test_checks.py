"""What would break over many databases is refused by Django's system checks, with a hint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core import checks
from django.core.management import call_command
from django.db import connections, models
from django.test.utils import isolate_apps

from databases import checks as ours
from databases import placement
from databases.aliases import HOME_OF_APP
from databases.pools import read_environment

OURS = {*(f"databases.E{number:03}" for number in range(1, 20))} | {
    *(f"databases.W{number:03}" for number in range(1, 20))
}


def ids(messages) -> list[str]:
    found = list(messages)
    assert all(message.hint for message in found), "every finding says what to do"
    return [str(message.id) for message in found]


@contextmanager
def configured(environ: dict[str, str], **extra: Any) -> Iterator[None]:
    """Let the settings' databases be those of another environment."""
    known = dict(connections.settings)
    entries = read_environment(environ).databases
    for entry in entries.values():
        entry.update({"TEST": {}, **extra})
    connections.settings.clear()
    connections.settings.update(entries)
    try:
        yield
    finally:
        connections.settings.clear()
        connections.settings.update(known)


class TestRelations:
    @isolate_apps("customers", "documents")
    def test_a_foreign_key_across_homes_is_refused(self):
        class Owner(models.Model):
            class Meta:
                app_label = "customers"

        class Paper(models.Model):
            owner = models.ForeignKey(Owner, on_delete=models.CASCADE)

            class Meta:
                app_label = "documents"

        (found,) = list(ours.crossing_relations(Paper))

        assert found.id == "databases.E001"
        assert "from 'documents' to 'default'" in found.msg
        assert found.hint
        assert list(ours.crossing_relations(Owner)) == []

    @isolate_apps("customers", "documents")
    def test_so_are_one_to_one_and_many_to_many(self):
        class Owner(models.Model):
            class Meta:
                app_label = "customers"

        class Paper(models.Model):
            owner = models.OneToOneField(Owner, on_delete=models.CASCADE)
            readers = models.ManyToManyField(Owner, related_name="read")

            class Meta:
                app_label = "documents"

        assert ids(ours.crossing_relations(Paper)) == ["databases.E001"] * 2

    @isolate_apps("customers", "documents")
    def test_so_is_a_key_without_a_constraint(self):
        class Owner(models.Model):
            class Meta:
                app_label = "customers"

        class Paper(models.Model):
            owner = models.ForeignKey(Owner, on_delete=models.DO_NOTHING, db_constraint=False)

            class Meta:
                app_label = "documents"

        assert ids(ours.crossing_relations(Paper)) == ["databases.E001"]

    @isolate_apps("customers", "documents")
    def test_so_is_a_parent_in_another_home(self):
        class Thing(models.Model):
            class Meta:
                app_label = "customers"

        class Paper(Thing):
            class Meta:
                app_label = "documents"

        assert ids(ours.crossing_relations(Paper)) == ["databases.E001"]

    @isolate_apps("customers", "accounts", "documents")
    def test_inside_one_home_all_are_allowed(self):
        class Person(models.Model):
            class Meta:
                app_label = "accounts"

        class Firm(models.Model):
            owner = models.ForeignKey(Person, on_delete=models.CASCADE)
            members = models.ManyToManyField(Person, related_name="firms")
            parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE)

            class Meta:
                app_label = "customers"

        class Paper(models.Model):
            previous = models.ForeignKey("self", null=True, on_delete=models.CASCADE)

            class Meta:
                app_label = "documents"

        assert list(ours.crossing_relations(Firm)) == []
        assert list(ours.crossing_relations(Paper)) == []

    @isolate_apps("customers", "documents", "django.contrib.contenttypes")
    def test_generic_relations_are_for_the_primary_only(self):
        class Note(models.Model):
            kind = models.ForeignKey(ContentType, on_delete=models.CASCADE)
            number = models.PositiveIntegerField()
            target = GenericForeignKey("kind", "number")

            class Meta:
                app_label = "customers"

        class Paper(models.Model):
            notes = GenericRelation(Note, "number", "kind")

            class Meta:
                app_label = "documents"

        class Remark(models.Model):
            kind_id = models.PositiveIntegerField()
            number = models.PositiveIntegerField()
            target = GenericForeignKey("kind_id", "number")

            class Meta:
                app_label = "documents"

        assert list(ours.crossing_relations(Note)) == []
        assert ids(ours.crossing_relations(Paper)) == ["databases.E002"]
        assert ids(ours.crossing_relations(Remark)) == ["databases.E002"]

    def test_no_model_of_the_project_crosses(self):
        assert ours.relations_stay_at_home() == []

    @isolate_apps("customers", "documents")
    def test_declared_homes_count_also_where_one_database_serves_all(self):
        class Owner(models.Model):
            class Meta:
                app_label = "customers"

        class Paper(models.Model):
            owner = models.ForeignKey(Owner, on_delete=models.CASCADE)

            class Meta:
                app_label = "documents"

        with configured({"DATABASE_URL": "postgresql://u@h/d"}):
            assert ids(ours.crossing_relations(Paper)) == ["databases.E001"]


class TestHomes:
    def test_every_app_with_models_has_one(self):
        assert ours.every_app_has_a_home() == []

    @isolate_apps("tests")
    def test_an_app_that_nobody_declared_is_refused(self):
        class Homeless(AppConfig):
            name = label = "homeless"
            path = "."

            def get_models(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
                yield type("Cat", (models.Model,), {"__module__": "x", "Meta": self.Meta})

            class Meta:
                app_label = "homeless"

        config = Homeless("homeless", ours)
        (found,) = ours.every_app_has_a_home([config])

        assert found.id == "databases.E004"
        assert "'homeless' has models and no home" in found.msg
        assert "HOME_OF_APP" in str(found.hint)

    def test_every_home_is_one_of_an_app_that_may_be_installed(self):
        installed = {config.label for config in apps.get_app_configs() if list(config.get_models())}

        assert installed <= set(HOME_OF_APP)


class TestSettings:
    def test_a_pool_and_persistent_connections_exclude_each_other(self):
        with configured({"DATABASE_URL": "postgresql://u@h/d"}, CONN_MAX_AGE=60):
            (found,) = ours.pools_without_max_age()
        assert found.id == "databases.E003"
        assert found.hint

    @pytest.mark.parametrize(
        ("url", "age"), [("", 0), ("?pgbouncer=true", 60), ("?pgbouncer=true", None)]
    )
    def test_one_of_them_alone_is_right(self, url, age):
        with configured({"DATABASE_URL": f"postgresql://u@h/d{url}"}, CONN_MAX_AGE=age):
            assert ours.pools_without_max_age() == []

    def test_atomic_requests_are_for_the_primary_only(self):
        both = {
            "DATABASE_URL": "postgresql://u@h/d",
            "DATA_DATABASE_URL": "postgresql://u@h/x",
        }
        with configured(both, ATOMIC_REQUESTS=True):
            (found,) = ours.atomic_requests_on_the_primary_only()
        with configured(both):
            assert ours.atomic_requests_on_the_primary_only() == []

        assert found.id == "databases.E005"
        assert "'data'" in found.msg
        assert found.hint

    def test_parameters_that_mean_nothing_are_named(self, settings):
        settings.DATABASE_CONFIGURATION = read_environment(
            {"DATABASE_URL": "postgresql://u:S3cr3t@h/d?schema=public"}
        )
        (found,) = ours.environment_was_understood()

        assert found.id == "databases.W008"
        assert "DATABASE_URL" in found.msg
        assert "schema" in found.msg
        assert "S3cr3t" not in found.msg
        assert found.hint

    def test_urls_without_such_parameters_warn_of_nothing(self, settings):
        settings.DATABASE_CONFIGURATION = read_environment({"DATABASE_URL": "postgresql://u@h/d"})

        assert ours.environment_was_understood() == []

    def test_a_deployment_needs_a_primary(self):
        with configured({}):
            (found,) = ours.primary_is_configured()
        assert found.id == "databases.E009"
        assert found.hint
        assert ours.primary_is_configured() == []

    def test_the_check_of_the_primary_is_for_deployments(self):
        with configured({}):
            without = checks.run_checks(tags=["databases"])
            with_deployment = checks.run_checks(tags=["databases"], include_deployment_checks=True)

        assert "databases.E009" not in {message.id for message in without}
        assert "databases.E009" in {message.id for message in with_deployment}


@pytest.mark.django_db(databases="__all__")
class TestOnTheServers:
    def test_pools_that_do_not_fit_are_named(self, settings):
        settings.PROCESSES = 10_000
        found = ours.pools_fit_the_servers(databases=list(connections.settings))

        assert set(ids(found)) == {"databases.W006"}
        assert "which allows 500" in found[0].msg
        assert len(found) == len({(c["HOST"], c["PORT"]) for c in connections.settings.values()})

    def test_pools_that_fit_are_right(self, settings):
        settings.PROCESSES = 1

        assert ours.pools_fit_the_servers(databases=list(connections.settings)) == []

    def test_only_servers_that_were_asked_for_are_asked(self, settings):
        settings.PROCESSES = 10_000

        assert ours.pools_fit_the_servers(databases=None) == []
        assert ours.pools_fit_the_servers(databases=[]) == []
        assert len(ours.pools_fit_the_servers(databases=["default"])) == 1

    def test_a_pooler_bounds_its_connections_itself(self, settings):
        settings.PROCESSES = 10_000
        with configured({"DATABASE_URL": f"{url_of_the_primary()}&pgbouncer=true"}):
            assert ours.pools_fit_the_servers(databases=["default"]) == []

    def test_a_server_that_is_down_is_no_finding(self, settings):
        settings.PROCESSES = 10_000
        with configured({"DATABASE_URL": "postgresql://u@/d?host=/nonexistent"}):
            assert ours.pools_fit_the_servers(databases=["default"]) == []

    @pytest.fixture
    def _placement(self):
        yield
        placement.forget()

    @pytest.mark.usefixtures("_placement")
    def test_rows_on_a_database_that_is_not_in_use_are_an_error(self):
        placement.record({"documents": "elsewhere"})
        (found,) = ours.rows_are_reachable(databases=["default"])

        assert found.id == "databases.E007"
        assert "'documents' live on 'elsewhere', which is not in use" in found.msg
        assert found.hint

    @pytest.mark.usefixtures("_placement")
    @pytest.mark.skipif(
        "documents" not in settings.DATABASES, reason="no alias is configured in this shape"
    )
    def test_rows_that_have_not_moved_are_a_warning(self):
        placement.record({"documents": "default"})
        (found,) = ours.rows_are_reachable(databases=["default"])

        assert found.id == "databases.W010"
        assert "still live on 'default'" in found.msg
        assert found.hint

    def test_rows_at_home_are_right(self):
        assert ours.rows_are_reachable(databases=["default"]) == []

    def test_without_a_database_named_nothing_is_asked(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert ours.rows_are_reachable(databases=None) == []


def url_of_the_primary() -> str:
    entry = connections.settings["default"]
    return f"postgresql://{entry['USER']}@/postgres?host={entry['HOST']}&port={entry['PORT']}"


def test_the_project_is_clean():
    found = [message for message in checks.run_checks() if message.id in OURS]

    assert found == []


def test_check_asks_no_database(django_db_blocker):
    with django_db_blocker.block():
        call_command("check")


@pytest.mark.django_db(databases="__all__")
def test_check_with_databases_is_clean():
    call_command("check", databases=list(settings.DATABASES), fail_level="ERROR")
