"""Ending the servers of a set, from its state alone: by its owner, by the watchdog, or later."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devservers.places import Home, is_private_folder_of, remove_folder
from devservers.processes import ServerProcesses, end_session, is_alive
from devservers.state import SetState, locked, read_state, write_state

PROGRAM = {"postgres": "postgres", "redis": "redis-server", "mongodb": "mongod"}
STOP_SIGNAL = {"postgres": signal.SIGINT, "redis": signal.SIGTERM, "mongodb": signal.SIGTERM}
PATIENCE_SECONDS = 30.0
COMPANION_SECONDS = 15.0


def stop_servers(folder: Path, state: SetState) -> None:
    """Stop every server of the set: in order when its data counts, else at once.

    What the owner ran beside them, and could not stop itself, ends before them.
    """
    for leader in state.companions:
        end_session(leader, patience=COMPANION_SECONDS)
    state.companions = []

    def stop(name: str, kind: str) -> None:
        processes = ServerProcesses(folder=folder / name, program=PROGRAM[kind])
        if state.throwaway:
            processes.kill()
        else:
            processes.stop(signal_number=STOP_SIGNAL[kind], patience=PATIENCE_SECONDS)

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(stop, name, s.kind) for name, s in state.servers.items()]:
            done.result()


def remove_set(folder: Path, state: SetState | None, home: Home) -> None:
    """Delete the data and the sockets of a stopped set."""
    if state is not None and state.sockets and is_private_folder_of(Path(state.sockets), home.user):
        remove_folder(Path(state.sockets))
    remove_folder(folder)


def end_orphan(
    folder: Path, home: Home, *, is_orphan: Callable[[SetState], bool] | None = None
) -> None:
    """Stop a set whose owner died, and delete it when it was throw-away."""
    with locked(folder):
        state = read_state(folder)
        if state is None or not (is_orphan or _owner_died)(state):
            return
        stop_servers(folder, state)
        if state.throwaway:
            remove_set(folder, state, home)
        else:
            state.owner = None
            write_state(folder, state)


def _owner_died(state: SetState) -> bool:
    return state.throwaway and not is_alive(state.owner)


def end_orphans(home: Home) -> None:
    """Clear away the throw-away sets of processes that died without doing so."""
    if not home.sets.is_dir():
        return
    for folder in home.sets.iterdir():
        state = read_state(folder)
        if state is not None and _owner_died(state):
            end_orphan(folder, home)
        elif state is None:
            _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Delete a folder in which a set was about to begin, unless somebody is at it now."""
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if entry.name != "lock":
            return
    with locked(folder):
        if read_state(folder) is None:
            remove_folder(folder)
