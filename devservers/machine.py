"""What the embedded servers need of the machine, checked before anything is started."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

GLIBC_NEEDED = (2, 35)

VARIABLES_OF_KIND: Mapping[str, str] = {
    "postgres": "DATABASE_URL (and the other *_DATABASE_URL)",
    "redis": "REDIS_URL",
    "mongodb": "MONGO_URL",
}
LABEL_OF_KIND: Mapping[str, str] = {
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "mongodb": "MongoDB",
}
PACKAGE_OF_LIBRARY: Mapping[str, str] = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3 (OpenSSL 3)",
    "libssl.so.3": "libssl3 (OpenSSL 3)",
    "liblzma.so.5": "liblzma5",
    "libz.so.1": "zlib1g",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What was found out about this machine."""

    system: str
    machine: str
    glibc: tuple[int, int] | None
    missing_libraries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By kind of server."""


def this_machine(programs: Mapping[str, Path] | None = None) -> MachineFacts:
    """Look at this machine; `programs` (kind to path) are asked which libraries they miss."""
    missing = {kind: missing_libraries(path) for kind, path in (programs or {}).items()}
    return MachineFacts(
        system=platform.system(),
        machine=platform.machine(),
        glibc=_glibc(),
        missing_libraries={kind: names for kind, names in missing.items() if names},
    )


def _glibc() -> tuple[int, int] | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = version.split(".")[:2]
    except (ValueError, OSError):
        return None
    return (int(major), int(minor)) if name == "glibc" else None


def missing_libraries(program: Path) -> tuple[str, ...]:
    """Ask the system's loader which shared libraries of a program it cannot find."""
    answer = subprocess.run(
        [str(program)],
        env={**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return tuple(
        line.split("=>")[0].strip() for line in answer.stdout.splitlines() if "not found" in line
    )


def what_is_missing(facts: MachineFacts, *, kinds: Sequence[str]) -> list[str]:
    """Return one sentence for each thing that keeps the wanted kinds of server from running.

    Pure: it judges `facts` alone. Each sentence ends with the variable that uses another server.
    """
    instead = " and ".join(VARIABLES_OF_KIND[kind] for kind in kinds)
    if facts.system != "Linux" or facts.machine not in {"x86_64", "AMD64"}:
        return [
            (
                "The embedded servers run on Linux x86-64 only, and this is "
                f"{facts.system} {facts.machine}: set {instead} to servers of yours "
                "(deploy/compose.yaml describes a set)."
            )
        ]
    if facts.glibc is None or facts.glibc < GLIBC_NEEDED:
        found = ".".join(map(str, facts.glibc)) if facts.glibc else "another C library"
        return [
            (
                f"The embedded servers need glibc {GLIBC_NEEDED[0]}.{GLIBC_NEEDED[1]} or newer, "
                f"and this machine has {found}: use a newer system, or set {instead} to servers "
                "of yours."
            )
        ]
    return [
        f"{LABEL_OF_KIND[kind]}'s binary needs {library}: install "
        f"{PACKAGE_OF_LIBRARY.get(library, 'the package that has it')}, or set "
        f"{VARIABLES_OF_KIND[kind]} to a server of yours."
        for kind in kinds
        for library in facts.missing_libraries.get(kind, ())
    ]
