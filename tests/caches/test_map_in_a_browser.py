"""The map in a Chromium: by click, form and keyboard, on a phone, with nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browsing import WINDOWS, a_page, needs_chromium, too_wide
from tests.caches.geocoders import World, serving
from tests.running_site import SAMPLE, Site, running

pytestmark = needs_chromium
IN_CHICAGO = "41.88, -87.63"
"""The middle of one of the sample's zones."""


@pytest.fixture(params=WINDOWS)
def page(request, browser, site) -> Iterator[Page]:
    """Open the map; whatever the console says, and whoever else is asked, is a failure."""
    context, opened, said = a_page(browser, site.url(""), request.param)
    hosts: set[str | None] = set()
    opened.on("request", lambda asked: hosts.add(urlsplit(asked.url).hostname))
    opened.goto("/zones/")
    yield opened
    context.close()
    assert said == []
    assert hosts <= {"127.0.0.1", None}, "None: data in the page itself"


def test_the_zones_are_drawn_and_the_page_fits(page: Page) -> None:
    expect(page.locator("#shown")).to_contain_text(re.compile(r"[1-9]\d* in view"))
    assert too_wide(page) == 0
    assert page.locator("#map canvas").count() == 1
    box = page.locator("#map").bounding_box()
    assert box is not None
    assert box["height"] >= 250


def test_a_typed_point_is_answered_in_words(page: Page) -> None:
    answer = page.get_by_role("status")
    page.get_by_label("Latitude, longitude").fill(IN_CHICAGO)
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("Yes, this point lies in an opportunity zone.")
    expect(answer).to_contain_text("Chicago (sample), Illinois")
    expect(answer).to_contain_text("This is a sample")
    page.get_by_label("Latitude, longitude").fill("45 -100")
    page.get_by_role("button", name="Check").click()
    expect(answer).to_contain_text("Unknown.")
    page.get_by_label("Latitude, longitude").fill("41.93 -87.63")
    page.get_by_role("button", name="Check").click()
    expect(answer).to_contain_text("No, no opportunity zone holds this point.")


def test_what_is_no_point_is_explained(page: Page) -> None:
    field = page.get_by_label("Latitude, longitude")
    field.fill("Main Street")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Type two numbers")
    expect(field).to_be_focused()


def test_the_map_answers_to_clicks_and_to_the_keyboard_alone(page: Page) -> None:
    field = page.get_by_label("Latitude, longitude")
    field.fill(IN_CHICAGO)
    page.keyboard.press("Enter")
    answer = page.get_by_role("status")
    expect(answer).to_contain_text("Yes")
    page.locator("#map").focus()
    field.evaluate("one => { one.value = '' }")
    page.keyboard.press("Enter")
    expect(field).to_have_value("41.880000, -87.630000")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".leaflet-pan-anim")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("No, no opportunity zone")
    page.locator("#map").click(position={"x": 40, "y": 120})
    expect(field).not_to_have_value("41.880000, -87.630000")


# Addresses --------------------------------------------------------------------------------------

ADDRESS = "1 Sample Square, Chicago, IL 60601"


@pytest.fixture(scope="module")
def geocoding_site(servers_of_the_session, cache_server) -> Iterator[tuple[Site, World]]:
    """Run a site of its own that asks a geocoder of ours, and somebody who may sign in there."""
    world = World()
    world.places[ADDRESS] = (41.88, -87.63)
    with serving(world) as url:
        environment = servers_of_the_session.environment() | {
            "OPPORTUNITY_ZONES_SOURCE": SAMPLE,
            "GEOCODER_PROVIDERS": "census",
            "GEOCODER_CENSUS_URL": url,
            "GEOCODER_ALLOW_PRIVATE": "true",
        }
        with running(environment, workers=1) as made:
            made.manage("seed_opportunity_zones")
            made.python(MAKE_SOMEBODY)
            yield made, world


MAKE_SOMEBODY = """
import django
django.setup()
from accounts.models import User
User.objects.filter(email="finder@example.com").delete()
User.objects.create_superuser("finder@example.com", "a-password-of-the-tests")
"""


@pytest.mark.parametrize("viewport", WINDOWS)
def test_an_address_is_found_by_whoever_is_signed_in(browser, geocoding_site, viewport) -> None:
    site, world = geocoding_site
    context, page, said = a_page(browser, site.url(""), viewport)
    asked = len(world.asked)
    page.goto("/zones/")
    field, answer = page.get_by_label("Address"), page.get_by_role("status")

    field.fill(ADDRESS)
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("for people who are signed in")
    assert len(world.asked) == asked, "nobody was asked for a stranger"

    page.get_by_role("link", name="Sign in").click()
    page.locator("input[name=login], input[name=email]").first.fill("finder@example.com")
    page.locator("input[type=password]").fill("a-password-of-the-tests")
    page.keyboard.press("Enter")
    page.wait_for_url("**/zones/")
    page.get_by_label("Address").fill(ADDRESS)
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("Yes, this point lies in an opportunity zone.")
    expect(answer).to_contain_text("U.S. Census Bureau Geocoder")
    expect(page.get_by_label("Latitude, longitude")).to_have_value("41.880000, -87.630000")
    assert too_wide(page) == 0

    page.get_by_label("Address").fill("2 Nowhere Street, Chicago, IL")
    page.get_by_role("button", name="Find").click()
    expect(answer).to_contain_text("No geocoder knows this address.")
    page.get_by_label("Address").fill("12")
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("Type an address")
    expect(page.get_by_label("Address")).to_be_focused()
    context.close()
    assert ["401" in line for line in said] == [True], "of the stranger's question alone"
