"""The chat in a Chromium, with two people: by keyboard, on a phone, with a store away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from common.ids import uuid7
from messaging.stores.versions import now_ms
from tests.browsing import DESK, WINDOWS, a_page, needs_chromium, too_wide
from tests.messaging_web import ChatSite, Talk
from tests.waiting import eventually

pytestmark = [*needs_chromium, pytest.mark.timeout(240)]
WRITTEN = 120
SOON = 30_000
"""Milliseconds within which something is shown, on a machine that has other work."""


_DELETED_BEFORE_ITS_EDIT = """
from uuid import UUID
from messaging.services.live import announce
from messaging.stores import MongoMessages, PostgresMessages
from messaging.stores.versions import Version
message_id = UUID("{message_id}")
edited = MongoMessages().get(message_id)
deleted = edited.as_deleted(Version.of_creation(message_id)._replace(counter=1))
assert deleted.updated_at < edited.updated_at
PostgresMessages().put([deleted])
MongoMessages().put([deleted])
announce(deleted, kind="conversation")
"""


@pytest.fixture(scope="module")
def chat(servers_of_the_session) -> Iterator[ChatSite]:
    with ChatSite(servers_of_the_session).serving() as made:
        yield made


@dataclass
class Two:
    """Ann and Ben, each in a window of their own."""

    talk: Talk
    ann: Page
    ben: Page

    def enter(self) -> None:
        """Open the conversation in both, with its stream."""
        for page in (self.ann, self.ben):
            with page.expect_response(lambda answer: "/stream" in answer.url):
                page.goto(f"/rooms/{self.talk.room}/")


@pytest.fixture(params=WINDOWS)
def two(request, chat, browser) -> Iterator[Two]:
    yield from _two(chat, browser, request.param)


@pytest.fixture
def two_at_desks(chat, browser) -> Iterator[Two]:
    yield from _two(chat, browser, DESK, messages=WRITTEN)


def _two(chat: ChatSite, browser: Browser, viewport, *, messages: int = 0) -> Iterator[Two]:
    talk = chat.talk(messages=messages)
    windows = []
    for session in talk.sessions:
        context, page, said = a_page(browser, chat.url(""), viewport)
        context.set_default_timeout(SOON)
        context.add_cookies([{"name": "sessionid", "value": session, "url": chat.url("")}])
        windows.append((context, page, said))
    yield Two(talk=talk, ann=windows[0][1], ben=windows[1][1])
    for context, _, _ in windows:
        context.close()
    assert [line for _, _, said in windows for line in said if not _expected(line)] == []


def _expected(line: str) -> bool:
    """Tell whether a browser says this of its own accord, of a store that a test has stopped."""
    return "the server responded with a status of 503" in line


def messages(page: Page) -> Locator:
    return page.get_by_role("log").get_by_role("listitem")


def write(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def test_two_people_talk(two: Two) -> None:
    two.enter()
    write(two.ann, "Hello, <b>Ben</b>")

    expect(messages(two.ann)).to_have_count(1)
    expect(messages(two.ben)).to_contain_text("Hello, <b>Ben</b>", timeout=SOON)
    write(two.ben, "Hi\nAnn")
    expect(messages(two.ann).nth(1)).to_contain_text("Hi", timeout=SOON)
    for page in (two.ann, two.ben):
        assert too_wide(page) == 0
        expect(page.locator("h1")).to_have_count(1)
        expect(page.get_by_label("Message", exact=True)).to_be_in_viewport()
        expect(page.get_by_role("button", name="Send")).to_be_in_viewport()


@pytest.mark.parametrize("written", [1, 35])
def test_what_is_written_before_the_stream_opens_is_shown(two: Two, written: int) -> None:
    held: list[Route] = []
    two.ben.route("**/stream*", lambda route: held.append(route))  # noqa: PLW0108 - it is marked
    two.ben.goto(f"/rooms/{two.talk.room}/")
    two.ann.goto(f"/rooms/{two.talk.room}/")
    for number in range(1, written + 1):
        write(two.ann, f"Number {number}.")
        expect(messages(two.ann)).to_have_count(number)
    expect(messages(two.ben)).to_have_count(0)

    held[0].continue_()
    expect(messages(two.ben)).to_have_count(written, timeout=SOON)
    expect(messages(two.ben).first).to_contain_text("Number 1.")


@pytest.mark.parametrize("change", ["PATCH", "DELETE"])
def test_what_is_changed_within_the_second_that_it_was_written_in_is_shown(
    chat: ChatSite, two_at_desks: Two, change: str
) -> None:
    """Times on the wire leave out milliseconds where there are none."""
    two = two_at_desks
    two.enter()
    room = f"/api/rooms/{two.talk.room}/messages"
    with chat.as_person(two.talk.sessions[0]) as ann:
        eventually(lambda: now_ms() % 1_000 < 200)
        key = UUID(int=now_ms() // 1_000 * 1_000 << 80 | uuid7().int & (1 << 80) - 1)
        headers = {"Idempotency-Key": str(key)}
        sent = ann.post(room, json={"content": "Helo"}, headers=headers).json()
        changed = ann.request(change, f"/api/messages/{sent['id']}", json={"content": "Hello"})
        assert changed.is_success, changed.text
        assert "." not in sent["createdAt"]

    shown = two.ben.locator(f"#m-{sent['id']}")
    expect(shown).to_contain_text("Hello" if change == "PATCH" else "Deleted", timeout=SOON)


def test_a_deletion_that_crossed_a_later_edit_is_shown(chat: ChatSite, two_at_desks: Two) -> None:
    two = two_at_desks
    two.enter()
    write(two.ann, "Hello")
    expect(messages(two.ben).last).to_contain_text("Hello", timeout=SOON)
    message_id = (messages(two.ben).last.get_attribute("id") or "").removeprefix("m-")
    with chat.as_person(two.talk.sessions[0]) as ann:
        ann.patch(f"/api/messages/{message_id}", json={"content": "Bye"})
    expect(messages(two.ben).last).to_contain_text("Bye", timeout=SOON)

    chat.manage("shell", "-c", _DELETED_BEFORE_ITS_EDIT.format(message_id=message_id))

    expect(messages(two.ben).last).to_contain_text("Deleted", timeout=SOON)


def test_a_message_is_edited_and_deleted_by_keyboard_before_the_others_eyes(two: Two) -> None:
    two.enter()
    write(two.ann, "Helo")
    expect(messages(two.ben)).to_contain_text("Helo", timeout=SOON)
    expect(two.ben.get_by_role("button", name="Edit")).to_have_count(0)

    two.ann.get_by_role("button", name="Edit").focus()
    two.ann.keyboard.press("Enter")
    expect(two.ann.get_by_label("Edit message")).to_be_focused()
    two.ann.keyboard.press("Escape")
    expect(two.ann.get_by_role("button", name="Edit")).to_be_focused()
    two.ann.keyboard.press("Enter")
    two.ann.get_by_label("Edit message").fill("Hello")
    two.ann.keyboard.press("Enter")
    expect(messages(two.ben)).to_contain_text("Hello", timeout=SOON)
    expect(messages(two.ben)).to_contain_text("edited")

    two.ann.get_by_role("button", name="Delete").focus()
    two.ann.keyboard.press("Enter")
    expect(messages(two.ben)).to_contain_text("Deleted", timeout=SOON)
    expect(messages(two.ben)).not_to_contain_text("Hello")
    expect(messages(two.ann)).to_contain_text("Deleted")


def test_what_is_unread_is_counted_until_it_is_seen(two: Two) -> None:
    two.ann.goto(f"/rooms/{two.talk.room}/")
    for text in ("one", "two"):
        write(two.ann, text)
    expect(messages(two.ann)).to_have_count(2)

    two.ben.goto("/rooms/")
    expect(two.ben.get_by_role("listitem").filter(has_text="Ann Example")).to_contain_text("2")
    assert too_wide(two.ben) == 0
    with two.ben.expect_response(lambda answer: answer.url.endswith("/read")):
        two.ben.get_by_role("link", name="Ann Example").click()
    two.ben.goto("/rooms/")
    expect(two.ben.locator(".unread")).to_have_count(0)


def test_history_loads_on_scrolling_and_stays_where_one_reads(two_at_desks: Two) -> None:
    two = two_at_desks
    two.enter()
    log, history = messages(two.ann), two.ann.get_by_label("Messages", exact=True)
    expect(log).to_have_count(30)
    expect(log.last).to_be_in_viewport()

    first = log.first
    reading = first.inner_text()
    with two.ann.expect_response(lambda answer: "before=" in answer.url):
        first.scroll_into_view_if_needed()
        history.press("Home")
    expect(log).to_have_count(80)
    there = log.filter(has_text=reading.splitlines()[-1])
    expect(there.first).to_be_in_viewport()
    for _ in range(20):
        if log.count() == WRITTEN:
            break
        history.evaluate("box => { box.scrollTop = 0; }")
        two.ann.wait_for_timeout(100)
    expect(log).to_have_count(WRITTEN)
    shown = two.ann.locator("#messages .text").all_inner_texts()
    assert shown == [f"message {number}" for number in range(WRITTEN)]

    write(two.ben, "Are you still reading?")
    expect(log).to_have_count(WRITTEN + 1)
    expect(log.last).not_to_be_in_viewport()  # whoever reads old ones is not torn away
    two.ann.get_by_role("button", name="New messages").click()
    expect(log.last).to_be_in_viewport()


@pytest.mark.outage
def test_a_quiet_line_says_that_a_store_is_away(two_at_desks: Two, servers) -> None:
    two = two_at_desks
    two.enter()
    servers.stop("mongodb")
    write(two.ann, "without MongoDB")

    expect(two.ann.get_by_role("status")).to_contain_text("away", timeout=SOON)
    expect(messages(two.ann).last).to_contain_text("without MongoDB")
    expect(messages(two.ben).last).to_contain_text("without MongoDB", timeout=SOON)
    servers.start("mongodb")

    def quiet() -> bool:
        write(two.ann, "again")
        two.ann.wait_for_timeout(500)
        return two.ann.get_by_role("status").inner_text() == ""

    eventually(quiet)


@pytest.mark.outage
def test_without_streams_new_messages_come_all_the_same(two_at_desks: Two, servers) -> None:
    two = two_at_desks
    two.enter()
    servers.stop("redis")
    write(two.ann, "without Redis")

    expect(messages(two.ben).last).to_contain_text("without Redis", timeout=SOON)
