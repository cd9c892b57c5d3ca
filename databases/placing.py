"""Operators' decisions about where an app's rows go, and what is to be said about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connections
from django.db.utils import Error

from common.errors import PolystoreError
from databases import placement
from databases.aliases import HOME_OF_APP, PRIMARY, SPECS, declared_home, is_replica
from databases.migration import preflight, run
from databases.migration.run import Step


class NoSuchPlace(PolystoreError):
    """The app, the database, or the two together make no placement."""

    code = "databases.no_such_place"
    status = 422


class CannotPlace(PolystoreError):
    """The placement would make sense, but something stands against it now."""

    code = "databases.cannot_place"
    status = 409

    def __init__(self, detail: str, *, remedy: str) -> None:
        """Say what stands against it, and what can be done."""
        super().__init__(detail)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedApp:
    """What was decided, and done."""

    app: str
    alias: str
    """Where new rows go from now on."""
    was: str
    changed: bool
    """False where it lived there already."""
    epoch: int
    """Counts the decisions about this app."""
    left_existing: bool
    """Older rows lie in the primary and stay there."""
    tables_with_rows_left: tuple[str, ...]
    applied: tuple[str, ...]
    """Migrations that made its tables on the new database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementNote:
    """What an operator should know of an app that is not simply at home."""

    check: str
    """E007, W010 or W013."""
    app: str
    text: str
    remedy: str


def place(app_label: str, *, on: str, leave_existing: bool, step: Step) -> PlacedApp:
    """Send the rows of an app to a database from now on.

    Its tables are made there first. Repeating it changes nothing.

    :param on: its declared home, or the primary while its home holds no rows.
    :param leave_existing: rows that exist stay where they are (see `databases.left_behind`).
    :param step: called with a line for each step.
    :raises NoSuchPlace: for an app that has one place only, and for a database that is not it.
    :raises CannotPlace: while rows exist that nobody said should stay, and when the new database
        cannot be migrated.
    :raises databases.placement.PlacedElsewhere: when its rows live on an unused alias.
    """
    _require_sense(app_label, on)
    if not placement.refresh():
        raise CannotPlace(
            "The primary does not say where apps live now.",
            remedy="Run migrate_all, or wait until the primary answers.",
        )
    now = placement.placed().get(app_label, PRIMARY.value)
    if now not in connections.settings:
        raise placement.PlacedElsewhere(app_label, now)
    if now == on and app_label in placement.placed():
        return _placed(app_label, was=now)
    rows = tuple(preflight.tables_with_rows(now, app_label)) if now != on else ()
    if rows and (on == PRIMARY or not leave_existing):
        raise _rows_stand_against_it(app_label, now, on)
    report = run.migrate_app(app_label, alias=on, step=step)
    if report.findings:
        raise CannotPlace(report.findings[0].problem, remedy=report.findings[0].remedy)
    placement.record({app_label: on}, left_existing=bool(rows))
    return _placed(app_label, was=now, changed=True, applied=report.applied)


def notes() -> Iterator[PlacementNote]:
    """Yield what is to be said about apps that are not simply at home, as last read.

    Asks the databases whether they hold rows; one that does not answer is taken for one that does.
    """
    gone = placement.elsewhere(frozenset(connections.settings))
    for app_label, alias in gone.items():
        yield PlacementNote(
            check="E007",
            app=app_label,
            text=f"The rows of {app_label!r} live on {alias!r}, which is not in use.",
            remedy=f"Set {placement.variable_of(alias)} again and SPLIT_DB_MODE to true, or move "
            "the rows back first.",
        )
    for app_label, alias in placement.unmoved().items():
        if app_label not in gone:
            yield _waiting(app_label, alias)
    installed = {config.label for config in apps.get_app_configs()}
    for app_label, alias in placement.placed().items():
        if PRIMARY != alias in connections.settings and app_label in installed:
            yield from _left(app_label, alias)


def _require_sense(app_label: str, on: str) -> None:
    movable = [label for label in run.apps_with_migrations() if _home(label) != PRIMARY]
    if app_label not in HOME_OF_APP or app_label not in run.apps_with_migrations():
        raise NoSuchPlace(
            f"There is no app {app_label!r} with tables. Apps that can be placed: "
            f"{', '.join(movable)}."
        )
    home = _home(app_label)
    if home == PRIMARY:
        raise NoSuchPlace(
            f"{app_label!r} lives in the primary and nowhere else: other apps refer to its rows. "
            f"Apps that can be placed: {', '.join(movable)}."
        )
    if is_replica(on) or on not in SPECS:
        known = ", ".join(alias for alias in connections.settings if not is_replica(alias))
        raise NoSuchPlace(f"{on!r} is no database for rows. Databases in use: {known}.")
    if on not in {home, PRIMARY.value}:
        raise NoSuchPlace(
            f"{app_label!r} is declared to live on {home!r}; it may be placed there or on "
            f"{PRIMARY.value!r}. To keep it on the server of {on!r}, set "
            f"{placement.variable_of(home)} to it."
        )
    if on not in connections.settings:
        raise NoSuchPlace(
            f"{on!r} is not in use. Set {placement.variable_of(on)} (and SPLIT_DB_MODE to true)."
        )


def _rows_stand_against_it(app_label: str, now: str, on: str) -> CannotPlace:
    if on == PRIMARY:
        return CannotPlace(
            f"{now!r} holds rows of {app_label!r}, which would be out of sight.",
            remedy=f"Keep {placement.variable_of(now)} set: rows cannot be moved back yet.",
        )
    return CannotPlace(
        f"{now!r} holds rows of {app_label!r}, which would be out of sight.",
        remedy=_what_can_be_done(app_label, now),
    )


def _what_can_be_done(app_label: str, now: str) -> str:
    home = _home(app_label)
    return (
        f"Leave it as it is ({now!r} serves them), or run `place_app {app_label} --on {home} "
        "--leave-existing`: new rows go there and the old ones stay, out of sight of ordinary "
        f"queries. Taking {placement.variable_of(home)} away ends this message."
    )


def _waiting(app_label: str, alias: str) -> PlacementNote:
    home = _home(app_label)
    remedy = _what_can_be_done(app_label, alias)
    if not _holds_rows(alias, app_label):
        remedy = "Run migrate_all: there are no rows, so it moves in by itself."
    return PlacementNote(
        check="W010",
        app=app_label,
        text=f"{home!r} is configured, but the rows of {app_label!r} still live on {alias!r} and "
        "are served from there.",
        remedy=remedy,
    )


def _left(app_label: str, alias: str) -> Iterator[PlacementNote]:
    if not _holds_rows(PRIMARY, app_label):
        return
    told = app_label in placement.apps_with_left_rows()
    yield PlacementNote(
        check="W013",
        app=app_label,
        text=f"{app_label!r} lives on {alias!r}, but older rows of it were left in the primary, "
        "out of sight of ordinary queries."
        if told
        else f"{app_label!r} lives on {alias!r}, but the primary holds rows of it that nobody "
        "decided to leave there: written while it was placed, or restored.",
        remedy="Read them with databases.left_behind.left_behind(Model); this message ends when "
        "there are none."
        if told
        else f"Look at them in the primary's tables {app_label}_*, copy what is missing, and "
        "delete them there.",
    )


def _holds_rows(alias: str, app_label: str) -> bool:
    try:
        return preflight.holds_rows(alias, app_label)
    except Error:
        return True


def _placed(
    app_label: str, *, was: str, changed: bool = False, applied: tuple[str, ...] = ()
) -> PlacedApp:
    row = placement.row_of(app_label)
    left = tuple(preflight.tables_with_rows(PRIMARY, app_label)) if row.left_existing else ()
    return PlacedApp(
        app=app_label,
        alias=row.alias,
        was=was,
        changed=changed,
        epoch=row.epoch,
        left_existing=row.left_existing,
        tables_with_rows_left=left,
        applied=applied,
    )


def _home(app_label: str) -> str:
    return declared_home(app_label).value
