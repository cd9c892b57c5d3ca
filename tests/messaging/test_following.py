"""A follower with a cursor misses nothing, whatever commits late and whichever store is away."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.pagination import Cursor as AnyCursor
from common.pagination import CursorInvalid, encode_cursor
from messaging.stores.cursors import (
    Asked,
    Following,
    decode_before,
    encode_before,
)
from messaging.stores.states import floor_of

WINDOW = 100
LIMIT = 3


class Model:
    """Two stores as a follower meets them: MongoDB, and PostgreSQL with marks on what it lacks."""

    def __init__(self) -> None:
        self.now = 1_000
        self.mongo: set[UUID] = set()
        self.postgres: set[UUID] = set()
        self.mongo_up = self.postgres_up = True
        self.number = 0
        self.late: list[tuple[int, UUID]] = []

    def new_id(self, age: int) -> UUID:
        self.number += 1
        return UUID(int=(self.now - age) << 80 | self.number)

    def commit(self, message: UUID) -> bool:
        if self.mongo_up:
            self.mongo.add(message)
            if self.postgres_up:
                self.postgres.add(message)
            return True
        if self.postgres_up:
            self.postgres.add(message)
            return True
        return False

    def level(self) -> None:
        if self.mongo_up and self.postgres_up:
            self.mongo |= self.postgres
            self.postgres |= self.mongo

    def read(self, cursor: Following) -> tuple[list[UUID], Following]:
        """Do what messaging.queries.history does."""
        if not (self.mongo_up or self.postgres_up):
            return [], cursor
        asked = (
            (Asked.BOTH if self.postgres_up else Asked.MONGO) if self.mongo_up else Asked.POSTGRES
        )
        place = cursor.pass_of(asked, now=self.now, window=WINDOW)
        if asked is Asked.POSTGRES:
            there = self.postgres
        elif asked is Asked.MONGO:
            there = self.mongo
        else:
            there = self.mongo | (self.postgres - self.mongo)
        found = sorted(one for one in there if one > place.last)
        page = found[:LIMIT]
        cursor = cursor.advanced(asked, place, page, full=len(found) > LIMIT, window=WINDOW)
        return page, Following.decode(cursor.encode())


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "read", "read", "mongo", "postgres", "level"]),
        st.integers(0, WINDOW - 1),
        st.integers(0, 60),
    ),
    max_size=80,
)


@settings(max_examples=400)
@given(ACTS)
def test_a_follower_sees_everything_that_was_acknowledged(acts) -> None:
    model, cursor = Model(), Following.from_the_beginning()
    seen: set[UUID] = set()
    acknowledged: set[UUID] = set()
    for act, age, pause in acts:
        model.now += pause
        if act == "write":
            message = model.new_id(age)
            if model.commit(message):
                acknowledged.add(message)
        elif act == "read":
            page, cursor = model.read(cursor)
            assert page == sorted(page)
            seen |= set(page)
        elif act == "mongo":
            model.mongo_up = not model.mongo_up
        elif act == "postgres":
            model.postgres_up = not model.postgres_up
        else:
            model.level()
    model.mongo_up = model.postgres_up = True
    model.level()
    for _ in range(len(acknowledged) + 3):
        page, cursor = model.read(cursor)
        seen |= set(page)

    assert acknowledged <= seen


@given(ACTS)
def test_whoever_saw_the_newest_page_misses_nothing_behind_it(acts) -> None:
    model = Model()
    acknowledged: set[UUID] = set()
    start = Following.of_now(now=model.now, window=WINDOW, asked=Asked.BOTH, since=floor_of(0))
    begun = model.now
    for act, age, pause in acts:
        model.now += pause
        if act == "write":
            message = model.new_id(age)
            model.commit(message)
            acknowledged.add(message)
    cursor, seen = start, set()
    for _ in range(len(acknowledged) + 3):
        page, cursor = model.read(cursor)
        seen |= set(page)

    assert acknowledged <= seen
    assert all(one > floor_of(begun - WINDOW) for one in seen)


def test_whoever_saw_an_older_page_of_one_store_gets_what_the_other_had() -> None:
    model = Model()
    old, hidden, newer = (model.new_id(age) for age in (900, 800, 700))
    model.postgres |= {hidden}
    model.mongo |= {old, newer}
    cursor = Following.of_now(
        now=model.now, window=WINDOW, asked=Asked.MONGO, since=old, upto=newer
    )
    model.level()

    page, _ = model.read(cursor)

    assert hidden in page


def test_reading_on_moves_on_although_more_than_a_page_is_within_the_window() -> None:
    model, cursor = Model(), Following.from_the_beginning()
    messages = {model.new_id(0) for _ in range(20)}
    model.mongo |= messages
    pages = []
    for _ in range(7):
        page, cursor = model.read(cursor)
        pages.append(page)

    assert {one for page in pages for one in page} == messages


def test_nothing_old_comes_again_in_a_quiet_room() -> None:
    model, cursor = Model(), Following.from_the_beginning()
    model.mongo.add(model.new_id(0))
    model.now += 500
    first, cursor = model.read(cursor)
    again, cursor = model.read(cursor)

    assert (len(first), again) == (1, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        encode_before(UUID(int=1)),
        encode_cursor(AnyCursor(key=("a", 0, "b", 0))),
        encode_cursor(AnyCursor(key=(UUID(int=1), -1, UUID(int=1), 0))),
        encode_cursor(AnyCursor(key=(UUID(int=1), 1 << 60, UUID(int=1), 0))),
        encode_cursor(AnyCursor(key=(UUID(int=1), 0.5, UUID(int=1), 0))),
    ],
)
def test_other_cursors_are_refused(text) -> None:
    with pytest.raises(CursorInvalid):
        Following.decode(text)


@pytest.mark.parametrize("text", ["x", Following.from_the_beginning().encode()])
def test_a_cursor_of_newer_messages_is_none_of_older_ones(text) -> None:
    with pytest.raises(CursorInvalid):
        decode_before(text)
