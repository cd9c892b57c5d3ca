"""Whatever order states arrive in, and whoever made them, both stores keep the same one."""

from __future__ import annotations

import uuid
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from common.ids import uuid7
from messaging.stores.states import State, derived_id, first_state, newer, time_of
from messaging.stores.versions import Clock, Version, now_ms, rank_of

VERSIONS = st.builds(
    Version,
    st.integers(0, (1 << 48) - 2),
    st.integers(0, 0xFFFF),
    st.integers(0, (1 << 64) - 1),
)
STEPS = st.lists(st.integers(-5, 5), min_size=1, max_size=50)


def a_state(text: str = "x") -> State:
    return first_state(
        message_id=uuid7(),
        room_id=uuid7(),
        member_id=uuid7(),
        author_id=uuid7(),
        content=text,
        file_url="",
    )


@given(VERSIONS, VERSIONS)
def test_text_sorts_as_the_version_does(one: Version, other: Version) -> None:
    assert (one.text < other.text) == (one < other)
    assert len(one.text) == 32
    assert Version.from_rank(rank_of(deleted=True, version=one)) == one


@given(VERSIONS, VERSIONS)
def test_a_deletion_beats_any_edit(one: Version, other: Version) -> None:
    assert rank_of(deleted=True, version=one) > rank_of(deleted=False, version=other)


@given(STEPS, st.lists(st.one_of(st.none(), VERSIONS), max_size=50))
def test_a_clock_rises_whatever_the_wall_clock_does(steps, seen) -> None:
    wall = [1_000_000]
    clock = Clock(lambda: wall[0], writer=7)
    last = Version(0, 0, 0)
    for number, step in enumerate(steps):
        wall[0] += step
        after = seen[number] if number < len(seen) else None
        given_out = clock.next(after=after)
        if after is not None:
            assert given_out > after
        if after is None or after.physical < wall[0] + 60_000:
            assert given_out > last
            last = given_out


@given(st.lists(st.one_of(st.none(), VERSIONS), max_size=30))
def test_no_version_is_given_out_twice(seen) -> None:
    clock = Clock(lambda: 1_000, writer=7)
    given_out = [clock.next(after=after) for after in seen for _ in range(2)]

    assert len(set(given_out)) == len(given_out)


@given(VERSIONS)
def test_a_wrong_clock_elsewhere_does_not_take_ours_along(far: Version) -> None:
    clock = Clock(lambda: 1_000, writer=7)
    clock.next(after=far._replace(physical=far.physical | 1 << 46))

    assert clock.next().physical <= 1_001


def test_a_counter_that_is_full_moves_to_the_next_millisecond() -> None:
    clock = Clock(lambda: 1_000, writer=7)

    assert clock.next(after=Version(1_000, 0xFFFF, 1)) == Version(1_001, 0, 7)


@given(st.permutations(range(6)), st.booleans())
def test_states_come_out_the_same_in_any_order(order, deletes) -> None:
    base = a_state()
    clocks = [Clock(lambda: 5, writer=writer) for writer in (1, 2)]
    states = [base]
    for number in range(4):
        version = clocks[number % 2].next(after=base.version)
        states.append(base.edited(content=str(number), file_url="", version=version))
    last = clocks[0].next()
    states.append(
        base.as_deleted(last) if deletes else base.edited(content="last", file_url="", version=last)
    )

    kept = reduce(newer, [states[number] for number in order])

    assert kept == max(states, key=lambda state: state.rank)
    assert kept.deleted == deletes


def test_to_create_again_is_never_newer() -> None:
    base = a_state()
    edited = base.edited(
        content="y", file_url="", version=Clock(now_ms, writer=0).next(after=base.version)
    )
    again = first_state(
        message_id=base.id,
        room_id=base.room_id,
        member_id=base.member_id,
        author_id=base.author_id,
        content="x",
        file_url="",
    )

    assert again.rank == base.rank
    assert newer(edited, again) == edited


def test_an_id_follows_from_a_fresh_key_its_author_and_the_message() -> None:
    key = str(uuid7())
    first = derived_id(request="a", fingerprint="f", key=key, window_ms=5_000)

    assert first == derived_id(request="a", fingerprint="f", key=key, window_ms=5_000)
    assert first != derived_id(request="b", fingerprint="f", key=key, window_ms=5_000)
    assert first != derived_id(request="a", fingerprint="g", key=key, window_ms=5_000)
    assert first is not None
    assert (first.version, time_of(first)) == (7, time_of(uuid.UUID(key)))


def test_no_id_follows_from_an_old_key_or_any_other() -> None:
    old = uuid.UUID(int=(now_ms() - 60_000) << 80 | 0x7 << 76 | 0b10 << 62)
    ahead = uuid.UUID(int=(now_ms() + 60_000) << 80 | 0x7 << 76 | 0b10 << 62)

    for key in (str(old), str(ahead), str(uuid.uuid4()), "k", ""):
        assert derived_id(request="a", fingerprint="f", key=key, window_ms=5_000) is None
    assert derived_id(request="", fingerprint="f", key=str(uuid7()), window_ms=5_000) is None
