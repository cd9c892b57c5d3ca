"""A headless Chromium for tests, and what its pages complain of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.running_site import Site

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium on PATH or in CHROMIUM."),
]
DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
WINDOWS = [
    pytest.param(DESK, id="desktop", marks=pytest.mark.long),
    pytest.param(PHONE, id="phone"),
]
"""What a page is looked at in; the narrow one, where most goes wrong, in every run."""
_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


ADDRESS, PASSWORD = "browser@example.org", "only-for-this-test-run"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium, and wait patiently for what its pages shall show."""
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield made
        finally:
            made.close()


def a_page(
    browser: Browser, url: str, viewport: ViewportSize | None = None
) -> tuple[BrowserContext, Page, list[str]]:
    """Return a window without a past, and the list of whatever its console will say."""
    context = browser.new_context(base_url=url, viewport=viewport or DESK)
    context.add_init_script(_LISTEN)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return context, page, said


def let_an_operator_in(site: Site) -> None:
    """Have an administrator whom `signed_in` can sign in."""
    site.manage(
        *("ensure_development_admin", "--email", ADDRESS),
        DEBUG="true",
        DEVELOPMENT_ADMIN_PASSWORD=PASSWORD,
    )
    site.manage("outbox", "drain", "--once")


@contextmanager
def signed_in(browser: Browser, site: Site, viewport: ViewportSize) -> Iterator[Page]:
    """Yield the first page that an operator sees; whatever the console says is a failure."""
    context, page, said = a_page(browser, site.url(""), viewport)
    page.goto("/tracker/")
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("Today – Polystore")
    yield page
    context.close()
    assert said == []


def too_wide(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    over: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(0, over)
