"""An account from beginning to end in a Chromium, at a desk and on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browsing import PHONE, WINDOWS, a_page, needs_chromium, too_wide

pytestmark = needs_chromium
PASSWORD = "only-for-the-person-of-this-test"
NEW_PASSWORD = "quite-another-passphrase"
ROOT, ROOT_PASSWORD = "pages-root@example.org", "only-for-this-test-run"


@pytest.fixture(params=WINDOWS)
def window(request, browser, site) -> Iterator[tuple[Page, list[str]]]:
    context, opened, said = a_page(browser, site.url(""), request.param)
    yield opened, said
    context.close()


def letter_link(site: Any, address: str) -> str:
    """Have the workers send what is due, and return the link of the last letter to the address."""
    said = site.manage("outbox", "drain", "--once").stdout
    letters = [text for text in said.split("Content-Type:") if f"To: {address}" in text]
    assert letters, said
    return re.findall(r"https?://[^/\s]+(/\S+)", letters[-1])[0]


def fits(page: Page, title: str) -> None:
    """Check that the page is the one, has one heading, and needs no scrolling sideways."""
    expect(page).to_have_title(f"{title} – Polystore")
    expect(page.locator("h1")).to_have_count(1)
    assert too_wide(page) == 0, page.url


def sign_in(page: Page, address: str, password: str) -> None:
    page.goto("/account/login/")
    fits(page, "Sign in")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_an_account_from_the_beginning_to_the_end(window, site, request) -> None:
    page, said = window
    address = f"ada-{page.viewport_size['width']}@example.org"

    page.goto("/")
    page.get_by_role("link", name="Account").first.click()
    page.get_by_role("link", name="Sign up").first.click()
    fits(page, "Sign up")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password").fill("12345")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("alert").first).to_contain_text("too short")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("First name").fill("Ada")
    page.get_by_role("button", name="Sign up").click()
    fits(page, "Look into your mail")

    page.goto(letter_link(site, address))
    fits(page, "Confirm your address")
    page.get_by_role("button", name="Yes, confirm it").click()
    expect(page.get_by_role("status").first).to_contain_text("is confirmed")

    sign_in(page, address, "not-the-password")
    expect(page.get_by_role("alert")).to_contain_text("no account with this address and password")
    sign_in(page, address, PASSWORD)
    fits(page, "Your account")
    page.get_by_label("Last name").fill("Lovelace")
    page.get_by_role("button", name="Save your name").click()
    expect(page.get_by_role("status")).to_contain_text("Your name is saved")
    expect(page.get_by_label("Last name")).to_have_value("Lovelace")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download it").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert exported["accounts"]["profile"][0]["email"] == address

    page.get_by_role("link", name="change", exact=True).click()
    fits(page, "Change your address")
    page.goto("/account/password/change/")
    fits(page, "Change your password")
    page.get_by_label("Current Password").fill(PASSWORD)
    page.get_by_label("New Password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("New Password (again)").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status").first).to_contain_text("Your password is changed")

    page.get_by_role("link", name="Sign out").click()
    fits(page, "Sign out")
    page.get_by_role("button", name="Sign out").click()
    page.goto("/account/password/reset/")
    fits(page, "Forgot your password?")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_role("button", name="Send the letter").click()
    fits(page, "Look into your mail")
    link = letter_link(site, address)
    page.goto(link)
    fits(page, "Set a new password")
    page.get_by_label("New Password", exact=True).fill(PASSWORD)
    page.get_by_label("New Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Set it").click()
    fits(page, "Your new password is set")
    page.goto(link)
    fits(page, "This link no longer works")

    sign_in(page, address, PASSWORD)
    page.get_by_role("link", name="Close your account for now").click()
    fits(page, "Close your account for now")
    page.goto("/account/delete/")
    fits(page, "Delete your account")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_label("I know that this cannot be taken back.").check()
    page.get_by_role("button", name="Delete it for good").click()
    fits(page, "Good-bye")
    assert said == []


def test_too_many_tries_are_told_in_words(browser, site) -> None:
    context, page, _ = a_page(browser, site.url(""), PHONE)
    for _ in range(11):
        sign_in(page, "somebody-tried@example.org", "wrong-password")
        expect(page.locator("main")).to_contain_text(re.compile("no account with|Too many att"))

    expect(page.locator("h1")).to_have_text("Too many attempts")
    expect(page.locator("main")).to_contain_text("Try again in")
    assert too_wide(page) == 0
    context.close()


PUBLIC = ("/", "/api/docs", "/account/login/", "/account/signup/", "/nowhere")
STAFF = (
    "/admin/", "/admin/accounts/user/", "/admin/accounts/user/add/",
    "/admin/databases/overview/", "/admin/outbox/overview/",
    "/admin/django_celery_beat/periodictask/add/", "/admin/password_change/",
    "/admin/documents/document/", "/admin/documents/document/add/", "/admin/accounts/user/?q=a",
    "/admin/accounts/client/add/", "/admin/accounts/session/", "/admin/accounts/personaltoken/",
)  # fmt: skip


def test_no_page_breaks_its_policy(browser, site) -> None:
    site.manage(
        *("ensure_development_admin", "--email", ROOT),
        DEBUG="true",
        DEVELOPMENT_ADMIN_PASSWORD=ROOT_PASSWORD,
    )
    context, page, said = a_page(browser, site.url(""))
    for path in PUBLIC:
        page.goto(path)
        page.wait_for_load_state()
    page.goto("/admin/login/")
    page.get_by_label("E-mail address").fill(ROOT)
    page.get_by_label("Password").fill(ROOT_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    for path in STAFF:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        page.wait_for_load_state()
    # The theme's own switches work without scripts within the page.
    page.goto("/admin/accounts/user/")
    page.get_by_role("link", name=ROOT).first.click()
    page.wait_for_load_state()

    context.close()
    # What a page that is not there says of itself, and a hint of Chromium's to the theme's forms.
    assert [text for text in said if "404" not in text and "[DOM]" not in text] == []
