"""What Redis says of sessions, and when it keeps silent: on a real one, script by script."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
import redis as driver
from django.conf import settings

from accounts.sessions import feed, primary, reading, vouching
from accounts.sessions.entries import Entry, sealed
from accounts.sessions.memory import EVERYTHING, NEWS_SECONDS, Memory
from databases.breaker import Breaker

KEY, USER = "a" * 64, "01a1fef2-99e2-712f-854e-c9e041271ec5"


@pytest.fixture(autouse=True)
def client():
    """Yield Redis without anything of ours before and after."""
    with driver.Redis.from_url(settings.REDIS_URL) as made:
        _clear(made)
        yield made
        made.config_set("maxmemory", 0)
        made.config_set("maxmemory-policy", "noeviction")
        _clear(made)


def _clear(client: driver.Redis) -> None:
    for key in client.scan_iter(f"{vouching.PREFIX}*"):
        client.delete(key)


def an_entry(**changes: Any) -> Entry:
    made = Entry(
        id=USER, key_hash=KEY, user_id=USER, values={"colour": "red"}, version=1, seen=0,
        expires_at=time.time() + 60, last_seen_at=time.time(), user={"id": USER}, lasting=True,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def tell(*names: str, everything: bool = False, **listener: Any) -> vouching.Heard:
    given: dict[str, Any] = {"begun": "", "joined": False, "heard": ""} | listener
    found = vouching.tell(names, everything=everything, **given)
    assert found is not None
    return found


def somebody_listens() -> None:
    """Have one process listen since long ago, as far as Redis knows."""
    with driver.Redis.from_url(settings.REDIS_URL) as made:
        made.hset(f"{vouching.PREFIX}watch", mapping={"since": "1", "last": "1"})


def ask() -> vouching.Answer:
    found = vouching.ask(KEY)
    assert found is not None
    return found


def kept() -> None:
    vouching.keep(an_entry(), ask())


def test_vouches_for_what_the_primary_said() -> None:
    somebody_listens()
    kept()

    found = ask()
    assert found.entry is not None
    assert found.entry.values == {"colour": "red"}
    assert 0 <= found.age < 5


def test_vouches_for_nobody_while_nobody_listens() -> None:
    kept()

    assert ask().entry is None


@pytest.mark.parametrize("name", [KEY, USER])
def test_an_end_of_session_or_user_counts_at_once(name) -> None:
    somebody_listens()
    kept()
    tell(name)

    assert ask().entry is None


def test_the_end_of_everything_is_of_everything() -> None:
    somebody_listens()
    kept()
    tell(everything=True)

    assert ask().entry is None


def test_a_reader_that_was_held_up_brings_nothing_back() -> None:
    somebody_listens()
    before = ask()
    tell(KEY)
    vouching.keep(an_entry(), before)

    assert ask().entry is None


def test_what_was_forgotten_is_not_brought_back_by_a_reader_that_was_held_up(client) -> None:
    somebody_listens()
    before = ask()
    tell(KEY)
    _clear(client)  # the end, too
    vouching.keep(an_entry(), before)
    assert ask().entry is None

    heard = tell(begun="1", joined=True, heard="1")
    assert heard.joined
    vouching.keep(an_entry(), before)
    assert ask().entry is None


def test_what_an_earlier_run_kept_counts_no_more(client) -> None:
    somebody_listens()
    kept()
    client.hset(f"{vouching.PREFIX}entry:{KEY}", "run", "of-yesterday:0")

    assert ask().entry is None


def test_after_an_eviction_nothing_from_before_counts(client) -> None:
    somebody_listens()
    kept()
    client.config_set("maxmemory-policy", "allkeys-random")
    client.set("polystore:filler", "x" * 200_000)
    client.config_set("maxmemory", client.info("memory")["used_memory"])
    for number in range(50):
        client.set(f"polystore:filler:{number}", "x" * 50_000)
    assert client.info("stats")["evicted_keys"]
    client.config_set("maxmemory", 0)
    for key in client.scan_iter("polystore:filler*"):
        client.delete(key)

    assert ask().entry is None


def test_a_clock_that_is_set_back_lets_nobody_in_again(client) -> None:
    """The end is told with a time after every entry's, though the clock says otherwise."""
    somebody_listens()
    kept()
    ahead = int(ask().asked) + 500_000  # as an entry was marked before the clock was set back
    client.hset(f"{vouching.PREFIX}entry:{KEY}", "asked", ahead)
    client.hset(f"{vouching.PREFIX}watch", "clock", ahead)
    tell(KEY)
    time.sleep(0.6)  # until the clock is where it was

    assert ask().entry is None


def test_a_text_of_another_session_or_without_our_signature_is_none(client) -> None:
    somebody_listens()
    kept()
    other = sealed(an_entry(key_hash="b" * 64))
    client.hset(f"{vouching.PREFIX}entry:{KEY}", "text", other)
    assert ask().entry is None

    client.hset(f"{vouching.PREFIX}entry:{KEY}", "text", '{"user_id": "somebody"}')
    assert ask().entry is None


class TestAlone:
    """While a process cannot ask the primary, though it may be there."""

    def alone(self, *, heard_seconds_ago: float) -> bool:
        with driver.Redis.from_url(settings.REDIS_URL) as made:
            now = int(ask().asked)
            last = now - int(heard_seconds_ago * 1e6)
            made.hset(f"{vouching.PREFIX}watch", mapping={"since": "1", "last": str(last)})
        kept()
        answer = ask()
        assert answer.entry is not None
        return reading._redis_knows(answer)

    def test_it_is_believed_while_somebody_else_hears_the_primary(self) -> None:
        assert self.alone(heard_seconds_ago=0.1)

    def test_it_is_not_believed_while_nobody_hears_and_nothing_says_that_it_is_down(self) -> None:
        assert not self.alone(heard_seconds_ago=2)
        assert not self.alone(heard_seconds_ago=60)

    def test_while_the_primary_is_down_it_is_believed_unless_ends_may_have_passed_by(
        self, monkeypatch
    ) -> None:
        down = Breaker("down", probe=lambda: None)
        down.is_open = True
        monkeypatch.setattr(primary, "breaker", lambda: down)
        monkeypatch.setattr(feed, "_ear", feed._Ear())  # which hears nothing
        assert self.alone(heard_seconds_ago=2)

        feed.note_an_answer()  # it was back in between
        assert not self.alone(heard_seconds_ago=2)
        assert self.alone(heard_seconds_ago=0.1), "somebody else hears it"

    def test_what_the_process_heard_itself_did_not_pass_by(self, monkeypatch) -> None:
        ear = feed._Ear()
        ear.listens, ear.heard = True, time.monotonic()
        monkeypatch.setattr(feed, "_ear", ear)
        feed.note_an_answer()
        assert not feed.may_have_missed(time.monotonic() - 60)


class TestThoseWhoListen:
    def test_one_who_begins_waits_for_one_who_listened_all_along(self) -> None:
        somebody_listens()
        begun = tell().now
        assert not tell(begun=begun, heard=begun).joined

        # The other one says that it heard everything until after that.
        tell(begun="1", joined=True, heard=str(int(begun) + 1))
        kept()
        assert tell(begun=begun, heard=begun).joined
        assert ask().entry is not None

    def test_one_who_is_alone_ends_what_was_kept_before(self) -> None:
        somebody_listens()
        kept()
        begun = str(int(tell().now) - 10_000_000)  # ten seconds ago

        assert tell(begun=begun, heard=begun).joined
        assert ask().entry is None
        kept()
        assert ask().entry is not None

    def test_one_who_cannot_say_what_it_heard_claims_nothing(self) -> None:
        somebody_listens()

        assert not tell(begun="1", joined=True).joined


class TestTheProcessItself:
    def test_does_not_remember_what_was_read_before_news_of_it(self) -> None:
        memory = Memory()
        begun = time.monotonic()
        memory.hear(USER)

        assert not memory.put(an_entry(), begun=begun)
        assert memory.put(an_entry(), begun=time.monotonic())

    def test_forgets_all_sessions_of_a_user(self) -> None:
        memory = Memory()
        memory.put(an_entry(), begun=time.monotonic())
        memory.put(an_entry(key_hash="b" * 64), begun=time.monotonic())
        memory.hear(USER)

        assert memory.get(KEY, seen=0) is None
        assert memory.get("b" * 64, seen=0) is None

    def test_returns_nothing_older_than_its_browser_has_seen(self) -> None:
        memory = Memory()
        memory.put(an_entry(version=3), begun=time.monotonic())

        assert memory.get(KEY, seen=3) is not None
        assert memory.get(KEY, seen=4) is None

    def test_returns_nothing_expired(self) -> None:
        memory = Memory()
        memory.put(an_entry(expires_at=time.time() - 1), begun=time.monotonic())

        assert memory.get(KEY, seen=0) is None

    def test_more_news_than_it_can_hold_is_news_of_everything(self, monkeypatch) -> None:
        monkeypatch.setattr("accounts.sessions.memory.MOST_NEWS", 10)
        memory = Memory()
        begun = time.monotonic()
        for number in range(20):
            memory.hear(f"{number}")

        assert memory.heard_since(begun, "of nobody")
        assert EVERYTHING in memory.untold()

    def test_keeps_news_that_redis_was_not_told(self, monkeypatch) -> None:
        memory = Memory()
        memory.hear("told", "untold")
        memory.told({"told": memory.untold()["told"]})
        later = time.monotonic() + 2 * NEWS_SECONDS
        monkeypatch.setattr("accounts.sessions.memory.time.monotonic", lambda: later)
        memory.hear("later")

        assert set(memory.untold()) == {"untold", "later"}

    def test_distrusts_what_redis_said_before_it_was_told(self) -> None:
        """Heard, then Redis is asked, then told, then its answer is judged."""
        memory = Memory()
        memory.hear(KEY)
        asked = time.monotonic()
        memory.told(memory.untold())

        assert memory.redis_did_not_know(asked, KEY, USER)
        assert not memory.redis_did_not_know(time.monotonic(), KEY, USER)
