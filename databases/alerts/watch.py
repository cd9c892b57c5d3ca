"""Turn what breakers and replicas report into alerts: a store fails, recovers, or falls back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import connections

from databases import breaker as breakers
from databases import health, reasons
from databases.alerts import ledger
from databases.alerts.raising import raise_alert
from databases.aliases import PRIMARY, is_replica, primary_of
from databases.replica import ReplicaState
from databases.stores import mongo, redis

DOWN: Final = "databases.down"
FALLBACK: Final = "databases.fallback"

_CONSEQUENCES: Final[Mapping[str, str]] = {
    PRIMARY.value: "Sign-in, sessions and every page that needs the primary answer 503.",
    "mongodb": "PostgreSQL serves what it can; the read models wait.",
    "redis": "Tasks are not delivered and caches are empty until it is back.",
}
_usable: dict[str, bool] = {}


def connect() -> None:
    """Listen to every breaker of this process."""
    breakers.listen(note_breaker)


def note_breaker(state: breakers.BreakerState) -> None:
    """Raise the alert of a breaker that opened or closed.

    A replica whose breaker closes is not usable yet: `note_replica` tells that.
    """
    if is_replica(state.store):
        if state.open:
            _usable[state.store] = False
            _tell_replica(state.store, f"down: {reasons.kind_of(state.reason)}", usable=False)
        return
    _tell(state.store, reasons.kind_of(state.reason), up=not state.open)


def make_up() -> None:
    """Tell the recovery of stores whose failure was told by processes that are gone since.

    Asks the stores only when there is such a one.
    """
    told = {
        (FALLBACK if is_replica(store) else DOWN) + f":{store}": store
        for store in (*connections.settings, mongo.STORE, redis.STORE)
    }
    failing = ledger.failing(list(told)) if told else set()
    if not failing:
        return
    found = health.report()
    for store in (told[key] for key in sorted(failing)):
        if not found.up(store):
            continue
        if is_replica(store):
            _tell_replica(store, "", usable=True)
        else:
            _tell(store, "", up=True)


def note_replica(state: ReplicaState) -> None:
    """Raise an alert when a replica stops or begins to be usable; call it after a look."""
    before = _usable.get(state.alias, True)
    _usable[state.alias] = state.usable
    if before != state.usable:
        _tell_replica(state.alias, reasons.of_replica(state.reason), usable=state.usable)


def _tell(store: str, kind: str, *, up: bool) -> None:
    consequence = _CONSEQUENCES.get(
        store, "What lives there answers 503 or a declared fallback; the rest works."
    )
    if up:
        detail = f"{store} answers again and is used again."
    else:
        detail = (
            f"{store}: {kind}. {consequence} It is probed all the time, and used again by itself "
            "as soon as it answers."
        )
    raise_alert(
        code=DOWN,
        severity="critical",
        title=f"{store} {'is back' if up else 'does not answer'}",
        detail=detail,
        store=store,
        recovered=up,
    )


def _tell_replica(alias: str, reason: str, *, usable: bool) -> None:
    primary = primary_of(alias)
    if usable:
        title = f"{alias} serves reads again"
        detail = f"{alias} is a living copy of {primary} again and takes reads."
    else:
        title = f"Reads of {alias} fall back to {primary}"
        detail = f"{alias} is left alone ({reason}). {primary} serves its reads; watch its load."
    raise_alert(
        code=FALLBACK,
        severity="warning",
        title=title,
        detail=detail,
        store=alias,
        recovered=usable,
    )
