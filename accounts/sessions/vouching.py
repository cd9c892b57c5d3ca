"""What Redis keeps of sessions for all processes: entries, ends, and since when all ends are known.

An entry carries Redis's time from before the primary was asked for it. It counts when

- it was written to this very run of Redis, and nothing was evicted since: a restart or an eviction
  may have lost the news of an end,
- that time is later than the last news of its session and of its user, and
- somebody has been listening to the primary, without a gap, since before that time.

So a writer that was held up cannot bring a session back, and nobody's clock is compared with
another's; where Redis's own is set back, news is still later than every entry before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from accounts.sessions.entries import Entry, opened, sealed
from databases.breaker import AliasUnavailable
from databases.stores import redis
from databases.transactions import open_transactions

logger = logging.getLogger("accounts.sessions")

VOUCHED_SECONDS: Final = 3_600
"""How long Redis vouches for a session while the primary is away."""
PREFIX: Final = "polystore:sessions:1:"
"""The number is the version of what is written: processes of two releases run side by side."""
_LONGEST_READING: Final = 5
_JOINING: Final = 2
"""Seconds that a process that begins to listen waits for another that listened all along."""

_SCRIPT = """
local prefix = ARGV[1]
local watch = prefix .. 'watch'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local function ended(name)
    return tonumber(redis.call('GET', prefix .. 'ended:' .. name) or '-1')
end
local function run()
    local id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
    return id and evicted and id .. ':' .. evicted or ''
end
local function overtaken(asked, name, user)
    local since = tonumber(redis.call('HGET', watch, 'since') or 'inf')
    return asked > now or asked <= since or asked <= ended(name) or asked <= ended(user)
end
"""
# ARGV: prefix, hash of the key.
_ASK = f"""{_SCRIPT}
local current = run()
local known = text(now - tonumber(redis.call('HGET', watch, 'last') or '0'))
local found = redis.call('HMGET', prefix .. 'entry:' .. ARGV[2], 'asked', 'run', 'user', 'text')
if not found[1] or found[2] ~= current or overtaken(tonumber(found[1]), ARGV[2], found[3]) then
    return {{text(now), current, known}}
end
return {{text(now), current, known, found[1], found[4]}}
"""
# ARGV: prefix, hash of the key, user, when Redis was asked and its run then, the entry.
_KEEP = f"""{_SCRIPT}
local asked = tonumber(ARGV[4])
if ARGV[5] == '' or ARGV[5] ~= run() or now - asked > {_LONGEST_READING} * 1000000
   or overtaken(asked, ARGV[2], ARGV[3]) then return 0 end
local key = prefix .. 'entry:' .. ARGV[2]
redis.call('HSET', key, 'asked', ARGV[4], 'run', ARGV[5], 'user', ARGV[3], 'text', ARGV[6])
redis.call('EXPIRE', key, {VOUCHED_SECONDS})
if asked > tonumber(redis.call('HGET', watch, 'clock') or '0') then
    redis.call('HSET', watch, 'clock', ARGV[4])
end
return 1
"""
# ARGV: prefix, whether everything ended, when the caller began to hear ('' while it does not),
# whether it has joined, until when it has heard all; then names of what ended.
_TELL = f"""{_SCRIPT}
now = math.max(now, tonumber(redis.call('HGET', watch, 'clock') or '0') + 1)
redis.call('HSET', watch, 'clock', text(now))
for place = 6, #ARGV do
    redis.call('SET', prefix .. 'ended:' .. ARGV[place], text(now), 'EX', {VOUCHED_SECONDS + 60})
end
if ARGV[2] == '1' then redis.call('HSET', watch, 'since', text(now)) end
local begun, joined, heard = tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
if not begun or not heard then return {{text(now), 0}} end
local last = tonumber(redis.call('HGET', watch, 'last') or '0')
if not joined and last < begun then
    if now - begun <= {_JOINING} * 1000000 then return {{text(now), 0}} end
    redis.call('HSET', watch, 'since', text(now))
elseif redis.call('HEXISTS', watch, 'since') == 0 then
    redis.call('HSET', watch, 'since', text(now))
end
if heard > last then redis.call('HSET', watch, 'last', text(heard)) end
return {{text(now), 1}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Redis said about one session."""

    asked: str
    """Redis's time, to hand to `keep` with what the primary says afterwards."""
    run: str
    begun: float
    """`time.monotonic()` before Redis was asked."""
    unheard: float
    """Seconds since somebody had heard of all ends; for longer, nobody may have told Redis."""
    entry: Entry | None = None
    age: float = 0.0
    """Seconds since the primary was asked for the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What Redis said to a teller."""

    now: str
    """Redis's time."""
    joined: bool
    """Whether those who listen, the caller included, have heard of all ends without a gap."""


def ask(key_hash: str) -> Answer | None:
    """Return what Redis knows, or None where it cannot be asked: it is away, or it may not be
    called because a transaction is open."""
    if not redis.configured() or open_transactions():
        return None
    begun = time.monotonic()
    found = _run(_ASK, key_hash)
    if found is None:
        return None
    now, run, unheard = (part.decode() for part in found[:3])
    answer = Answer(asked=now, run=run, begun=begun, unheard=int(unheard) / 1e6)
    entry = opened(found[4].decode(), key_hash=key_hash) if len(found) > 3 else None
    if entry is None or entry.expires_at <= time.time():
        return answer
    return replace(answer, entry=entry, age=(int(now) - int(found[3])) / 1e6)


def keep(entry: Entry, answer: Answer) -> None:
    """Have Redis remember what the primary said after that answer; to fail is harmless."""
    _run(_KEEP, entry.key_hash, entry.user_id or "-", answer.asked, answer.run, sealed(entry))


def tell(
    names: Sequence[str], *, everything: bool, begun: str, joined: bool, heard: str
) -> Heard | None:
    """Tell Redis what ended, and then until when its caller has heard of everything.

    :param names: hashes of keys, ids of users.
    :param begun: Redis's time when the caller had begun to listen; "" while it does not listen.
    :param joined: what the last call returned.
    :param heard: Redis's time before which nothing ended that the caller has not told; "" where it
        cannot say.
    :returns: None where Redis cannot be told.
    """
    found = _run(_TELL, str(int(everything)), begun, str(int(joined)), heard, *names)
    return None if found is None else Heard(now=found[0].decode(), joined=bool(found[1]))


def _run(script: str, *arguments: str) -> Any:
    try:
        with redis.connection() as client:
            return _script(client, script)(args=[PREFIX, *arguments])
    except AliasUnavailable:
        return None
    except Exception as error:  # noqa: BLE001 - loading, read-only, full: the primary knows as well
        logger.warning("sessions.redis.failed", extra={"reason": type(error).__name__})
        return None


_scripts: dict[str, Any] = {}


def _script(client: Any, text: str) -> Any:
    known = _scripts.get(text)
    if known is None or known.registered_client is not client:
        known = _scripts[text] = client.register_script(text)
    return known
