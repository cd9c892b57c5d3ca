"""Callers' ids are continued where they are valid, and replaced where they are not."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.tracing import begin, current, current_request_id, parse_traceparent, working_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize("given_id", ["abc", "A-1_2.3:4@5/6+7=8", "x" * 128])
def test_a_good_request_id_is_kept(given_id):
    assert begin(request_id=given_id).request_id == given_id


@pytest.mark.parametrize("given_id", ["", "x" * 129, "a b", "a\nb", 'a"b', "ä", "<b>"])
def test_any_other_is_replaced(given_id):
    assert re.fullmatch(r"[0-9a-f]{32}", begin(request_id=given_id).request_id)


def test_a_callers_trace_is_continued_with_a_span_of_our_own():
    trace = begin(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="vendor=1")

    assert trace.trace_id == TRACE
    assert trace.parent_id == SPAN
    assert trace.span_id != SPAN
    assert trace.traceparent == f"00-{TRACE}-{trace.span_id}-01"
    assert trace.tracestate == "vendor=1"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"0-{TRACE}-{SPAN}-01",
    ],
)
def test_an_invalid_trace_begins_anew(header):
    assert parse_traceparent(header) is None
    assert begin(traceparent=header, tracestate="vendor=1").tracestate == ""


def test_a_later_version_may_go_on():
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") == (TRACE, SPAN, True)


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_callers_send_the_outcome_is_valid(request_id, traceparent):
    trace = begin(request_id=request_id, traceparent=traceparent)

    assert parse_traceparent(trace.traceparent) is not None
    assert re.fullmatch(r"[!-~]{1,128}", trace.request_id)


def test_nothing_is_left_behind():
    with working_for(begin(request_id="outer")):
        with working_for(begin(request_id="inner")):
            assert current_request_id() == "inner"
        assert current_request_id() == "outer"

    assert current() is None
    assert current_request_id() == ""


def test_coroutines_beside_each_other_keep_their_own():
    async def work(name, ready, others_ready):
        with working_for(begin(request_id=name)):
            ready.set()
            await others_ready.wait()
            return current_request_id()

    async def both():
        one, two = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(work("one", one, two), work("two", two, one))

    assert asyncio.run(both()) == ["one", "two"]
