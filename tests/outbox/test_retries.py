"""Retries come back later each time, spread out, and never after an unbounded time."""

from __future__ import annotations

from outbox.delivery.failures import FIRST_PAUSE, LONGEST_PAUSE, pause_before


def test_pauses_grow_to_a_bound_and_are_spread_over_all_of_it() -> None:
    for attempt in range(1, 20):
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        pauses = [pause_before(attempt) for _ in range(500)]
        assert 0.0 <= min(pauses) < 0.1 * longest
        assert 0.9 * longest < max(pauses) <= longest
