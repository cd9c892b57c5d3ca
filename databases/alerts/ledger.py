"""What people were told last of each alert, over all processes: so that only changes are told.

Redis keeps it. While Redis is away (which is an alert of its own), the processes of one machine
agree through a small file, and where there can be none, each process remembers for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from common.errors import PolystoreError
from databases.stores import redis

logger = logging.getLogger("databases.alerts")

PREFIX: Final = "polystore:alert:1:"
KEPT_SECONDS: Final = 30 * 86_400
FIRST_HOLD: Final = 5.0
LONGEST_HOLD: Final = 600.0
"""Seconds between two messages about the same thing: doubled with each that follows quickly."""
CALM_SECONDS: Final = 600.0
"""After so long without a message the hold is short again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was told last of one key."""

    state: str
    at: float
    hold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to tell: now, never, or after `wait` seconds, asking again."""

    tell: bool
    wait: float = 0.0


TELL: Final = Verdict(tell=True)
KNOWN: Final = Verdict(tell=False)


def decide(known: Entry | None, state: str, *, now: float) -> tuple[Verdict, Entry | None]:
    """Return whether a change to `state` is told at `now`, and what to keep if so."""
    if state == (known.state if known is not None else "recovered"):
        return KNOWN, None
    if known is None:
        return TELL, Entry(state=state, at=now, hold=FIRST_HOLD)
    passed = now - known.at
    if passed < known.hold:
        return Verdict(tell=False, wait=known.hold - passed), None
    hold = FIRST_HOLD if passed > CALM_SECONDS else min(LONGEST_HOLD, known.hold * 2)
    return TELL, Entry(state=state, at=now, hold=hold)


_remembered: dict[str, Entry] = {}


def claim(key: str, state: str) -> Verdict:
    """Decide for one change of state, and keep what was decided; of all processes one tells."""
    now = time.time()
    with contextlib.ExitStack() as stack:
        file = _opened(stack, create=False)
        try:
            verdict, kept = _claim_in_redis(key, state, now, _newest(_in_file(file, key), key))
            _drop_from_file(file, key)
        except Exception as error:  # noqa: BLE001 - alerts matter most when Redis does not work
            if not isinstance(error, PolystoreError):
                logger.warning("alert.ledger_not_read", extra={"reason": type(error).__name__})
            file = file or _opened(stack, create=True)
            known = _newest(_in_file(file, key), key)
            verdict, entry = decide(known, state, now=now)
            kept = entry or known
            if kept is not None:
                _write_file(file, key, kept)
        if kept is not None:
            _remembered[key] = kept
    return verdict


def failing(keys: Sequence[str]) -> set[str]:
    """Return those of `keys` that people were told to fail, and not yet to be well."""
    with contextlib.ExitStack() as stack:
        file = _opened(stack, create=False)
        known = {key: _newest(_in_file(file, key), key) for key in keys}
    try:
        with redis.connection() as client:
            texts: Any = client.mget([PREFIX + key for key in keys])
        for key, text in zip(keys, texts, strict=True):
            known[key] = _newer(_parsed(text), known[key])
    except PolystoreError:
        pass  # Redis is away; what this machine knows is all there is
    return {key for key, entry in known.items() if entry is not None and entry.state == "failed"}


def _claim_in_redis(
    key: str, state: str, now: float, local: Entry | None
) -> tuple[Verdict, Entry | None]:
    name = PREFIX + key

    def change(pipeline: Any) -> tuple[Verdict, Entry | None]:
        known = _newer(_parsed(pipeline.get(name)), local)
        verdict, entry = decide(known, state, now=now)
        kept = entry or known
        pipeline.multi()
        if kept is not None:
            pipeline.set(name, json.dumps(asdict(kept)), ex=KEPT_SECONDS)
        return verdict, kept

    with redis.connection() as client:
        transaction: Any = client.transaction  # typed as if the function returned nothing
        found: tuple[Verdict, Entry | None] = transaction(change, name, value_from_callable=True)
    return found


def _newest(in_file: Entry | None, key: str) -> Entry | None:
    return _newer(in_file, _remembered.get(key))


def _newer(one: Entry | None, other: Entry | None) -> Entry | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda entry: entry.at)


def _parsed(text: bytes | None) -> Entry | None:
    return Entry(**json.loads(text)) if text else None


# The file ---------------------------------------------------------------------------------------


def file_path() -> Path:
    """Return where the processes of this machine and site keep the ledger while Redis is away."""
    entry = settings.DATABASES["default"]
    site = "\n".join(str(entry.get(part, "")) for part in ("HOST", "PORT", "NAME"))
    digest = hashlib.sha256(f"{settings.BASE_DIR}\n{site}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"polystore-alerts-{os.getuid()}-{digest}.json"


def _opened(stack: contextlib.ExitStack, *, create: bool) -> Any:
    """Return the locked file, or None where there is none or it is not ours."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        file = stack.enter_context(os.fdopen(os.open(file_path(), flags, 0o600), "r+"))
        if os.fstat(file.fileno()).st_uid != os.getuid():
            return None
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return None
    return file


def _all_in_file(file: Any) -> dict[str, Any]:
    file.seek(0)
    try:
        found = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _in_file(file: Any, key: str) -> Entry | None:
    if file is None:
        return None
    found = _all_in_file(file).get(key)
    return Entry(**found) if found else None


def _write_file(file: Any, key: str, entry: Entry) -> None:
    if file is None:
        return
    _replace_in_file(file, _all_in_file(file) | {key: asdict(entry)})


def _drop_from_file(file: Any, key: str) -> None:
    """Forget what Redis keeps from now on; the last one takes the file along."""
    if file is None:
        return
    entries = _all_in_file(file)
    entries.pop(key, None)
    _replace_in_file(file, entries)
    if not entries:
        file_path().unlink(missing_ok=True)


def _replace_in_file(file: Any, entries: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(entries))
    file.flush()


Claim = Callable[[str, str], Verdict]
