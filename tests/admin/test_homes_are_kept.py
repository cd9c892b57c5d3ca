"""The models keep to the rules of many databases."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey
from django.core.management import call_command

from databases.aliases import declared_home
from tests.homes import databases_of

OURS = (
    "accounts", "customers", "analytics", "documents", "compliance", "messaging", "workspace",
    "tracker",
)  # fmt: skip


def test_no_foreign_key_crosses_homes() -> None:
    crossing = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if field.is_relation and not field.auto_created and field.related_model is not None
        if declared_home(model._meta.app_label)
        is not declared_home(field.related_model._meta.app_label)
    ]

    assert crossing == []


def test_no_model_of_ours_points_at_just_anything() -> None:
    generic = [
        model._meta.label
        for label in OURS
        for model in apps.get_app_config(label).get_models()
        if any(isinstance(field, GenericForeignKey) for field in model._meta.private_fields)
    ]

    assert generic == []


def test_every_table_of_ours_has_a_time_ordered_uuid_for_a_key() -> None:
    keys = {
        model._meta.label: model._meta.pk.default().version
        for label in OURS
        for model in apps.get_app_config(label).get_models()
    }

    assert set(keys.values()) == {7}


def test_every_constraint_and_index_has_a_name_that_begins_with_its_app() -> None:
    named = [
        (label, thing.name)
        for label in OURS
        for model in apps.get_app_config(label).get_models()
        for thing in (*model._meta.constraints, *model._meta.indexes)
    ]

    assert [name for label, name in named if not name.startswith(f"{label}_")] == []
    assert len({name for _, name in named}) == len(named)


@pytest.mark.django_db(databases=databases_of(*OURS, "caches"))
def test_migrations_say_all_that_the_models_say() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
