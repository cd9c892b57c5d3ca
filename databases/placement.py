"""Where each app's rows live now, as data of the primary kept in memory.

Configured is not moved: a URL that appears must not make rows vanish that still lie in the
primary. So `migrate_all` writes down where it created or found each app's tables, and that
counts, not the environment. No router call and no check queries it; processes read it when they
start and every few seconds in the background.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.db.utils import Error

from common.errors import PolystoreError
from databases.aliases import HOME_OF_APP, PRIMARY, SPECS, declared_home


class PlacedElsewhere(PolystoreError):
    """The rows of an app live in a database that is not configured (any more).

    Serving the app from the primary instead would show none of its rows and write new ones where
    nobody looks for them.
    """

    code = "databases.placed_elsewhere"
    status = 503
    title = "The rows live in a database that is not configured"

    def __init__(self, app_label: str, alias: str) -> None:
        """Name the app and the database that holds its rows."""
        super().__init__(f"The rows of {app_label} live on {alias!r}, which is not configured.")
        self.remedy = (
            f"Set {variable_of(alias)} again (and SPLIT_DB_MODE to true), or move the rows back "
            "first."
        )


class LeftRowsStay(PolystoreError):
    """Rows that were left in the primary can be read there, and never written.

    Saving one would make a second row in the app's new database.
    """

    code = "databases.left_rows_stay"
    status = 409
    title = "Rows that were left behind are read-only"
    remedy = "Make a new object from what it holds; that one goes to the app's own database."

    def __init__(self, app_label: str) -> None:
        """Name the app."""
        super().__init__(f"This row of {app_label} was left in the primary and is read-only.")


logger = logging.getLogger("databases.placement")

REFRESH_SECONDS = 5.0

_placed: Mapping[str, str] = {}
_left: frozenset[str] = frozenset()
_assumed: Mapping[str, str] = {}
_aliases: dict[str, str] = {}
_stop = threading.Event()
_thread: threading.Thread | None = None
_lock = threading.Lock()


def alias_of(app_label: str) -> str:
    """Return the alias that serves `app_label`: a dictionary look-up, never a query."""
    # A refresh puts a new dictionary in place: what this thread still resolves by the older
    # placement goes into the older dictionary, which nobody reads any more.
    known = _aliases
    alias = known.get(app_label)
    if alias is None:
        alias = known[app_label] = _resolve(app_label)
    return alias


def placed() -> Mapping[str, str]:
    """Return what the primary said last about where apps live: app label to alias."""
    return dict(_placed)


def has_left_rows(app_label: str, *, on: str) -> bool:
    """Tell whether older rows of an app were left on a database when it was placed elsewhere."""
    return app_label in _left and on == PRIMARY and alias_of(app_label) != on


def apps_with_left_rows() -> frozenset[str]:
    """Return the apps whose older rows an operator left in the primary."""
    return _left


def is_left(app_label: str, instance: Any) -> bool:
    """Tell whether an object of an app was read from the rows that were left in the primary."""
    return (
        instance is not None
        and instance._meta.app_label == app_label
        and instance._state.db == PRIMARY
        and has_left_rows(app_label, on=PRIMARY)
    )


def variable_of(alias: str) -> str:
    """Return the environment variable that names a database's URL."""
    return SPECS[alias].variables[0] if alias in SPECS else f"the URL of {alias!r}"


def refresh() -> bool:
    """Read the placement from the primary; keep the last known one when that fails.

    :returns: True when it was read.
    """
    global _left  # noqa: PLW0603 - see `_use`
    try:
        rows = list(_rows().values_list("app_label", "alias", "left_existing"))
    except (Error, ImproperlyConfigured) as error:
        # Missing table (before the first migration) or primary: the last known one counts.
        logger.info("database.placement.not_read", extra={"reason": type(error).__name__})
        return False
    _left = frozenset(app_label for app_label, _, left in rows if left)
    found = {app_label: alias for app_label, alias, _ in rows}
    if found != _placed:
        _use(found)
    return True


def forget() -> None:
    """Return to the declared homes, as before the first `refresh`."""
    global _left  # noqa: PLW0603 - see `_use`
    _left = frozenset()
    _use({})


@contextmanager
def assumed(homes: Mapping[str, str]) -> Iterator[None]:
    """Route by `homes` in this block, before they are written down: migrations create there."""
    global _assumed  # noqa: PLW0603 - see `_use`
    before, _assumed = _assumed, homes
    _use(_placed)
    try:
        yield
    finally:
        _assumed = before
        _use(_placed)


def keep_refreshing() -> None:
    """Read the placement now and then every REFRESH_SECONDS, once per process.

    Does nothing where the setting PLACEMENT_REFRESH is false.
    """
    global _thread  # noqa: PLW0603 - one thread per process
    if _thread is not None or not settings.PLACEMENT_REFRESH:
        return
    with _lock:
        if _thread is not None:
            return  # type: ignore[unreachable]  # another thread may have won the lock
        refresh()
        _thread = threading.Thread(target=_refresh_in_turn, name="placement", daemon=True)
        _thread.start()


def record(decisions: Mapping[str, str], *, left_existing: bool = False) -> None:
    """Write down where apps live, in one transaction, and use it from now on.

    :param decisions: app label to alias.
    :param left_existing: rows that lie where an app lived until now stay there.
    """
    decided = {"left_existing": left_existing}
    with transaction.atomic(using=PRIMARY):
        for app_label, alias in decisions.items():
            _, made = _rows().get_or_create(
                app_label=app_label, defaults={"alias": alias, **decided}
            )
            if not made:
                _rows().filter(app_label=app_label).exclude(alias=alias).update(
                    alias=alias, epoch=F("epoch") + 1, decided_at=Now(), **decided
                )
    refresh()


def row_of(app_label: str) -> Any:
    """Return the record about an app, as the primary has it now.

    :raises django.core.exceptions.ObjectDoesNotExist: when nothing was recorded.
    """
    return _rows().get(app_label=app_label)


def elsewhere(configured: frozenset[str]) -> Mapping[str, str]:
    """Return the apps whose rows live on an alias that is not in use: label to that alias."""
    return {
        app_label: alias
        for app_label, alias in _placed.items()
        if alias not in configured and app_label in HOME_OF_APP
    }


def unmoved() -> Mapping[str, str]:
    """Return the apps whose home is configured but whose rows live elsewhere: label to alias."""
    return {
        app_label: alias
        for app_label, alias in _placed.items()
        if declared_home(app_label) in connections.settings and declared_home(app_label) != alias
    }


_when_changed: list[Callable[[], object]] = []


def when_changed(forget: Callable[[], object]) -> None:
    """Call `forget` whenever apps may be served from elsewhere than before."""
    _when_changed.append(forget)


def _use(found: Mapping[str, str]) -> None:
    global _placed, _aliases  # noqa: PLW0603 - one placement per process
    _placed = found
    _aliases = {}
    for forget in _when_changed:
        forget()


def _rows() -> Any:
    # Looked up, not imported: the database backends import this module before models exist.
    return apps.get_model("databases", "Placement")._default_manager.using(PRIMARY)


def _resolve(app_label: str) -> str:
    kept = _assumed.get(app_label) or _placed.get(app_label)
    if kept is not None and kept not in connections.settings:
        raise PlacedElsewhere(app_label, kept)
    alias = kept or declared_home(app_label).value
    return alias if alias in connections.settings else PRIMARY.value


def _refresh_in_turn() -> None:
    while not _stop.wait(REFRESH_SECONDS):
        refresh()
        connections.close_all()


def _forget_thread() -> None:
    global _thread, _lock  # noqa: PLW0603 - the child starts its own
    _thread = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_thread)
