"""The pages in a Chromium: by keyboard, on a phone, without an error on the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browsing import (
    WINDOWS,
    let_an_operator_in,
    needs_chromium,
    signed_in,
    too_wide,
)
from tests.waiting import eventually

pytestmark = needs_chromium
PAGES = ("", "leaderboard", "leaderboard?period=friends", "friends", "search?q=an", "analytics")


@pytest.fixture(scope="module")
def seeded(site):
    """Return the running site with invented people, and somebody who can sign in."""
    site.manage("seed_tracker", "--users", "30", "--todos", "300", "--yes-in-production")
    let_an_operator_in(site)
    return site


@pytest.fixture(params=WINDOWS)
def page(request, browser, seeded) -> Iterator[Page]:
    """Sign in; whatever the console says is a failure."""
    with signed_in(browser, seeded, request.param) as opened:
        yield opened


def test_every_page_fits_and_is_quiet(page: Page) -> None:
    for path in PAGES:
        answer = page.goto(f"/tracker/{path}")
        assert answer is not None
        assert answer.status == 200
        assert too_wide(page) == 0, path
        expect(page.locator("h1")).to_have_count(1)


def test_a_todo_is_added_and_completed_by_keyboard_alone(page: Page) -> None:
    page.get_by_label("What?").focus()
    page.keyboard.type("Sing a song")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Added “Sing a song”")

    page.get_by_role("button", name="Complete Sing a song").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("10 points")


def test_the_clock_counts_and_pauses(page: Page) -> None:
    page.get_by_label("Work on").fill("deep work")
    page.get_by_role("button", name="Start").click()
    clock = page.get_by_role("timer").first
    before = clock.inner_text()
    eventually(lambda: clock.inner_text() != before)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("timer")).to_have_count(0)


def test_people_are_found_and_asked(page: Page) -> None:
    page.goto("/tracker/search")
    page.get_by_label("Name").fill("an")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Find people")
    expect(page.locator(".list li").first).to_be_visible()


def test_what_was_done_is_drawn(page: Page) -> None:
    page.get_by_label("What?").fill("Draw")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="Complete Draw").first.click()
    page.goto("/tracker/analytics")

    bars = page.locator("svg rect.bar")
    assert bars.count() >= 1
    assert all(bar["height"] > 0 for bar in (b.bounding_box() or {"height": 0} for b in bars.all()))
