"""Live updates: one listener to Redis per process, and a queue for each open stream.

A stream first reads from the stores what changed since its client's last event, then passes on what
writers announce. Redis keeps nothing: when it is away, streams end, and clients poll until it is
back; then they say which event they saw last. No stream holds a database connection: each question
takes one from the pool in a thread, and gives it back.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from accounts.queries import NOBODY
from common.errors import PolystoreError
from common.pagination import Cursor, CursorInvalid, decode_cursor, encode_cursor
from databases.breaker import AliasUnavailable
from databases.stores import pubsub
from messaging.queries.history import MOST_CHANGES, changes_since, window_ms
from messaging.queries.rooms import names_of, standing_of
from messaging.queries.standing import Standing
from messaging.services.live import CHANNEL
from messaging.stores.cursors import Asked
from messaging.stores.states import State
from messaging.stores.versions import now_ms

logger = logging.getLogger("messaging.streaming")
T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 15.0
"""Between two looks whether everybody who streams still belongs to their room, and whether
anything was stored that nobody announced."""
SIGN_IN_SECONDS: Final = 2.0
"""Between two looks whether sign-ins have ended: of sessions this process hears by itself, so that
it asks only for those of which there is news; for tokens it asks the primary."""
LIFE_SECONDS: Final = 3_600.0
"""After which a stream ends, and its client opens another."""
MOST_WAITING: Final = 200
"""Events that wait for a slow client; one more ends its stream, and it resumes."""
MOST_REMEMBERED: Final = 10_000
NAMES_SECONDS: Final = 300.0
_threads: Final = ThreadPoolExecutor(8, thread_name_prefix="streams")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One event of a stream."""

    id: str
    """What the client sends as Last-Event-ID."""
    state: State | None = None
    """None: nothing changed; the stream is alive."""
    name: str = ""
    """Of its author."""
    end: str = ""
    """Why the stream ends after this, if it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Up to when a client has seen everything, in milliseconds, for each store."""

    mongo: int
    postgres: int

    def encode(self) -> str:
        """Return the text that clients send back."""
        return encode_cursor(Cursor(key=("stream", self.mongo, self.postgres)))

    @classmethod
    def decode(cls, text: str) -> Seen:
        """Return what `text` stands for. Raises CursorInvalid."""
        kind, mongo, postgres = decode_cursor(text, length=3).key
        sound = all(type(one) is int and 0 <= one < 1 << 43 for one in (mongo, postgres))
        if kind != "stream" or not sound:
            raise CursorInvalid("The event belongs to another stream.")
        return cls(mongo=mongo, postgres=postgres)

    def since(self, asked: Asked) -> dt.datetime:
        """Return from when on the stores in `asked` may hold something new."""
        times = [self.mongo] if Asked.MONGO in asked else []
        times += [self.postgres] if Asked.POSTGRES in asked else []
        return dt.datetime.fromtimestamp(max(0, min(times) - window_ms()) / 1000, dt.UTC)

    def upto(self, now: int, asked: Asked) -> Seen:
        """Return what is seen when the stores in `asked` have told all until `now`."""
        return replace(
            self,
            mongo=now if Asked.MONGO in asked else self.mongo,
            postgres=now if Asked.POSTGRES in asked else self.postgres,
        )

    def further(self, looked: Seen, asked: Asked) -> Seen:
        """Return what is seen when the stores in `asked` were looked at up to `looked`, too."""
        return replace(
            self,
            mongo=max(self.mongo, looked.mongo) if Asked.MONGO in asked else self.mongo,
            postgres=max(self.postgres, looked.postgres)
            if Asked.POSTGRES in asked
            else self.postgres,
        )


class SignIn(Protocol):
    """With what somebody opened a stream."""

    def counts_still(self) -> bool:
        """Tell whether it surely counts; asks no database."""

    def has_ended(self) -> bool:
        """Ask whether it has ended; may ask databases."""


@dataclass(eq=False, slots=True)
class _Watcher:
    standing: Standing
    sign_in: SignIn
    queue: asyncio.Queue[tuple[State | str, Seen]] = field(
        default_factory=lambda: asyncio.Queue(maxsize=MOST_WAITING)
    )
    """States, or why the stream ends; and up to when the room had been looked over by then, which
    is what a client has seen who got all before."""

    def put(self, item: State | str, looked: Seen) -> None:
        try:
            self.queue.put_nowait((item, looked))
        except asyncio.QueueFull:
            # None of them: what comes behind one that is left out would claim that it was seen.
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(("slow", looked))


class Hub:
    """The open streams of this process."""

    def __init__(self) -> None:
        """Listen to nothing yet: the first stream begins it."""
        self._rooms: dict[UUID, set[_Watcher]] = {}
        self._looked: dict[UUID, Seen] = {}
        """Up to when a room's changes were all announced, or found by a look, in each store."""
        self._listening: asyncio.Task[None] | None = None
        self._looking: tuple[asyncio.Task[None], ...] = ()
        self._ready = asyncio.Event()
        self._names: dict[UUID, tuple[float, str]] = {}
        self._asking: dict[UUID, asyncio.Task[str]] = {}
        """For a name, on behalf of all who wait for it."""
        self._told: dict[UUID, str] = {}
        """What was announced of late, by id."""

    @property
    def open(self) -> int:
        """Return how many streams are open."""
        return sum(map(len, self._rooms.values()))

    async def watch(
        self, standing: Standing, last: Seen | None, sign_in: SignIn
    ) -> AsyncIterator[Change]:
        """Yield what changes in a room, from now on or since an event.

        :raises AliasUnavailable: before anything is yielded, while Redis is away.
        """
        watcher, now = _Watcher(standing, sign_in), now_ms()
        self._rooms.setdefault(standing.room_id, set()).add(watcher)
        self._looked.setdefault(standing.room_id, Seen(mongo=now, postgres=now))
        try:
            await self._listen()
            async for change in self._changes(watcher, last):
                yield change
        finally:
            self._leave(watcher)

    async def _changes(self, watcher: _Watcher, last: Seen | None) -> AsyncIterator[Change]:
        now = now_ms()
        asked, sent = Asked.BOTH, dict[UUID, str]()
        if last is not None:
            read = await in_thread(lambda: changes_since(watcher.standing, last.since))
            asked = read.asked
            for state in read.states:
                sent[state.id] = state.rank
                yield await self._change(state, last)
            if len(read.states) >= MOST_CHANGES:
                yield Change(id="", end="reset")
                return
        seen = (last or Seen(mongo=now, postgres=now)).upto(now, asked)
        yield Change(id=seen.encode())
        ends = time.monotonic() + LIFE_SECONDS
        while time.monotonic() < ends:
            item, looked = await self._next(watcher)
            if isinstance(item, str):
                yield Change(id="", end=item)
                return
            # Of a store that did not answer at the beginning nothing is known to be seen.
            seen = seen.further(looked, asked)
            if item is None:
                yield Change(id=seen.encode())
            elif _is_news(item, sent):
                yield await self._change(item, seen)
        yield Change(id="", end="again")

    async def _next(self, watcher: _Watcher) -> tuple[State | str | None, Seen]:
        looked = self._looked[watcher.standing.room_id]
        try:
            return await asyncio.wait_for(watcher.queue.get(), HEARTBEAT_SECONDS)
        except TimeoutError:
            return None, looked

    async def _change(self, state: State, seen: Seen) -> Change:
        return Change(id=seen.encode(), state=state, name=await self._name_of(state.author_id))

    async def _name_of(self, user_id: UUID) -> str:
        at, name = self._names.get(user_id, (0.0, ""))
        if not name or time.monotonic() - at > NAMES_SECONDS:
            asking = self._asking.get(user_id)
            if asking is None:
                asking = self._asking[user_id] = asyncio.create_task(self._ask_name(user_id))
            # The others in the room wait for the same answer, whoever of them goes away meanwhile.
            name = await asyncio.shield(asking) or name
        return name or NOBODY

    async def _ask_name(self, user_id: UUID) -> str:
        """Return the name, or nothing while no store says it."""
        try:
            found = await in_thread(lambda: names_of([user_id]))
        except PolystoreError:
            return ""
        finally:
            del self._asking[user_id]
        name = found.get(user_id, NOBODY)
        if len(self._names) > MOST_REMEMBERED:
            self._names.clear()
        self._names[user_id] = time.monotonic(), name
        return name

    def _leave(self, watcher: _Watcher) -> None:
        room = self._rooms.get(watcher.standing.room_id, set())
        room.discard(watcher)
        if not room:
            self._rooms.pop(watcher.standing.room_id, None)
            self._looked.pop(watcher.standing.room_id, None)
        if not self._rooms:
            for task in (self._listening, *self._looking):
                if task is not None:
                    task.cancel()
            self._listening, self._looking = None, ()
            self._ready.clear()

    # Listening

    async def _listen(self) -> None:
        """Return when this process hears what is announced.

        :raises AliasUnavailable: while Redis is away.
        """
        if self._listening is None or self._listening.done():
            self._ready.clear()
            self._listening = asyncio.create_task(self._listen_forever())
            self._looking = self._looking or (
                asyncio.create_task(self._look_forever()),
                asyncio.create_task(self._ask_for_sign_ins_forever()),
            )
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({waiting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not self._ready.is_set():
            raise AliasUnavailable("redis")

    async def _listen_forever(self) -> None:
        try:
            async with pubsub.subscribed(CHANNEL) as messages:
                self._ready.set()
                async for message in messages:
                    if message is not None:
                        self._tell(message)
        except AliasUnavailable:
            logger.warning("messaging.streams.redis_away", extra={"streams": self.open})
        finally:
            # Whoever opened the next stream before this one had ended listens for itself.
            if asyncio.current_task() is self._listening:
                self._ready.clear()
                self._end(list(self._all()), "redis")

    def _tell(self, message: Mapping[str, Any]) -> None:
        room_id = UUID(message["room"])
        watchers = self._rooms.get(room_id)
        if not watchers:
            return
        if message.get("members"):
            self._in_background(self._look_at(list(watchers)))
            return
        state = _state(message)
        _is_news(state, self._told)
        for watcher in watchers:
            if watcher.standing.kind == message["kind"]:
                watcher.put(state, self._looked[room_id])

    # Membership

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look_at(list(self._all()))
                for room_id in list(self._rooms):
                    await self._look_over(room_id)
            except Exception:  # else nobody who is removed would be noticed any more
                logger.exception("messaging.streams.look_failed")

    async def _ask_for_sign_ins_forever(self) -> None:
        while True:
            await asyncio.sleep(SIGN_IN_SECONDS)
            in_doubt = [one for one in self._all() if not one.sign_in.counts_still()]
            if in_doubt:
                self._end(await in_thread(partial(_signed_out, in_doubt)), "signed out")

    async def _look_over(self, room_id: UUID) -> None:
        """Pass on what was stored and never announced: its writer ended, or Redis lost it."""
        watchers, last, now = self._rooms.get(room_id), self._looked.get(room_id), now_ms()
        if not watchers or last is None:
            return
        standing = next(iter(watchers)).standing
        try:
            read = await in_thread(partial(changes_since, standing, last.since))
        except PolystoreError:
            return  # the next look begins where this one did
        for state in read.states:
            if _is_news(state, self._told):
                for watcher in self._rooms.get(room_id, ()):
                    watcher.put(state, last)
        if room_id in self._looked:
            self._looked[room_id] = last.upto(now, read.asked)

    async def _look_at(self, watchers: list[_Watcher]) -> None:
        pairs = {(one.standing.user_id, one.standing.room_id) for one in watchers}
        gone = await in_thread(lambda: _outside(pairs))
        self._end(
            [one for one in watchers if (one.standing.user_id, one.standing.room_id) in gone],
            "membership",
        )

    def _all(self) -> Iterable[_Watcher]:
        return [one for watchers in self._rooms.values() for one in watchers]

    def _end(self, watchers: Iterable[_Watcher], reason: str) -> None:
        for watcher in watchers:
            looked = self._looked.get(watcher.standing.room_id)
            if looked is not None:  # else it has left
                watcher.put(reason, looked)

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        _kept.add(task)
        task.add_done_callback(_kept.discard)


_kept: set[asyncio.Task[None]] = set()
_hubs: dict[int, Hub] = {}


def hub() -> Hub:
    """Return the hub of the running event loop."""
    loop = id(asyncio.get_running_loop())
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


async def in_thread(ask: Callable[[], T]) -> T:
    """Run what asks databases in a thread, and leave it no connection."""

    def run() -> T:
        try:
            return ask()
        finally:
            connections.close_all()

    found: T = await sync_to_async(run, thread_sensitive=False, executor=_threads)()
    return found


def _is_news(state: State, sent: dict[UUID, str]) -> bool:
    """Tell whether a client has not got this state yet, and remember that it gets it now."""
    if sent.get(state.id, "") >= state.rank:
        return False
    if len(sent) > MOST_REMEMBERED:
        sent.clear()
    sent[state.id] = state.rank
    return True


def _signed_out(watchers: Iterable[_Watcher]) -> list[_Watcher]:
    """Return those whose sign-in has ended. What fails is looked at again by the next one."""
    ended = []
    for watcher in watchers:
        try:
            if watcher.sign_in.has_ended():
                ended.append(watcher)
        except Exception:
            logger.exception("messaging.streams.sign_in_unknown")
    return ended


def _outside(pairs: Iterable[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Return those who do not belong to their room any more; nobody, while no store says."""
    gone = set()
    for user_id, room_id in pairs:
        try:
            standing_of(user_id=user_id, room_id=room_id)
        except PolystoreError as error:
            if error.status == 404:
                gone.add((user_id, room_id))
    return gone


def _state(message: Mapping[str, Any]) -> State:
    found = message["message"]
    return State(
        uuid.UUID(found["id"]),
        uuid.UUID(message["room"]),
        uuid.UUID(found["member_id"]),
        uuid.UUID(found["author_id"]),
        found["content"],
        found["file_url"],
        found["deleted"],
        dt.datetime.fromisoformat(found["created_at"]),
        dt.datetime.fromisoformat(found["updated_at"]),
        found["rank"],
    )
