"""PostgreSQL, driven by its own programs: initdb, postgres, pg_basebackup."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
from psycopg import sql

from devservers.errors import MachineUnfit, ServerDidNotStart
from devservers.ground import Ground, Server
from devservers.places import make_folder, remove_folder
from devservers.processes import launch

ROLE = "polystore"
SLOT = "replica"
SOURCE_FILE = "source.conf"
SETTINGS: Mapping[str, str] = {
    "max_connections": "500",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "hot_standby": "on",
    "max_slot_wal_keep_size": "1GB",  # A replica that stays away does not fill the disk.
    "wal_retrieve_retry_interval": "200ms",  # Streams again soon after the primary is back.
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
}
UNSAFE_BUT_FAST: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
}


class PostgresServer(Server):
    """A PostgreSQL server; with a `source`, a streaming copy of that one."""

    kind = "postgres"
    program = "postgres"
    stop_signal = signal.SIGINT  # Fast: open transactions are rolled back.

    def __init__(
        self,
        ground: Ground,
        *,
        name: str,
        port: int,
        databases: Sequence[str] = (),
        source: PostgresServer | None = None,
    ) -> None:
        """Describe a server with these databases; nothing is started."""
        super().__init__(ground, name=name, port=port)
        self.databases = list(databases)
        self.source = source

    def prepare(self) -> None:
        """Run initdb where there is no data folder yet.

        :raises MachineUnfit: when the account that runs it has no name.
        """
        if not (self.folder / "PG_VERSION").exists():
            remove_folder(self.folder)
            make_folder(self.folder, user=self.ground.user)
            self.run_program(
                "initdb", "--pgdata", self.folder, "--username", ROLE, "--encoding", "UTF8",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C",
                "--auth-local", "trust", "--auth-host", "scram-sha-256",
                "--no-sync", "--no-instructions",
                *(part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")),
            )  # fmt: skip
            with (self.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write(f"\ninclude_if_exists = '{SOURCE_FILE}'\n")

    def command(self) -> Sequence[str | Path]:
        """Return the command line; addresses stand in it because they may change."""
        settings = {"port": str(self.port), "unix_socket_directories": str(self.ground.sockets)}
        if not self.ground.durable:
            settings |= UNSAFE_BUT_FAST
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self.ground.programs.postgres_program("postgres"), "-D", self.folder, *flags]

    def answers(self) -> bool:
        """Say whether the server takes connections."""
        try:
            lines = (self.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        if len(lines) < 8 or lines[7].strip() != "ready":
            return False
        try:
            self.query("postgres", "SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def launch(self) -> None:
        """Start the server without the files that a crash left.

        PostgreSQL would believe the process ids in them, which zombies or strangers may have now.
        """
        if not self.processes.pids():
            (self.folder / "postmaster.pid").unlink(missing_ok=True)
            for name in (f".s.PGSQL.{self.port}", f".s.PGSQL.{self.port}.lock"):
                (self.ground.sockets / name).unlink(missing_ok=True)
        if self.source is not None:
            self._name_source(self.source)
        super().launch()

    def _name_source(self, source: PostgresServer) -> None:
        """Write where the source is; ALTER SYSTEM may override it, which a failure test does."""
        path = self.folder / SOURCE_FILE
        path.write_text(
            f"primary_conninfo = 'host={self.ground.sockets} port={source.port} user={ROLE}"
            f" application_name={self.name}'\nprimary_slot_name = '{SLOT}'\n",
            encoding="utf-8",
        )
        path.chmod(0o600)
        if self.ground.user is not None:
            os.chown(path, self.ground.user.uid, self.ground.user.gid)

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection through the unix socket, in autocommit."""
        return psycopg.connect(
            host=str(self.ground.sockets), port=self.port, user=ROLE, dbname=database,
            sslmode="disable", options="", application_name="devservers",
            connect_timeout=3, autocommit=True,
        )  # fmt: skip

    def query(
        self,
        database: str,
        statement: LiteralString | sql.Composed,
        parameters: Sequence[Any] = (),
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, none when it returns no rows."""
        with closing(self.connect(database)) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def make_databases(self) -> None:
        """Create the databases that are missing and give the role this set's password."""
        with closing(self.connect("postgres")) as connection:
            known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for database in self.databases:
                if database not in known:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
                    )
            verifier = connection.pgconn.encrypt_password(
                self.ground.password.encode(), ROLE.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(ROLE), sql.Literal(verifier)
                )
            )

    def url(self, database: str) -> str:
        """Return the URL of a database through the unix socket (no password in it)."""
        folder = quote(str(self.ground.sockets), safe="")
        return f"postgresql://{ROLE}@/{quote(database)}?host={folder}&port={self.port}"

    def tcp_url(self, database: str) -> str:
        """Return the URL of a database over TCP, password included."""
        password = quote(self.ground.password, safe="")
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.port}/{quote(database)}"

    def run_program(self, name: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs under the servers' account and wait for its end.

        :raises ServerDidNotStart: with the program's last line when it fails.
        """
        under = under_a_name() if name == "initdb" and self.ground.user is None else ()
        child = launch(
            [*under, self.ground.programs.postgres_program(name), *arguments],
            folder=self.folder,
            environment=self.ground.environment(),
            user=self.ground.user,
            output=subprocess.PIPE,
        )
        output, _ = child.communicate()
        if child.returncode != 0:
            lines = output.decode(errors="replace").strip().splitlines()
            said = next((line for line in lines if "rror" in line or "ould not" in line), "")
            raise ServerDidNotStart(f"{name} failed: {said or (lines or ['no word'])[-1]}")

    # A replica

    def copy_source(self) -> None:
        """Make this replica anew from its running source, with a slot of its own."""
        assert self.source is not None  # noqa: S101 - only replicas are copied
        self.kill()
        remove_folder(self.folder)
        make_folder(self.folder, user=self.ground.user)
        self.source.query(
            "postgres",
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE slot_name = 'replica' AND active",
        )
        self.source.query(
            "postgres",
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = 'replica'",
        )
        self.run_program(
            "pg_basebackup", "-h", self.ground.sockets, "-p", str(self.source.port), "-U", ROLE,
            "-D", self.folder, "-R", "-X", "stream", "-C", "-S", SLOT, "-c", "fast", "--no-sync",
        )  # fmt: skip
        # What -R wrote holds today's address; ours is written at every start.
        (self.folder / "postgresql.auto.conf").write_text("", encoding="utf-8")

    def is_standby(self) -> bool:
        """Say whether the data folder is that of a replica (not promoted, not missing)."""
        return (self.folder / "standby.signal").exists()

    def is_streaming(self) -> bool:
        """Say whether the replica receives the primary's changes at this moment."""
        rows = self.query("postgres", "SELECT status FROM pg_stat_wal_receiver")
        return bool(rows) and rows[0][0] == "streaming"

    def can_follow(self) -> bool:
        """Say whether the source still keeps what this replica needs next."""
        assert self.source is not None  # noqa: S101 - only replicas follow
        rows = self.source.query(
            "postgres",
            "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'replica'",
        )
        return bool(rows) and rows[0][0] != "lost"


def under_a_name() -> tuple[str, ...]:
    """Return what to put before initdb, which insists that its account has a name.

    Containers often run under a number that the system's list of users does not have. A namespace
    in which that number counts as an account of the list is enough; files stay the caller's.

    :raises MachineUnfit: when there is no name and no way to such a namespace.
    """
    uid = os.geteuid()
    if _has_name(uid):
        return ()
    program = shutil.which("unshare")
    account = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
    if program is not None and account is not None:
        prefix = (program, "--user", f"--map-user={account.pw_uid}", "--")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    raise MachineUnfit(
        f"The account with number {uid} is not in the system's list of users (/etc/passwd), which "
        "PostgreSQL's initdb needs: give it an entry, or set DATABASE_URL (and the other "
        "*_DATABASE_URL) to servers of yours."
    )


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def lost_its_port(error: ServerDidNotStart) -> bool:
    """Say whether a start failed because the port was taken in the last moment."""
    return "could not create any TCP/IP sockets" in error.detail
