"""The checks that read source: transactions and migrations that forget which database is meant."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import pytest
from django.apps import AppConfig, apps
from django.core import checks

from databases import checks as ours
from databases.source_checks import (
    bare_transactions,
    careless_operations,
    migrations_use_their_database,
    transactions_name_their_database,
)


def found(source: str) -> list[tuple[int, str]]:
    return sorted(bare_transactions(source))


IMPORT = "from django.db import transaction\n"


class TestBareTransactions:
    @pytest.mark.parametrize(
        "source",
        [
            f"{IMPORT}with transaction.atomic():\n    pass",
            f"{IMPORT}with transaction.atomic(durable=True):\n    pass",
            f"{IMPORT}with transaction.atomic(using=None):\n    pass",
            f"{IMPORT}@transaction.atomic\ndef f(): pass",
            f"{IMPORT}@transaction.atomic()\ndef f(): pass",
            f"{IMPORT}def f(): pass\ntransaction.atomic(f)()",
            f"{IMPORT}transaction.atomic(lambda: None)()",
            f"{IMPORT}decorate(transaction.atomic, name='post')",
            "from django.db import transaction as t\nwith t.atomic(): pass",
            "from django.db.transaction import atomic\nwith atomic(): pass",
            "from django.db.transaction import atomic as a\n@a\ndef f(): pass",
            "from django import db\nwith db.transaction.atomic(): pass",
            "import django.db.transaction\nwith django.db.transaction.atomic(): pass",
        ],
    )
    def test_every_way_to_write_one_is_seen(self, source):
        assert [name for _, name in found(source)] == ["atomic"]

    @pytest.mark.parametrize(
        "source",
        [
            f"{IMPORT}with transaction.atomic(using=alias):\n    pass",
            f"{IMPORT}with transaction.atomic('documents'):\n    pass",
            f"{IMPORT}with transaction.atomic(alias_of('documents')):\n    pass",
            f"{IMPORT}with transaction.atomic(**options):\n    pass",
            f"{IMPORT}transaction.on_commit(f, using=alias)",
            f"{IMPORT}transaction.on_commit(f, alias)",
            "from databases.transactions import atomic_for\nwith atomic_for('documents'): pass",
            "from sqlalchemy import transaction\nwith transaction.atomic(): pass",
            '"""transaction.atomic() is not used here."""',
        ],
    )
    def test_what_names_a_database_is_fine(self, source):
        assert found(source) == []

    def test_hooks_wait_for_the_primarys_commit_unless_told_otherwise(self):
        assert found(f"{IMPORT}\ntransaction.on_commit(f)") == [(3, "on_commit")]


RUN = "from django.db import migrations\n{}\noperations = [migrations.RunPython({})]"


class TestCarelessOperations:
    @pytest.mark.parametrize(
        "body",
        [
            "apps.get_model('a', 'B').objects.update(c=1)",
            "apps.get_model('a', 'B')._default_manager.all().delete()",
            "apps.get_model('a', 'B').objects.bulk_create([])",
            "Model().save()",
            "db = editor.connection.alias\n    B.objects.using(db).all()\n    C.objects.all()",
        ],
    )
    def test_the_orm_without_the_alias_is_seen(self, body):
        source = RUN.format(f"def forwards(apps, editor):\n    {body}", "forwards")

        assert list(careless_operations(source)) == [(2, "forwards")]

    @pytest.mark.parametrize(
        "body",
        [
            "B.objects.using(editor.connection.alias).update(c=1)",
            "alias = editor.connection.alias\n    B.objects.using(alias).update(c=1)",
            "B._default_manager.db_manager(editor.connection.alias).create()",
            "B().save(using=editor.connection.alias)",
            "editor.execute('SELECT 1')",
        ],
    )
    def test_with_it_all_is_well(self, body):
        source = RUN.format(f"def forwards(apps, editor):\n    {body}", "forwards")

        assert list(careless_operations(source)) == []

    def test_functions_that_it_calls_are_followed(self):
        functions = (
            "def fill(model):\n    model.objects.create()\n"
            "def forwards(apps, editor):\n    fill(apps.get_model('a', 'B'))"
        )

        assert list(careless_operations(RUN.format(functions, "forwards"))) == [(4, "forwards")]

    def test_the_way_back_and_lambdas_are_looked_at_too(self):
        source = RUN.format(
            "def f(apps, editor): pass\ndef b(apps, editor): B.objects.all()",
            "code=f, reverse_code=b",
        )

        assert list(careless_operations(source)) == [(3, "b")]
        assert list(careless_operations(RUN.format("", "lambda a, e: B.objects.all()"))) != []

    def test_functions_that_no_operation_runs_are_not(self):
        source = RUN.format("def f(apps, editor): B.objects.all()", "migrations.RunPython.noop")

        assert list(careless_operations(source)) == []


@pytest.fixture
def plant(tmp_path: Path, settings, monkeypatch):
    """Return a function that makes an app of ours with these files."""
    settings.BASE_DIR = tmp_path
    monkeypatch.syspath_prepend(tmp_path)

    def planted(label: str, **files: str) -> AppConfig:
        for name, text in files.items():
            path = tmp_path / label / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        config = type("Planted", (AppConfig,), {"path": str(tmp_path / label), "label": label})
        made: AppConfig = config(label, sys.modules[__name__])
        return made

    return planted


class TestTheChecks:
    def test_a_bare_block_in_an_app_with_another_home_is_a_warning(self, plant):
        config = plant("documents", services=f"{IMPORT}with transaction.atomic(): pass")
        (warning,) = transactions_name_their_database([config])

        assert warning.id == "databases.W011"
        assert warning.msg.startswith("documents/services.py:2: ")
        assert "atomic_for('documents')" in str(warning.hint)

    def test_in_an_app_of_the_primary_it_is_right(self, plant):
        config = plant("customers", services=f"{IMPORT}with transaction.atomic(): pass")

        assert transactions_name_their_database([config]) == []

    def test_tests_and_migrations_are_not_looked_at_for_it(self, plant):
        bare = f"{IMPORT}with transaction.atomic(): pass"
        config = plant("documents", migrations__one=bare, tests__test_it=bare)

        assert transactions_name_their_database([config]) == []

    def test_a_migration_that_forgets_its_database_is_a_warning_in_every_app(self, plant):
        careless = RUN.format("def f(apps, editor): B.objects.all()", "f")
        config = plant("customers", migrations__two=careless)
        (warning,) = migrations_use_their_database([config])

        assert warning.id == "databases.W012"
        assert warning.msg.startswith("customers/migrations/two.py:2: f ")
        assert "schema_editor.connection.alias" in str(warning.hint)

    def test_apps_of_others_are_not_ours_to_judge(self):
        others = [apps.get_app_config(label) for label in ("auth", "contenttypes", "sessions")]

        assert migrations_use_their_database(others) == []

    def test_our_own_apps_pass(self):
        assert transactions_name_their_database() == []
        assert migrations_use_their_database() == []

    def test_they_run_with_every_command_and_cost_it_little(self):
        ours.register_all()
        registered = checks.registry.registry.get_checks()
        assert {transactions_name_their_database, migrations_use_their_database} <= set(registered)

        times = []
        for _ in range(5):
            begun = perf_counter()
            transactions_name_their_database()
            migrations_use_their_database()
            times.append(perf_counter() - begun)
        assert min(times) < 0.1
