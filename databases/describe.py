"""What every store is and does, for `describe_databases` and the admin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError, Error

from databases import health, overview, placement, placing, pool_figures, process_state, replica
from databases.aliases import PRIMARY, SPECS, is_replica
from databases.migration.run import apps_with_migrations
from databases.overview import StoreView
from databases.placing import PlacementNote
from databases.probe import ProbeFailed, ask, conninfo_of
from databases.stores import mongo, redis

SIZE_SQL = "SELECT pg_database_size(current_database())"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDescription:
    """One row of the table. Addresses carry no user and no password."""

    store: str
    configured: bool
    served_by: str
    """The alias that serves it: itself, or the primary while it is not configured."""
    apps: tuple[str, ...]
    """The apps placed here now."""
    host: str
    state: str
    """"up", "streaming", or why not."""
    breaker: str
    pending: int | None
    """Migrations that are not applied; None where that cannot be known."""
    size_bytes: int | None
    pool: str
    """Connections in use of the most that the processes may open."""
    lag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The whole table, and for whom its breakers, pools and lags speak."""

    scope: str
    """"all processes", or "this process" while Redis cannot be asked or no process publishes."""
    processes: int
    stores: tuple[StoreDescription, ...]
    notes: tuple[PlacementNote, ...]
    """Apps whose rows are not simply at home, and what can be done today."""


def describe(names: Sequence[str] = ()) -> Description:
    """Return the description of every store, or of those named.

    :raises LookupError: for a name that is no store.
    """
    known = known_stores()
    for name in names:
        if name not in known:
            raise LookupError(name)
    found = health.report(fresh=True)
    processes = process_state.all_processes()
    views = overview.by_store(processes)
    homes = {label: _alias_even_if_gone(label) for label in apps_with_migrations()}
    chosen = names or known
    return Description(
        scope=processes.scope,
        processes=len(processes.states),
        stores=tuple(_described(name, found, homes, views) for name in chosen),
        notes=tuple(placing.notes()),
    )


def known_stores() -> list[str]:
    """Return every store's name: aliases, replicas, MongoDB, Redis."""
    aliases = [name for name in SPECS if name != "replica"]
    copies = [alias for alias in connections.settings if is_replica(alias)]
    return [*aliases, *(copies or ["replica"]), mongo.STORE, redis.STORE]


def _described(
    name: str,
    found: health.HealthReport,
    homes: Mapping[str, str],
    views: Mapping[str, StoreView],
) -> StoreDescription:
    if name in {mongo.STORE, redis.STORE}:
        return _other_store(name, found, views[name])
    configured = name in connections.settings and not _is_unconfigured(name)
    apps = tuple(sorted(label for label, alias in homes.items() if alias == name))
    serving = name if name in connections.settings else PRIMARY.value
    if _is_unconfigured(PRIMARY) or (not configured and (is_replica(name) or apps)):
        return _not_configured(name, apps)
    probed = found.stores.get(serving)
    up = probed is not None and probed.up
    own = configured and up
    return StoreDescription(
        store=name,
        configured=configured,
        served_by=serving,
        apps=apps,
        host=_host(serving),
        state=_state(name, up=up, reason=probed.reason if probed else "not looked at"),
        breaker=str(views[serving].breaker),
        pending=_pending(name, homes) if own and not is_replica(name) else None,
        size_bytes=_size(serving) if own else None,
        pool=_pool(serving, views[serving]) if configured else "",
        lag=_lag(name, views[name]) if configured and is_replica(name) else "",
    )


def _not_configured(name: str, apps: tuple[str, ...]) -> StoreDescription:
    """Describe a database that nothing stands in for; rows that it holds are out of reach."""
    state = "not configured"
    if name == PRIMARY:
        state = "down: DATABASE_URL is not set"
    elif apps and not _is_unconfigured(PRIMARY):
        state = "down: not configured, and the rows of these apps live here"
    return StoreDescription(
        store=name,
        configured=False,
        served_by="",
        apps=apps,
        host="",
        state=state,
        breaker="",
        pending=None,
        size_bytes=None,
        pool="",
        lag="",
    )


def _state(name: str, *, up: bool, reason: str) -> str:
    if not up:
        return f"down: {reason}"
    return "streaming" if is_replica(name) and name in connections.settings else "up"


def _other_store(name: str, found: health.HealthReport, view: StoreView) -> StoreDescription:
    door = mongo if name == mongo.STORE else redis
    configured = door.configured()
    probed = found.stores.get(name)
    state = "not configured"
    if probed is not None:
        state = "up" if probed.up else f"down: {probed.reason}"
    return StoreDescription(
        store=name,
        configured=configured,
        served_by=name if configured else "",
        apps=(),
        host=_host_of_url(settings.MONGO_URL if name == mongo.STORE else settings.REDIS_URL),
        state=state,
        breaker=str(view.breaker),
        pending=None,
        size_bytes=None,
        pool="",
        lag="",
    )


def _is_unconfigured(alias: str) -> bool:
    return bool(connections.settings[alias]["POLYSTORE"]["role"] == "unconfigured")


def _alias_even_if_gone(app_label: str) -> str:
    """Return where the app's rows live, also when that database is not configured."""
    return placement.placed().get(app_label) or placement.alias_of(app_label)


def _host(alias: str) -> str:
    entry = connections.settings[alias]
    host = entry.get("HOST") or "localhost"
    port = entry.get("PORT")
    return f"{host}:{port}/{entry['NAME']}" if port else f"{host}/{entry['NAME']}"


def _host_of_url(url: str) -> str:
    """Return host and path of a URL, without user, password and parameters."""
    rest = url.partition("://")[2]
    # A password may hold a ? and a parameter's value an @: whatever is in doubt is left out.
    authority, found, tail = rest.rpartition("@")
    if found and "=" in authority.partition("?")[2]:
        return authority.partition("?")[0].rpartition("@")[2]
    return tail.partition("?")[0]


def _pending(alias: str, homes: Mapping[str, str]) -> int | None:
    try:
        executor = MigrationExecutor(connections[alias])
    except (DatabaseError, Error):
        return None
    labels = {label for label, home in homes.items() if home == alias}
    targets = [leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] in labels]
    return len(executor.migration_plan(targets))


def _size(alias: str) -> int | None:
    try:
        ((text,),) = ask(conninfo_of(connections.settings[alias]), SIZE_SQL, timeout=1.0)
    except (ProbeFailed, ValueError):
        return None
    return int(text or 0)


def _pool(alias: str, view: StoreView) -> str:
    if not connections.settings[alias]["OPTIONS"].get("pool"):
        return "none (pooler)"
    return f"{view.pool.used}/{view.pool.most or pool_figures.most(alias)}"


def _lag(alias: str, view: StoreView) -> str:
    if view.lag is not None:
        return f"{view.lag.lag_bytes} bytes, {view.lag.lag_seconds:.1f} s"
    state = replica.get(alias).state()
    return f"{state.lag_bytes} bytes, {state.lag_seconds:.1f} s"
