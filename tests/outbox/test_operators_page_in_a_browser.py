"""The operators' page of the outbox in a Chromium: charts are drawn, nothing breaks its policy."""

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

pytestmark = needs_chromium
_SAMPLES = """
from datetime import timedelta
from django.utils import timezone
from outbox.models import QueueSample
now = timezone.now().replace(second=0, microsecond=0)
QueueSample.objects.all().delete()
QueueSample.objects.bulk_create(
    QueueSample(minute=now - timedelta(minutes=ago), waiting=500 if 20 < ago < 30 else ago % 7,
        lag_seconds=12.5 if 20 < ago < 30 else 0.02, last_id=(120 - ago) * 90,
        dead=3 if ago < 10 else 0, retrying=ago % 3)
    for ago in range(120) if not 40 < ago < 50)
"""


@pytest.fixture(scope="module")
def busy(site):
    """Return the running site after two hours' samples, with a gap and a peak."""
    site.manage("seed_tracker", "--users", "10", "--todos", "50", "--yes-in-production")
    let_an_operator_in(site)
    site.manage("shell", "-c", _SAMPLES)
    return site


@pytest.fixture(params=WINDOWS)
def page(request, browser, busy) -> Iterator[Page]:
    """Open the page as an operator; whatever the console says is a failure."""
    with signed_in(browser, busy, request.param) as opened:
        opened.goto("/admin/outbox/overview/")
        yield opened


def test_the_queue_and_its_charts_are_shown(page: Page) -> None:
    expect(page.get_by_text("Delivery runs.")).to_be_visible()
    expect(page.get_by_text("mongodb", exact=True).first).to_be_visible()
    expect(page.locator("figure svg")).to_have_count(10)
    for chart in page.locator("figure svg").all():
        # Two lines where nobody measured in between, and whatever was measured is inside.
        expect(chart.locator("polyline")).to_have_count(2)
        frame, lines = chart.bounding_box(), chart.locator("polyline").all()
        assert frame is not None
        for box in (line.bounding_box() for line in lines):
            assert box is not None
            assert frame["x"] <= box["x"]
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
            assert frame["y"] <= box["y"]
            assert box["y"] + box["height"] <= frame["y"] + frame["height"]
    assert too_wide(page) == 0
