"""Bringing servers up: from templates, side by side, and over whatever an earlier run left."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg

from devservers.aliases import REPLICA
from devservers.errors import PortTaken, ServerDidNotStart
from devservers.ground import Server, await_condition, free_port, port_is_taken
from devservers.places import Home, make_way
from devservers.postgres import PostgresServer, lost_its_port
from devservers.templates import copy_tree, template_of

ADOPTION_SECONDS = 3.0
FOLLOW_SECONDS = 5.0
ATTEMPTS = 3


def start_all(home: Home, servers: Sequence[Server]) -> None:
    """Start servers side by side and return when all of them serve.

    :raises ServerDidNotStart: what the first of those that failed said.
    """
    for server in servers:
        make_way(server.log.parent)
    _make_data(home, servers)
    with ThreadPoolExecutor(max_workers=max(len(servers), 1)) as pool:
        started: dict[str, Future[None]] = {}
        for server in servers:
            source = getattr(server, "source", None)
            if source is None:
                started[server.name] = pool.submit(_bring_up, server)
        for server in servers:
            if isinstance(server, PostgresServer) and server.source is not None:
                before = started.get(server.source.name)
                started[server.name] = pool.submit(_bring_up_replica, server, before)
        for future in started.values():
            future.result()


def _make_data(home: Home, servers: Sequence[Server]) -> None:
    """Copy the template for PostgreSQL servers without data; a replica together with its source."""
    bare = [
        server
        for server in servers
        if isinstance(server, PostgresServer) and not (server.folder / "PG_VERSION").exists()
    ]
    if not bare:
        return
    template = template_of(home, bare[0].ground)
    fresh = {server.name for server in bare}
    with ThreadPoolExecutor() as pool:
        copies = [
            pool.submit(copy_tree, template / _template_for(server), server.folder)
            for server in bare
            if server.source is None or server.source.name in fresh
        ]
        for copy in copies:
            copy.result()


def _template_for(server: PostgresServer) -> str:
    return server.name if server.name in {"primary", "others", REPLICA} else "primary"


def _bring_up(server: Server) -> None:
    """Take over the server if it runs and answers, else end its remains and start it."""
    if not _takes_over(server):
        _start(server)
    if isinstance(server, PostgresServer) and server.source is None:
        server.make_databases()


def _start(server: Server) -> None:
    """Start a server that does not run, at another port when its own is taken."""
    for attempt in range(ATTEMPTS):
        if port_is_taken(server.port):
            server.port = free_port()
        try:
            server.prepare()
            server.launch()
            server.wait_until_ready()
        except ServerDidNotStart as error:
            server.kill()
            if attempt + 1 == ATTEMPTS or not (
                isinstance(error, PortTaken) or lost_its_port(error)
            ):
                raise
        else:
            return


def _takes_over(server: Server) -> bool:
    """Say whether the server runs already and serves; what does not serve is ended."""
    if server.processes.lost_their_folder():
        server.kill()  # It can save nothing, and may refuse to end without.
    elif server.is_running():
        server.processes.resume()
        if _answers_soon(server):
            return True
        server.stop()
    return False


def _answers_soon(server: Server) -> bool:
    try:
        server.wait_until_ready(timeout=ADOPTION_SECONDS)
    except ServerDidNotStart:
        return False
    return True


def _bring_up_replica(replica: PostgresServer, source_started: Future[None] | None) -> None:
    """Start a replica; one that is missing, promoted or left behind is made anew."""
    if replica.is_standby():
        try:
            _bring_up(replica)
        except ServerDidNotStart:
            replica.kill()
    if source_started is not None:
        source_started.result()
    if not (replica.is_standby() and replica.is_running() and follows(replica)):
        replica.copy_source()
        _bring_up(replica)
        await_condition(
            replica.is_streaming,
            timeout=FOLLOW_SECONDS,
            failure=lambda: ServerDidNotStart(f"The replica does not follow: {replica.log}."),
        )


def follows(replica: PostgresServer) -> bool:
    """Wait a moment for the replica to stream; False when it cannot follow any more."""

    def streams_or_never_will() -> bool:
        return replica.is_streaming() or not replica.can_follow()

    try:
        await_condition(
            streams_or_never_will,
            timeout=FOLLOW_SECONDS,
            failure=lambda: ServerDidNotStart("The replica does not stream."),
        )
        return replica.is_streaming()
    except (ServerDidNotStart, psycopg.Error):
        return False


def start_one(server: Server) -> None:
    """Start one server of a running set at its old address; does nothing when it serves."""
    if server.is_running():
        server.processes.resume()
        server.wait_until_ready()
        return
    server.prepare()
    server.launch()
    server.wait_until_ready()


def heal(servers: Sequence[Server]) -> None:
    """Resume and start whatever is not serving; a replica also has to follow again."""
    ordered = sorted(servers, key=lambda server: getattr(server, "source", None) is not None)
    for server in ordered:
        if state_of(server) != "up":
            start_one(server)
    for server in ordered:
        if isinstance(server, PostgresServer) and server.source is not None:
            _heal_replica(server)


def _heal_replica(replica: PostgresServer) -> None:
    if replica.is_standby():
        replica.query("postgres", "SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()")
    _bring_up_replica(replica, None)


def state_of(server: Server) -> str:
    """Return `up`, `paused`, `stopped` or `silent`."""
    if not server.is_running():
        return "stopped"
    if server.processes.is_paused():
        return "paused"
    return "up" if server.answers() else "silent"
