"""Which shards a drainer owns: advisory locks of its session, shared fairly among all drainers.

A lock ends with the session, so the shards of a drainer that was killed are free at once. Every
drainer also holds a shared lock that says "I am here": from their number each knows its share,
gives back what is too much, and takes what is free.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from outbox.delivery.session import Session
from outbox.events import SHARDS

HERE: Final = 100
"""Second key of the lock that all drainers of a sink share."""
_NODES: Final = 1_000
"""Second keys from here on say which worker a drainer belongs to."""

_LOCKS: Final = """
SELECT count(*) FILTER (WHERE objid = %s),
       coalesce(array_agg(objid::int) FILTER (WHERE objid < %s), '{}')
FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s::bigint::oid AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_TRY: Final = "SELECT pg_try_advisory_lock(%s::int, %s::int)"
_TRY_SHARED: Final = "SELECT pg_try_advisory_lock_shared(%s::int, %s::int)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(%s::int, %s::int)"


def key_of(sink: str) -> int:
    """Return the first key of a sink's locks, as PostgreSQL shows it (unsigned)."""
    return crc32(f"polystore.outbox:{sink}".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a look at the shares changed."""

    new: tuple[int, ...] = ()
    """Shards that are owned now and were not before."""
    lost: tuple[int, ...] = ()


class Shards:
    """The shards of one sink that one drainer owns."""

    def __init__(self, session: Session, sink: str) -> None:
        """Own none yet."""
        self.owned: list[int] = []
        self._session = session
        self._unsigned = key_of(sink)
        self._key = self._unsigned - (1 << 32) if self._unsigned >= 1 << 31 else self._unsigned

    def join(self, *, worker: str | None = None) -> bool:
        """Say "I am here"; return False where this worker has a drainer of the sink already.

        :param worker: of which one drainer is enough; None for a drainer that counts by itself.
        """
        if not self._session.postgres:
            return True
        if worker is not None and not self._take(_TRY, _NODES + crc32(worker.encode()) % (1 << 30)):
            return False
        return self._take(_TRY_SHARED, HERE)

    def balance(self) -> Change:
        """Take or give back shards until this drainer owns its share; return what changed."""
        if not self._session.postgres:
            # Without locks every drainer delivers everything: versions keep that right.
            before, self.owned = self.owned, list(range(SHARDS))
            return Change(new=() if before else tuple(self.owned))
        drainers, taken = self._session.run(_LOCKS, (HERE, SHARDS, self._unsigned))[0]
        share = -(-SHARDS // max(drainers, 1))
        lost = self.owned[share:]
        for shard in lost:
            self._session.run(_UNLOCK, (self._key, shard))
        del self.owned[share:]
        free = [shard for shard in range(SHARDS) if shard not in taken]
        random.shuffle(free)
        new: list[int] = []
        for shard in free:
            if len(self.owned) >= share:
                break
            if self._take(_TRY, shard):
                self.owned.append(shard)
                new.append(shard)
        return Change(new=tuple(new), lost=tuple(lost))

    def rotated(self) -> list[int]:
        """Return the owned shards, beginning with another one each time, so that none starves."""
        if self.owned:
            self.owned.append(self.owned.pop(0))
        return self.owned

    def read_up_to(self, shard: int) -> None:
        """Begin behind `shard` the next time: it filled a claim, and the others have their turn."""
        if shard in self.owned:
            place = self.owned.index(shard)
            self.owned[:] = self.owned[place:] + self.owned[:place]

    def _take(self, statement: str, key: int) -> bool:
        return bool(self._session.run(statement, (self._key, key))[0][0])
