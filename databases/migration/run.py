"""Migrate every alias: the primary first, each with the apps that live there and no others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.core.exceptions import ImproperlyConfigured
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error

from common.errors import PolystoreError
from common.redaction import redact
from databases import placement
from databases.aliases import PRIMARY, declared_home, is_replica
from databases.migration import preflight
from databases.migration.connect import direct_connection, direct_wrapper
from databases.migration.described import models_described
from databases.migration.preflight import Finding

LOCK_KEY = 0x706F6C79
LOCK_WAIT = 120.0
"""Seconds to wait for another migrate_all on the same database."""

Step = Callable[[str], None]


class MigrationsHeldUp(PolystoreError):
    """Another process migrates the same database and does not finish."""

    code = "databases.migrations_held_up"
    status = 409
    remedy = "Wait for the other migrate_all, or find out why it hangs (pg_locks, advisory)."


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasReport:
    """What was found, and done, on one alias."""

    alias: str
    apps: tuple[str, ...]
    """The apps that live here."""
    pending: tuple[str, ...] = ()
    """Migrations that were not applied when it began, as `app.name`, in order."""
    applied: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


def apps_with_migrations() -> list[str]:
    """Return the labels of the installed apps that have migrations, in the order of settings."""
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    return [
        config.label for config in apps.get_app_configs() if config.label in loader.migrated_apps
    ]


def decide_placement() -> Mapping[str, str]:
    """Return where each app's rows shall live from now on: app label to alias.

    What is written down counts. An app moves to its home by itself only while the database that
    it lives in holds no rows of it: configured is not moved.

    :raises databases.placement.PlacedElsewhere: when rows live on an alias that is not in use.
    """
    placement.refresh()
    known = placement.placed()
    decided: dict[str, str] = {}
    for app_label in apps_with_migrations():
        home = declared_home(app_label).value
        wanted = home if home in connections.settings else PRIMARY.value
        now = known.get(app_label, PRIMARY.value)
        if now not in connections.settings:
            raise placement.PlacedElsewhere(app_label, now)
        decided[app_label] = (
            now if now != wanted and preflight.holds_rows(now, app_label) else wanted
        )
    return decided


def examine(aliases: Sequence[str]) -> list[AliasReport]:
    """Return, for each alias, its pending migrations and what stands against applying them."""
    homes = decide_placement_or_known()
    return [_examined(alias, _living_on(alias, homes)) for alias in aliases]


def migrate(aliases: Sequence[str], *, step: Step) -> list[AliasReport]:
    """Apply what is pending on each alias, then write down where each app lives.

    An alias with findings is left as it is; the others are migrated.

    :param aliases: which to migrate; placement is recorded for the apps of those that succeeded.
    :param step: called with a line for each step.
    """
    homes = decide_placement_or_known()
    reports: list[AliasReport] = []
    recorded: dict[str, str] = {}
    for alias in sorted(aliases, key=lambda name: name != PRIMARY):
        report = _migrated(alias, _living_on(alias, homes), homes, step)
        reports.append(report)
        if not report.findings:
            recorded |= dict.fromkeys(report.apps, alias)
    changed = {
        app: alias for app, alias in recorded.items() if placement.placed().get(app) != alias
    }
    tables = _tables_of_the_primary()
    if changed and "databases_placement" in tables:
        placement.record(changed)
    if any(report.applied for report in reports) and "auth_permission" in tables:
        describe_models_of_every_home()
    return reports


def migrate_app(app_label: str, *, alias: str, step: Step) -> AliasReport:
    """Make or update the tables of one app on a database, where it may not live yet."""
    return _migrated(alias, (app_label,), {app_label: alias}, step)


def decide_placement_or_known() -> Mapping[str, str]:
    """Return the decision, or what memory says while the primary does not answer."""
    try:
        return decide_placement()
    except Error:
        return {label: placement.alias_of(label) for label in apps_with_migrations()}


def _tables_of_the_primary() -> set[str]:
    """Return the names of its tables; none while it does not answer."""
    try:
        connection = connections[PRIMARY]
        with connection.cursor() as cursor:
            return set(connection.introspection.table_names(cursor))
    except (Error, ImproperlyConfigured):
        return set()


def describe_models_of_every_home() -> None:
    """Make the content types and permissions of every app; they live in the primary.

    Django makes them where it migrates an app, and there it would make none for an app that
    lives elsewhere.
    """
    for config in apps.get_app_configs():
        create_permissions(config, verbosity=0, using=PRIMARY)
    models_described.send(sender=None, using=PRIMARY.value)


def aliases_to_migrate() -> list[str]:
    """Return every alias that holds tables: all but replicas, the primary first."""
    return [alias for alias in connections.settings if not is_replica(alias)]


def _living_on(alias: str, homes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(label for label, home in homes.items() if home == alias)


def _examined(alias: str, labels: tuple[str, ...]) -> AliasReport:
    try:
        with direct_connection(alias) as connection:
            findings = preflight.examine(connection, labels)
            pending = _pending(connection, labels)
    except (Error, ImproperlyConfigured) as error:
        return AliasReport(alias=alias, apps=labels, findings=(_stopped(alias, error),))
    return AliasReport(alias=alias, apps=labels, pending=pending, findings=tuple(findings))


def _migrated(
    alias: str, labels: tuple[str, ...], homes: Mapping[str, str], step: Step
) -> AliasReport:
    pending: tuple[str, ...] = ()
    applied: list[str] = []
    findings: list[Finding] = []
    try:
        with direct_connection(alias) as connection, _lock(alias):
            findings = preflight.examine(connection, labels)
            pending = _pending(connection, labels)
            if pending and not findings:
                with placement.assumed(homes):
                    apply_pending(connection, labels, step, applied)
    except (Error, ImproperlyConfigured, MigrationsHeldUp) as error:
        findings = [_stopped(alias, error)]
    return AliasReport(
        alias=alias,
        apps=labels,
        pending=pending,
        applied=tuple(applied),
        findings=tuple(findings),
    )


def _pending(connection: BaseDatabaseWrapper, labels: tuple[str, ...]) -> tuple[str, ...]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(_targets(executor, labels))
    return tuple(f"{migration.app_label}.{migration.name}" for migration, _ in plan)


def _targets(executor: MigrationExecutor, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    leaves = executor.loader.graph.leaf_nodes()
    return [leaf for leaf in leaves if leaf[0] in labels]


def apply_pending(
    connection: BaseDatabaseWrapper, labels: tuple[str, ...], step: Step, applied: list[str]
) -> None:
    """Apply what is pending of some apps.

    :param labels: the apps that live on this database.
    :param step: called with a line for each migration that begins.
    :param applied: each migration that succeeded is added to it.
    """

    def progress(action: str, migration: Any = None, fake: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        if action == "apply_start":
            step(f"{connection.alias}: {migration}")
        if action == "apply_success":
            applied.append(f"{migration.app_label}.{migration.name}")

    executor = MigrationExecutor(connection, progress)  # type: ignore[arg-type]  # any of its actions
    targets = _targets(executor, labels)
    plan = executor.migration_plan(targets)
    before = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]
    emit_pre_migrate_signal(0, interactive=False, db=connection.alias, apps=before.apps, plan=plan)
    state = executor.migrate(targets, plan=plan, state=before.clone())
    state.clear_delayed_apps_cache()
    emit_post_migrate_signal(0, interactive=False, db=connection.alias, apps=state.apps, plan=plan)


@contextmanager
def _lock(alias: str) -> Iterator[None]:
    """Let one process at a time migrate a database, where advisory locks exist.

    A transaction on a connection of its own holds the lock, so that it works behind a transaction
    pooler, too, and ends with the process.

    :raises MigrationsHeldUp: when another process holds it for too long.
    """
    holder = direct_wrapper(alias)
    if holder.vendor != "postgresql":
        yield
        return
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
            _take(cursor, alias)
        yield
    finally:
        holder.close()


def _take(cursor: Any, alias: str) -> None:
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK_KEY])
        if cursor.fetchone()[0]:
            return
        if time.monotonic() > deadline:
            raise MigrationsHeldUp(f"Another process has been migrating {alias!r} for long.")
        time.sleep(0.2)


def _stopped(alias: str, error: Exception) -> Finding:
    if isinstance(error, MigrationsHeldUp):
        return Finding(alias=alias, problem=error.detail.rstrip("."), remedy=error.remedy)
    reason = redact(" ".join(str(error).split())[:300]).rstrip(".")
    return Finding(
        alias=alias,
        problem=reason or type(error).__name__,
        remedy="Mend what the message says and run migrate_all again; repeating loses nothing.",
    )
