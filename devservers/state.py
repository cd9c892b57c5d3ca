"""What is remembered of a set between starts, and the lock that guards it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devservers.places import make_way
from devservers.processes import Identity

STATE_FILE = "state.json"
LOCK_FILE = "lock"


@dataclass(slots=True, kw_only=True)
class ServerState:
    """One server of a set."""

    kind: str
    """postgres, redis or mongodb."""
    port: int
    databases: list[str] = field(default_factory=list)
    source: str = ""
    """The server that this one is a streaming copy of."""


@dataclass(slots=True, kw_only=True)
class SetState:
    """One set: its servers, secrets, sockets and owner."""

    name: str
    throwaway: bool
    durable: bool = True
    sockets: str = ""
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    owner: Identity | None = None
    owner_stops: bool = False
    """True when the owner must be asked to stop, because it stops more than the servers."""
    companions: list[Identity] = field(default_factory=list)
    """Leaders of sessions that the owner started beside the servers, in the order of their end."""
    servers: dict[str, ServerState] = field(default_factory=dict)


def read_state(folder: Path) -> SetState | None:
    """Read the state of the set in `folder`; None when there is none (or it is damaged)."""
    try:
        raw: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        owner = raw.pop("owner")
        servers = raw.pop("servers")
        companions = raw.pop("companions")
        return SetState(
            owner=Identity(**owner) if owner else None,
            companions=[Identity(**each) for each in companions],
            servers={name: ServerState(**each) for name, each in servers.items()},
            **raw,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_state(folder: Path, state: SetState) -> None:
    """Replace the state file in one step; it holds passwords, so only its owner may read it."""
    new = folder / f".{STATE_FILE}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=1)
    new.rename(folder / STATE_FILE)


@contextmanager
def locked(folder: Path, name: str = LOCK_FILE) -> Iterator[None]:
    """Hold the lock of a folder; waits for other processes that change the same set.

    The folder may be deleted by whoever held the lock before, so the file that was locked must
    still be the one at its path.
    """
    while True:
        make_way(folder)
        path = folder / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _same_file(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
