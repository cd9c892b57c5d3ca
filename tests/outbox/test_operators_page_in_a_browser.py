"""The operators' page of the outbox in a Chromium: charts are drawn, nothing breaks its policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import DESK, PHONE, a_page, chromium, needs_chromium, too_wide

pytestmark = needs_chromium
ADDRESS, PASSWORD = "outbox-operator@example.org", "only-for-this-test-run"


@pytest.fixture(scope="module")
def busy(site):
    """Return the running site after a minute's worth of samples, and an operator."""
    site.manage("seed_tracker", "--users", "10", "--todos", "50", "--yes-in-production")
    site.manage(
        *("ensure_development_admin", "--email", ADDRESS),
        DEBUG="true",
        DEVELOPMENT_ADMIN_PASSWORD=PASSWORD,
    )
    site.manage("outbox", "drain", "--once")
    return site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(params=[DESK, PHONE], ids=["desktop", "phone"])
def page(request, browser, busy) -> Iterator[Page]:
    """Sign in; whatever the console says is a failure."""
    context, opened, said = a_page(browser, busy.url(""), request.param)
    opened.goto("/tracker/")
    opened.get_by_label("E-mail address").fill(ADDRESS)
    opened.get_by_label("Password").fill(PASSWORD)
    opened.get_by_role("button", name="Sign in").click()
    expect(opened).to_have_title("Today – Polystore")
    opened.goto("/admin/outbox/overview/")
    yield opened
    context.close()
    assert said == []


def test_the_queue_and_its_charts_are_shown(page: Page) -> None:
    expect(page.get_by_text("Delivery runs.")).to_be_visible()
    expect(page.get_by_text("mongodb", exact=True).first).to_be_visible()
    expect(page.locator("figure svg")).to_have_count(10)
    assert too_wide(page) == 0
