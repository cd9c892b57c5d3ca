"""What can be asked of running servers, and done to them: addresses, statements, failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString, Self

from psycopg import sql

from devservers import aliases, starting
from devservers.errors import ServerDidNotStart, UnknownServer
from devservers.ground import Server, await_condition
from devservers.machine import LABEL_OF_KIND
from devservers.mongodb import MongoServer
from devservers.postgres import PostgresServer
from devservers.redis import RedisServer
from devservers.tls import TlsFront


class RunningServers:
    """Servers by name; they run, unless somebody stopped one on purpose."""

    def __init__(self, name: str, *, given: frozenset[str] = frozenset()) -> None:
        """Begin without servers; `given` are aliases that servers of the user's hold."""
        self.name = name
        self.given = given
        self._servers: dict[str, Server] = {}

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the names of the set's servers."""
        return tuple(self._servers)

    def server_of(self, alias: str) -> str:
        """Return the name of the server that holds an alias (or `redis`, `mongodb`).

        :raises UnknownServer: when none of ours does.
        """
        found = [
            name
            for name, server in self._servers.items()
            if alias == name or (isinstance(server, PostgresServer) and alias in server.databases)
        ]
        if not found:
            raise UnknownServer(f"The set {self.name} has nothing named {alias}.")
        return found[-1]  # A server added for one alias comes after the one that it relieves.

    def _server(self, name: str) -> Server:
        return self._servers[self.server_of(name)]

    def _postgres(self, name: str) -> PostgresServer:
        server = self._server(name)
        if not isinstance(server, PostgresServer):
            raise UnknownServer(f"{name} is not a PostgreSQL server.")
        return server

    def _database(self, server: PostgresServer, alias: str) -> str:
        if server.source is not None:
            return server.source.databases[0]
        return alias if alias in server.databases else server.databases[0]

    def url_of(self, alias: str, *, tcp: bool = False) -> str:
        """Return the URL of an alias, `redis` or `mongodb`.

        :param tcp: PostgreSQL over 127.0.0.1 with the password instead of the unix socket.
        """
        server = self._server(alias)
        if isinstance(server, PostgresServer):
            database = self._database(server, alias)
            return server.tcp_url(database) if tcp else server.url(database)
        assert isinstance(server, RedisServer | MongoServer)  # noqa: S101 - all there is
        return server.url()

    def url_of_database(self, server: str, database: str, *, tcp: bool = False) -> str:
        """Return the URL of any database on one of the PostgreSQL servers."""
        found = self._postgres(server)
        return found.tcp_url(database) if tcp else found.url(database)

    def environment(self) -> dict[str, str]:
        """Return the variables that point the site at this set's servers, and only at these.

        Beside the addresses: where the programs of that PostgreSQL lie.
        """
        served: dict[str, str] = {}
        for alias, names in aliases.VARIABLES.items():
            if alias in self.given:
                continue
            try:
                served[names[0]] = self.url_of(alias)
            except UnknownServer:
                continue
        postgres = [each for each in self._servers.values() if isinstance(each, PostgresServer)]
        if postgres:
            # pg_dump and its like in the servers' own version, for backups.
            folder = postgres[0].ground.programs.postgres_program("pg_dump").parent
            served["POSTGRES_BIN_DIR"] = str(folder)
        return served

    def pid(self, server: str) -> int | None:
        """Return the id of a server's first process, None when it does not run."""
        return self._server(server).main_pid()

    def status(self) -> dict[str, str]:
        """Return for each server `up`, `paused`, `stopped` or `silent`."""
        return {name: starting.state_of(server) for name, server in self._servers.items()}

    def describe(self, server: str) -> str:
        """Return one line for people: what it is, where it listens, what it holds. No password."""
        found = self._server(server)
        holds = ""
        if isinstance(found, PostgresServer):
            source = f"a streaming copy of {found.source.name}" if found.source else ""
            holds = source or f"holds {', '.join(found.databases)}"
        parts = (LABEL_OF_KIND[found.kind], f"127.0.0.1:{found.port}", holds)
        return " ".join(part for part in parts if part)

    def sql(
        self, alias: str, statement: LiteralString | sql.Composed, parameters: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run one statement on an alias's database (or a server's first) and return its rows."""
        server = self._postgres(alias)
        return server.query(self._database(server, alias), statement, parameters)

    @contextmanager
    def tls(self, alias: str) -> Iterator[tuple[str, Path]]:
        """Serve an alias with TLS inside the block; yields its URL and the authority's file.

        The URL names `localhost`, has the password and no `sslmode` yet.
        """
        server = self._postgres(alias)
        with TlsFront(server_port=server.port, folder=server.ground.folder / "tls") as front:
            url = server.tcp_url(self._database(server, alias))
            address = f"localhost:{front.port}"
            yield url.replace(f"127.0.0.1:{server.port}", address), front.ca_file

    # Failures on purpose

    def stop(self, server: str) -> None:
        """Stop a server in order."""
        self._server(server).stop()

    def kill(self, server: str) -> None:
        """End a server as a power cut would."""
        self._server(server).kill()

    def start(self, server: str) -> None:
        """Start a server that was stopped or killed, at its old address, and wait for it."""
        starting.start_one(self._server(server))

    def restart(self, server: str) -> None:
        """Stop and start a server."""
        self.stop(server)
        self.start(server)

    def pause(self, server: str) -> None:
        """Freeze all processes of a server: connections stay open and nothing answers."""
        self._server(server).processes.pause()

    def resume(self, server: str) -> None:
        """Let a paused server go on."""
        self._server(server).processes.resume()

    def pause_replay(self) -> None:
        """Let the replica receive changes but not show them, until `resume_replay`."""
        self._postgres(aliases.REPLICA).query("postgres", "SELECT pg_wal_replay_pause()")
        replica = self._postgres(aliases.REPLICA)
        await_condition(
            lambda: (
                replica.query("postgres", "SELECT pg_get_wal_replay_pause_state()") == [("paused",)]
            ),
            timeout=10,
            failure=lambda: ServerDidNotStart("The replica did not pause its replay."),
        )

    def resume_replay(self) -> None:
        """Let the replica catch up again."""
        self._postgres(aliases.REPLICA).query("postgres", "SELECT pg_wal_replay_resume()")

    def wait_for_replica(self, *, timeout: float = 10) -> None:
        """Return when the replica shows everything that the primary has committed by now."""
        replica, primary = self._postgres(aliases.REPLICA), self._postgres(aliases.PRIMARY)
        position = primary.query("postgres", "SELECT pg_current_wal_lsn()::text")[0][0]
        await_condition(
            lambda: (
                replica.query(
                    "postgres", "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]
                )
                == [(True,)]
            ),
            timeout=timeout,
            failure=lambda: ServerDidNotStart(f"The replica did not reach {position}."),
        )

    @contextmanager
    def healed(self) -> Iterator[Self]:
        """Whatever is stopped, killed, paused or promoted in the block runs again after it."""
        try:
            yield self
        finally:
            self.heal()

    def heal(self) -> None:
        """Bring every server of the set back to work."""
        starting.heal(list(self._servers.values()))
