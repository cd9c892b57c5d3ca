"""Turn the environment's database URLs into Django's DATABASES. Pure: standard library only.

`read_environment` is the one door: it takes a mapping such as `os.environ` and returns the
entries, what is configured, and the warnings that the checks show. It never prints a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from databases.aliases import PRIMARY, SPECS, AliasSpec, primary_of
from databases.dsn import DatabaseUrl, UrlRefused, parse

POOL_TIMEOUT = 2.0
"""Seconds that a caller waits for a connection: a database that is down must fail fast."""
RECONNECT_TIMEOUT = 3.0
"""Seconds that the pool keeps retrying before it gives a connection up. Longer, and its
exponential back-off makes it notice a server that is back only after tens of seconds."""
LOCK_TIMEOUT = 5
REPLICA_LOCK_TIMEOUT_MS = 200
"""On a replica only replay holds locks that a reader waits for; the primary serves it then."""
IDLE_IN_TRANSACTION_TIMEOUT = 60
CONNECT_TIMEOUT = 2
MOST = 1_000_000
"""The highest figure that is believed: connections, or seconds."""

BACKEND = "databases.backend"
COCKROACH_BACKEND = "databases.backend_cockroach"


class ConfigurationRefused(ValueError):
    """The environment cannot be right; the message names the variable and never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the environment says about databases."""

    databases: dict[str, dict[str, Any]]
    """Entries for Django's DATABASES; always holds `default`."""
    configured: frozenset[str]
    """Aliases with a URL of their own that are in use (not those that the primary serves)."""
    declared: frozenset[str]
    """Aliases with a URL of their own, in use or not (see `split`)."""
    split: bool
    """False: SPLIT_DB_MODE sends everything to the primary."""
    warnings: tuple[str, ...] = field(default=())


def read_environment(environ: Mapping[str, str]) -> Configuration:
    """Read every database variable of design "The databases".

    :param environ: variable names to values, e.g. `os.environ`.
    :raises ConfigurationRefused: where a value is malformed or two contradict each other.
    """
    split = flag(environ, "SPLIT_DB_MODE", default=True)
    entries: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    declared: set[str] = set()
    for alias, spec, variable, text in _urls(environ):
        entry = _entry(alias, spec, variable, text, environ, warnings)
        declared.add(alias)
        if primary_of(alias) not in {PRIMARY, *declared}:
            warnings.append(
                f"{variable}: {primary_of(alias)!r} has no URL of its own, so that the primary "
                "serves it and this replica is not used."
            )
        elif split or alias == PRIMARY:
            entries[alias] = entry
    configured = frozenset(entries)
    if PRIMARY not in entries:
        # Settings import with an empty environment; the checks and the start refuse this entry.
        entries = {PRIMARY.value: _unconfigured()} | entries
    return Configuration(
        databases=entries,
        configured=configured,
        declared=frozenset(declared),
        split=split,
        warnings=tuple(warnings),
    )


def flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a yes-or-no variable; anything that is neither is refused by name."""
    value = environ.get(name, "").strip().lower()
    if value == "":
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ConfigurationRefused(f"{name} must be true or false.")


def _urls(environ: Mapping[str, str]) -> Iterator[tuple[str, AliasSpec, str, str]]:
    """Yield (alias, spec, variable, url) for every database that the environment names."""
    for spec in SPECS.values():
        variable, text = _one_of(spec.variables, environ)
        if not text:
            continue
        if spec.name != "replica":
            yield spec.name, spec, variable, text
            continue
        yield from _replicas("replica", spec, variable, text)
    for owner in SPECS.values():
        if owner.name in {"default", "replica"}:
            continue
        variable = f"{owner.prefixes[0]}_REPLICA_DATABASE_URL"
        if text := environ.get(variable, "").strip():
            yield from _replicas(f"{owner.name}_replica", SPECS["replica"], variable, text)


def _replicas(
    first: str, spec: AliasSpec, variable: str, text: str
) -> Iterator[tuple[str, AliasSpec, str, str]]:
    for number, part in enumerate(_split_urls(text), start=1):
        alias = first if number == 1 else f"{first}_{number}"
        yield alias, _numbered(spec, variable, number), variable, part


def _numbered(spec: AliasSpec, variable: str, number: int) -> AliasSpec:
    """Return the spec of one replica of several: its own prefix first, then those of all."""
    common = variable.removesuffix("_DATABASE_URL")
    own = (common,) if number == 1 else (f"{common}_{number}", common)
    return replace(spec, prefixes=tuple(dict.fromkeys((*own, *spec.prefixes))))


def _split_urls(text: str) -> list[str]:
    """Split at commas that begin another URL: hosts and passwords may hold commas too."""
    parts = re.split(r",\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)", text.strip().strip(","))
    return [part.strip().rstrip(",") for part in parts if part.strip()]


def _one_of(names: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the first variable that is set; two that differ are refused."""
    found = [(name, environ[name].strip()) for name in names if environ.get(name, "").strip()]
    if len({text for _, text in found}) > 1:
        both = " and ".join(name for name, _ in found)
        raise ConfigurationRefused(f"{both} are both set and differ. Unset one of them.")
    return found[0] if found else (names[0], "")


def direct_variable(spec: AliasSpec) -> tuple[str, ...]:
    """Return the variables that name a way around a pooler for this database."""
    own = tuple(f"{prefix}_DIRECT_DATABASE_URL" for prefix in spec.prefixes)
    return (*own, "DIRECT_DATABASE_URL") if spec.name == PRIMARY else own


def _entry(  # noqa: PLR0917 - private, and each is a different thing
    alias: str,
    spec: AliasSpec,
    variable: str,
    text: str,
    environ: Mapping[str, str],
    warnings: list[str],
) -> dict[str, Any]:
    url = _parsed(variable, text, warnings)
    entry = _connection(alias, spec, variable, url, environ)
    direct_name, direct_text = _one_of(direct_variable(spec), environ)
    if direct_text and alias == spec.name and spec.name != "replica":
        entry["POLYSTORE"]["direct"] = _direct(
            alias, spec, direct_name, _parsed(direct_name, direct_text, warnings), environ
        )
    return entry


def _direct(
    alias: str, spec: AliasSpec, variable: str, url: DatabaseUrl, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return the entry of the way around the pooler: one plain connection, nothing pooled."""
    entry = _connection(alias, spec, variable, url, environ)
    entry["OPTIONS"].pop("pool", None)
    entry.setdefault("DISABLE_SERVER_SIDE_CURSORS", False)
    entry["POLYSTORE"]["role"] = "direct"
    entry["OPTIONS"]["application_name"] = f"polystore:{alias}:direct"
    return entry


def _parsed(variable: str, text: str, warnings: list[str]) -> DatabaseUrl:
    try:
        url = parse(text)
    except UrlRefused as refused:
        raise ConfigurationRefused(f"{variable} {refused}") from None
    dropped = set(url.dropped)
    if url.pooler and "options" in url.options:
        # A transaction pooler refuses the connection because of them.
        dropped.add("options")
        kept = {name: value for name, value in url.options.items() if name != "options"}
        url = replace(url, options=kept)
    if dropped:
        names = ", ".join(sorted(dropped))
        warnings.append(f"{variable}: these parameters mean nothing here and are dropped: {names}.")
    return url


def _connection(
    alias: str, spec: AliasSpec, variable: str, url: DatabaseUrl, environ: Mapping[str, str]
) -> dict[str, Any]:
    def figure(
        name: str, default: float, *, parameter: str, least: float, whole: bool = False
    ) -> float:
        given, where = _figure(name, parameter, spec, variable, url, environ)
        return default if given is None else _number(where, given, least=least, whole=whole)

    pool_max = int(figure("POOL_MAX", spec.pool_max, parameter="pool_max", least=1, whole=True))
    pool_timeout = figure("POOL_TIMEOUT", POOL_TIMEOUT, parameter="pool_timeout", least=0.05)
    seconds = figure(
        "STATEMENT_TIMEOUT", spec.statement_timeout, parameter="statement_timeout", least=0.001
    )
    role = "replica" if spec.name == "replica" else "primary"
    timeouts = {
        "statement_timeout": f"{round(seconds * 1000)}",
        "lock_timeout": f"{LOCK_TIMEOUT * 1000}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT * 1000}",
    }
    if role == "replica":
        timeouts["default_transaction_read_only"] = "on"
        timeouts["lock_timeout"] = f"{REPLICA_LOCK_TIMEOUT_MS}"
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        **url.options,
        "application_name": f"polystore:{alias}:{role}",
    }
    entry: dict[str, Any] = {
        "ENGINE": COCKROACH_BACKEND if url.cockroach else BACKEND,
        "NAME": url.name,
        "USER": url.user,
        "PASSWORD": url.password,
        "HOST": url.host,
        "PORT": url.port,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": options,
        "POLYSTORE": {
            "alias": alias,
            "name": url.name,
            "role": role,
            "variable": variable,
            "region": _region(alias, spec, environ),
            "session": timeouts,
            "pooler": url.pooler,
            "pool_max": pool_max,
            "pool_timeout": pool_timeout,
        },
    }
    if url.pooler:
        # A transaction pooler refuses start-up options and mixes sessions: no pool of ours, no
        # cursor or prepared statement that outlives its transaction. The backend sets the time
        # bounds in each transaction instead.
        entry["DISABLE_SERVER_SIDE_CURSORS"] = True
        options["prepare_threshold"] = None
    else:
        settings = " ".join(f"-c {name}={value}" for name, value in timeouts.items())
        if not url.cockroach:
            options["options"] = f"{settings} {url.options.get('options', '')}".strip()
        options["pool"] = {
            "min_size": 0,
            "max_size": pool_max,
            "timeout": pool_timeout,
            "reconnect_timeout": RECONNECT_TIMEOUT,
            "max_idle": 300.0,
            "max_lifetime": 3600.0,
            "name": f"polystore:{alias}",
        }
    if role == "replica":
        entry["TEST"] = {"MIRROR": primary_of(alias)}
    return entry


def _region(alias: str, spec: AliasSpec, environ: Mapping[str, str]) -> str:
    """Return an alias's region; replicas of one variable may take theirs in its order."""
    _, found, number = alias.rpartition("replica")
    names = [f"{prefix}_REGION" for prefix in spec.prefixes]
    if found and alias != "replica" and not alias.startswith("replica_"):
        names = names[:-2]  # a region of the primary's replicas says nothing of other replicas
    given = next((environ[name] for name in names if environ.get(name)), "")
    regions = [region.strip() for region in given.split(",")]
    turn = int(number.strip("_") or 1) if found else 1
    return regions[min(turn, len(regions)) - 1]


def _figure(  # noqa: PLR0917 - private, and each is a different thing
    name: str,
    parameter: str,
    spec: AliasSpec,
    variable: str,
    url: DatabaseUrl,
    environ: Mapping[str, str],
) -> tuple[str | None, str]:
    """Return (text, where it stood): the variable first, then the URL's query."""
    for prefix in spec.prefixes:
        if text := environ.get(f"{prefix}_{name}", "").strip():
            return text, f"{prefix}_{name}"
    return url.figures.get(parameter), f"{variable}: {parameter}"


def _number(where: str, text: str, *, least: float, whole: bool) -> float:
    pattern = r"\d{1,9}" if whole else r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}"
    if not re.fullmatch(pattern, text, re.ASCII) or not least <= float(text) <= MOST:
        kind = "a whole number" if whole else "a number"
        raise ConfigurationRefused(f"{where} must be {kind} from {least:g} to {MOST}.")
    return float(text)


def _unconfigured() -> dict[str, Any]:
    """Return an entry that loads but never connects: nothing listens in a folder without name."""
    return {
        "ENGINE": BACKEND,
        "NAME": "polystore",
        "HOST": "/nonexistent-database-url-is-not-set",
        "OPTIONS": {},
        "POLYSTORE": {
            "alias": PRIMARY.value,
            "name": "polystore",
            "role": "unconfigured",
            "variable": SPECS[PRIMARY].variables[0],
            "region": "",
            "session": {},
            "pooler": False,
            "pool_max": 0,
            "pool_timeout": POOL_TIMEOUT,
        },
    }
