"""Databases of their own for tests of commands, which run in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections
from django.db.utils import ConnectionHandler, load_backend
from psycopg.sql import SQL, Composed, Identifier

from databases.pools import read_environment
from devservers.sets import ServerSet
from tests.running_site import ROOT, Site

VARIABLES = {
    "default": "DATABASE_URL",
    "cache": "CACHE_DATABASE_URL",
    "analytics": "ANALYTICS_DATABASE_URL",
    "documents": "DOCUMENTS_DATABASE_URL",
    "compliance": "COMPLIANCE_DATABASE_URL",
    "data": "DATA_DATABASE_URL",
}


@dataclass
class Installation:
    """Databases on the embedded servers, and management commands that see them and no others."""

    servers: ServerSet
    names: dict[str, str] = field(default_factory=dict)
    """Alias to the name of its database."""
    environment: dict[str, str] = field(default_factory=dict)

    def add(self, alias: str, *, template: str = "template1", configured: bool = True) -> str:
        """Create a database for the alias, name it in the environment, and return its URL."""
        name = f"{alias}_{uuid.uuid4().hex[:10]}"
        self._run_on_the_server(
            alias,
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)),
        )
        self.names[alias] = name
        if configured:
            self.environment[VARIABLES[alias]] = self.url(alias)
        return self.url(alias)

    def url(self, alias: str, **parts: Any) -> str:
        """Return the URL of the alias's database; `parts` replace parts of it (netloc, query)."""
        found = urlsplit(self.servers.url_of_database(self._server_of(alias), self.names[alias]))
        return found._replace(**parts).geturl()

    def replica_url(self) -> str:
        """Return the URL of the replica's copy of `default`."""
        found = urlsplit(self.servers.url_of("replica"))
        return found._replace(path=f"/{self.names['default']}").geturl()

    def sql(self, alias: str, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run a statement on the alias's database and return its rows."""
        with psycopg.connect(self.url(alias), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def manage(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        """Run a management command; the caller looks at its exit status."""
        site = Site(self.environment | environment)
        done: CompletedProcess[str] = site.manage(*arguments, check=False)
        return done

    def report(self, *arguments: str, **environment: str) -> Mapping[str, Any]:
        """Run a command with --json and return what it printed, whatever its exit status."""
        done = self.manage(*arguments, "--json", **environment)
        document: Mapping[str, Any] = json.loads(done.stdout)
        return document

    def recorded(self, alias: str) -> set[str]:
        """Return the labels of the apps with migrations recorded on the alias."""
        return {label for (label,) in self.sql(alias, "SELECT app FROM django_migrations")}

    def tables(self, alias: str) -> set[str]:
        """Return the names of the tables of the alias's database."""
        found = self.sql(alias, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in found}

    def placement(self) -> dict[str, str]:
        """Return where the primary says that apps live."""
        return dict(self.sql("default", "SELECT app_label, alias FROM databases_placement"))

    def drop(self) -> None:
        """Drop the databases."""
        for alias, name in self.names.items():
            self._run_on_the_server(
                alias,
                SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)),
            )

    def _server_of(self, alias: str) -> str:
        """Return the alias's server; another test may give `cache` one of its own meanwhile."""
        return "others" if alias != "default" and "others" in self.servers.servers else "primary"

    def _run_on_the_server(self, alias: str, statement: Composed) -> None:
        url = self.servers.url_of_database(self._server_of(alias), "postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def migrated(servers_of_the_session: ServerSet) -> Iterator[Installation]:
    """Return migrated databases of every alias, as templates: nobody connects to them."""
    made = Installation(servers_of_the_session)
    for alias in VARIABLES:
        made.add(alias)
    done = made.manage("migrate_all")
    assert done.returncode == 0, done.stdout + done.stderr
    yield made
    made.drop()


@pytest.fixture(scope="session")
def migrated_into_one(servers_of_the_session: ServerSet) -> Iterator[Installation]:
    """Return one migrated database that serves every app, as a template."""
    made = Installation(servers_of_the_session)
    made.add("default")
    done = made.manage("migrate_all")
    assert done.returncode == 0, done.stdout + done.stderr
    yield made
    made.drop()


@pytest.fixture
def empty(servers: ServerSet) -> Iterator[Installation]:
    """Yield an installation without databases; the test adds what it needs."""
    made = Installation(servers)
    yield made
    made.drop()


@pytest.fixture
def clone(empty: Installation, migrated: Installation) -> Callable[..., Installation]:
    """Return a function that makes a migrated installation with the aliases that it is given."""

    def cloned(*aliases: str) -> Installation:
        for alias in aliases:
            empty.add(alias, template=migrated.names[alias])
        if "default" in aliases:
            empty.sql(
                "default",
                "DELETE FROM databases_placement WHERE NOT alias = ANY(%s)",
                [list(aliases)],
            )
        return empty

    return cloned


@pytest.fixture
def installation(clone: Callable[..., Installation]) -> Installation:
    """Return a migrated installation with all aliases (and no replica)."""
    return clone(*VARIABLES)


@pytest.fixture
def one_database(empty: Installation, migrated_into_one: Installation) -> Installation:
    """Return a migrated installation with only DATABASE_URL set."""
    empty.add("default", template=migrated_into_one.names["default"])
    return empty


@pytest.fixture
def connect(django_db_blocker: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a connection just as the settings would from `environ`.

    Its alias is its own, so that the breakers and pools of the test run stay untouched.
    """
    made: list[Any] = []

    def connected(
        environ: Mapping[str, str], alias: str = "default", *, direct: bool = False
    ) -> Any:
        entries = read_environment(environ).databases
        entry = entries[alias]["POLYSTORE"]["direct"] if direct else entries[alias]
        name = f"{alias}_of_test_{uuid.uuid4().hex[:6]}"
        entry["POLYSTORE"]["alias"] = name
        entry = ConnectionHandler({"default": entry}).settings["default"]
        connections.settings[name] = entry
        wrapper: Any = load_backend(entry["ENGINE"]).DatabaseWrapper(entry, name)
        connections[name] = wrapper
        made.append(wrapper)
        return wrapper

    with django_db_blocker.unblock():
        yield connected
        for wrapper in made:
            wrapper.close()
            wrapper.close_pool()
            del connections[wrapper.alias]
            del connections.settings[wrapper.alias]


@pytest.fixture
def python() -> Callable[[str, Installation], subprocess.Popen[str]]:
    """Return a function that runs Python code in a process that sees an installation only."""

    def run(code: str, installation: Installation) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=Site(installation.environment).environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run
