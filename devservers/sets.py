"""A set of embedded servers: start it, ask for its addresses, fail parts of it, stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from devservers import aliases, starting
from devservers.errors import SetInUse, SetNotUp
from devservers.ground import Ground, Server, free_port
from devservers.mongodb import MongoServer
from devservers.places import (
    CHECKOUT,
    Home,
    home_of,
    is_private_folder_of,
    make_socket_folder,
    make_way,
)
from devservers.postgres import PostgresServer
from devservers.processes import (
    Identity,
    end_session,
    identity_of,
    is_alive,
    send,
    wait_until_ended,
)
from devservers.programs import find_programs
from devservers.redis import RedisServer
from devservers.running import RunningServers
from devservers.state import ServerState, SetState, locked, read_state, write_state
from devservers.stopping import COMPANION_SECONDS, end_orphans, remove_set, stop_servers

LEFT_RUNNING: list[subprocess.Popen[bytes]] = []
"""Children that are meant to outlive this process; kept, so that nobody warns of them."""


class ServerSet(RunningServers):
    """Servers with a name, data and ports of their own; sets do not touch each other.

    A throw-away set is deleted when it goes down and starts from a copy of a prepared data folder;
    another set keeps its data. Servers end with the process that called `up`, however it ends,
    unless `up(owned=False)` was asked for.
    """

    def __init__(
        self,
        name: str,
        *,
        throwaway: bool = False,
        durable: bool | None = None,
        checkout: Path | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a set.

        :param durable: whether commits wait for the disk, as in production; by default only those
            of sets that are kept. Benchmarks on throw-away sets ask for it.
        :param checkout: whose `.polystore` is used; the checkout that this file is in.
        :param given: an environment whose variables (DATABASE_URL, REDIS_URL, ...) win over
            servers of ours; nothing is taken from the process's environment by itself.
        """
        super().__init__(name, given=aliases.given_aliases(given or {}))
        self.throwaway = throwaway
        self.durable = not throwaway if durable is None else durable
        self.checkout = checkout or CHECKOUT
        self._owner: Identity | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._home: Home | None = None

    @property
    def home(self) -> Home:
        """Return where the checkout's servers live (found at the first use)."""
        if self._home is None:
            self._home = home_of(self.checkout)
        return self._home

    @property
    def folder(self) -> Path:
        """Return the set's own folder."""
        return self.home.sets / self.name

    # Up and down

    def up(
        self,
        servers: Sequence[str] = aliases.ALL_SERVERS,
        *,
        owned: bool = True,
        owner_stops: bool = False,
    ) -> Self:
        """Start what is not running and wait until all of it serves; returns this set.

        :param servers: which of primary, others, replica, redis and mongodb; those for which the
            user gave an address are left out.
        :param owned: the servers end with this process.
        :param owner_stops: this process stops more than the servers, so `down` from elsewhere
            asks it to end instead of stopping the servers under it.
        :raises MachineUnfit: naming what is missing.
        :raises SetInUse: when another living process owns the set.
        :raises ServerDidNotStart: with the last line of the server's log.
        """
        needed = aliases.needed_servers(servers, self.given)
        end_orphans(self.home)
        kinds = sorted({aliases.kind_of(name) for name in needed})
        programs = find_programs(self.home, kinds=kinds)
        make_way(self.home.sets)
        with locked(self.folder):
            state = read_state(self.folder) or self._new_state()
            if is_alive(state.owner) and state.owner != identity_of(os.getpid()):
                assert state.owner is not None  # noqa: S101 - alive
                raise SetInUse(f"The servers {self.name} belong to process {state.owner.pid}.")
            self._end_companions(state)
            if not is_private_folder_of(Path(state.sockets or "/nowhere"), self.home.user):
                state.sockets = str(make_socket_folder(self.home.user))
            state.owner = identity_of(os.getpid()) if owned else None
            state.owner_stops = owner_stops
            self._add_to(state, needed)
            write_state(self.folder, state)
            self._owner = state.owner
            if owned:
                self._start_watchdog()
            self._servers = self._described(state, Ground(
                folder=self.folder, sockets=Path(state.sockets), user=self.home.user,
                programs=programs, password=state.password, durable=state.durable,
            ))  # fmt: skip
            try:
                starting.start_all(self.home, [self._servers[name] for name in needed])
            except BaseException:
                self._end(state)
                raise
            self._write_ports(state)
        if not owned:
            LEFT_RUNNING.extend(
                server.child for server in self._servers.values() if server.child is not None
            )
        return self

    def _new_state(self) -> SetState:
        return SetState(name=self.name, throwaway=self.throwaway, durable=self.durable)

    def recover(self) -> None:
        """End what a dead owner of this set ran beside its servers, so that its ports are free."""
        if self.folder.is_dir():
            with locked(self.folder):
                state = read_state(self.folder)
                if state is not None and not is_alive(state.owner):
                    self._end_companions(state)
                    write_state(self.folder, state)

    def _end_companions(self, state: SetState) -> None:
        for leader in state.companions:
            end_session(leader, patience=COMPANION_SECONDS)
        state.companions = []

    def accompany(self, pid: int) -> None:
        """Remember the leader of a session that ends before the servers when this owner dies."""
        leader = identity_of(pid)
        with locked(self.folder):
            state = read_state(self.folder)
            if state is not None and leader is not None:
                state.companions.append(leader)
                write_state(self.folder, state)

    @property
    def is_ours(self) -> bool:
        """Say whether this process brought the set up and owns it."""
        return self._owner is not None and self._owner.pid == os.getpid()

    def owner(self) -> Identity | None:
        """Return the living process that the set belongs to, None when there is none."""
        state = read_state(self.folder)
        return state.owner if state is not None and is_alive(state.owner) else None

    def ask_owner_to_stop(self, *, timeout: float) -> bool:
        """Ask a living owner that stops more than servers to do so; return whether it ended."""
        state = read_state(self.folder)
        if state is None or not state.owner_stops or not is_alive(state.owner):
            return False
        assert state.owner is not None  # noqa: S101 - alive
        send([state.owner.pid], signal.SIGTERM)
        return wait_until_ended([state.owner], timeout=timeout)

    def _add_to(self, state: SetState, names: Sequence[str]) -> None:
        taken = {server.port for server in state.servers.values()}
        for name in names:
            if name not in state.servers:
                port = free_port(avoid=frozenset(taken))
                taken.add(port)
                state.servers[name] = ServerState(
                    kind=aliases.kind_of(name),
                    port=port,
                    databases=list(aliases.DATABASES.get(name, ())),
                    source=aliases.PRIMARY if name == aliases.REPLICA else "",
                )

    def _described(self, state: SetState, ground: Ground) -> dict[str, Server]:
        servers: dict[str, Server] = {}
        for name, kept in sorted(state.servers.items(), key=lambda item: bool(item[1].source)):
            if name in self._servers:
                servers[name] = self._servers[name]
            elif kept.kind == "redis":
                servers[name] = RedisServer(ground, name=name, port=kept.port)
            elif kept.kind == "mongodb":
                servers[name] = MongoServer(ground, name=name, port=kept.port)
            else:
                source = servers.get(kept.source)
                servers[name] = PostgresServer(
                    ground, name=name, port=kept.port, databases=kept.databases,
                    source=source if isinstance(source, PostgresServer) else None,
                )  # fmt: skip
        return servers

    def _write_ports(self, state: SetState) -> None:
        for name, server in self._servers.items():
            state.servers[name].port = server.port
        write_state(self.folder, state)

    def _start_watchdog(self) -> None:
        assert self._owner is not None  # noqa: S101 - only owned sets are watched
        if self._watchdog is not None:
            return
        self._watchdog = subprocess.Popen(
            [
                sys.executable, "-m", "devservers.watchdog", str(self.checkout), self.name,
                str(self._owner.pid), str(self._owner.started),
            ],
            cwd=CHECKOUT, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def down(self, *, delete: bool = False) -> None:
        """Stop all servers of the set; its data is deleted if it is throw-away or `delete`."""
        if self._owner is not None and self._owner.pid != os.getpid():
            return  # A forked child of the owner: the set is not its own.
        if self.folder.is_dir():
            with locked(self.folder):
                state = read_state(self.folder)
                if state is not None:
                    self._end(state, delete=delete)
        self._forget()

    def _forget(self) -> None:
        """Let go of servers that do not run any more."""
        self._stop_watchdog()
        for server in self._servers.values():
            server.reap()
        self._servers = {}
        self._owner = None

    def _end(self, state: SetState, *, delete: bool = False) -> None:
        self._stop_watchdog()
        stop_servers(self.folder, state)
        self._forget()
        if state.throwaway or delete:
            remove_set(self.folder, state, self.home)
        else:
            state.owner = None
            write_state(self.folder, state)

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
            self._watchdog = None

    def __enter__(self) -> Self:
        """Start the set when it is not up yet."""
        return self if self._servers else self.up()

    def __exit__(self, *_: object) -> None:
        """Stop the set."""
        self.down()

    # What runs where

    def attach(self) -> Self:
        """Describe the servers of a set that another process started, without starting any.

        :raises SetNotUp: when there is no such set.
        """
        state = read_state(self.folder) if self.folder.is_dir() else None
        if state is None:
            raise SetNotUp(f"There is no set {self.name}.")
        kinds = sorted({server.kind for server in state.servers.values()})
        ground = Ground(
            folder=self.folder, sockets=Path(state.sockets), user=self.home.user,
            programs=find_programs(self.home, kinds=kinds), password=state.password,
            durable=state.durable,
        )  # fmt: skip
        self._servers = self._described(state, ground)
        return self

    def add_postgres(self, name: str, *, databases: Sequence[str] = ()) -> str:
        """Start one more PostgreSQL server and return its name.

        :param databases: what it holds; `url_of` and `environment` name this server for an alias
            of that name from now on, so that a test can stop one alias alone.
        """
        with locked(self.folder):
            state = read_state(self.folder)
            if state is None or not self._servers:
                raise SetNotUp(f"The set {self.name} is not up.")
            taken = frozenset(server.port for server in state.servers.values())
            kept = ServerState(
                kind="postgres", port=free_port(avoid=taken), databases=list(databases or (name,))
            )
            state.servers[name] = kept
            write_state(self.folder, state)
            ground = next(iter(self._servers.values())).ground
            server = PostgresServer(ground, name=name, port=kept.port, databases=kept.databases)
            starting.start_all(self.home, [server])
            self._servers[name] = server
        return name
