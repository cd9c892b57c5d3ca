"""The second step in a Chromium, at a desk and on a phone: set up, asked for, used up, removed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.accounts.second_step.apps import App
from tests.browsing import WINDOWS, a_page, needs_chromium, too_wide

pytestmark = needs_chromium
PASSWORD = "only-for-the-person-of-this-test"
MAKE = """
import django; django.setup()
from accounts.services import create_user
create_user(email={address!r}, password={password!r})
"""


@pytest.fixture(params=WINDOWS)
def window(request, browser, site):
    context, opened, said = a_page(browser, site.url(""), request.param)
    yield opened, said
    context.close()


def fits(page, title: str) -> None:
    """Check that the page is the one, has one heading, and needs no scrolling sideways."""
    expect(page).to_have_title(f"{title} – Polystore")
    expect(page.locator("h1")).to_have_count(1)
    assert too_wide(page) == 0, page.url


def sign_in(page, address: str) -> None:
    page.goto("/account/login/")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def enter(page, code: str, button: str) -> None:
    page.get_by_role("textbox", name="Code").fill(code)
    page.get_by_role("button", name=button).click()


def test_from_setting_it_up_to_removing_it(window, site) -> None:
    page, said = window
    address = f"app-{page.viewport_size['width']}@example.org"
    site.python(MAKE.format(address=address, password=PASSWORD))
    sign_in(page, address)
    page.get_by_role("link", name="Second step").click()
    fits(page, "Second step")
    page.get_by_role("link", name="Set it up").click()
    fits(page, "Is it you?")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()

    fits(page, "Set up your app")
    picture = page.get_by_role("img", name="QR code").locator("svg")
    box = picture.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 150
    app = App(page.locator(".secret").inner_text())
    enter(page, app.wrong(), "Turn it on")
    expect(page.get_by_role("alert")).to_contain_text("This code is not valid")
    expect(page.locator(".secret")).to_have_text(app.secret)
    enter(page, app.code_at(0), "Turn it on")
    fits(page, "Recovery codes")
    codes = page.locator("ol.codes li").all_inner_texts()
    assert len(codes) == 10
    assert all(re.fullmatch(r"\d{8}", code) for code in codes)
    page.get_by_role("link", name="I have them").click()
    fits(page, "Second step")
    expect(page.locator("main")).to_contain_text("10 that you did not use yet")

    page.goto("/account/logout/")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, address)
    fits(page, "Your code")
    enter(page, app.wrong(), "Sign in")
    expect(page.get_by_role("alert")).to_contain_text("This code is not valid")
    enter(page, codes[0], "Sign in")
    fits(page, "Your account")

    page.goto("/account/2fa/totp/deactivate/")
    fits(page, "Is it you?")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    fits(page, "Remove your app")
    expect(page.locator("input[name=username]")).to_be_hidden()
    enter(page, codes[1], "Remove it")
    expect(page.get_by_role("status").first).to_contain_text("The second step is off")
    assert said == []
