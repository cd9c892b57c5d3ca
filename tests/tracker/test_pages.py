"""The pages show and do what the API does, for whoever is signed in."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client
from django.utils import timezone

from tests.homes import databases_of
from tests.tracker.world import Caller, deliver, somebody
from tracker.models import DailyReport, Friendship, Standing, Timer, Todo

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))
PAGES = ["", "leaderboard", "leaderboard?period=week", "leaderboard?period=friends", "friends",
         "search", "search?q=archer", "analytics"]  # fmt: skip
SOME_ID = uuid.UUID(int=0x7000 << 64)
DEEDS = ["todos", f"todos/{SOME_ID}/complete", "timers", f"timers/{SOME_ID}/stop", "report",
         f"friends/{SOME_ID}/block"]  # fmt: skip


@pytest.fixture(autouse=True)
def empty(mongodb):
    """Begin without documents."""


@pytest.fixture
def anns(as_ann):
    """Return Ann's browser."""
    return as_ann.client


def do(browser, path, **fields):
    """Send a form, follow to the page, and return its text."""
    answer = browser.post(f"/tracker/{path}", fields)
    assert answer.status_code == 303, answer.status_code
    return browser.get(answer["Location"]).content.decode()


def refused(browser, path, status=422, /, **fields):
    """Send a form that is not to be done, and return the text of the page that says so."""
    answer = browser.post(f"/tracker/{path}", fields)
    assert answer.status_code == status
    assert "no-cache" in answer["Cache-Control"]
    return answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_for_whoever_is_signed_in_and_loads_nothing_foreign(anns, path) -> None:
    deliver()
    answer = anns.get(f"/tracker/{path}")

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "script-src 'self';" in answer["Content-Security-Policy"]
    assert "no-cache" in answer["Cache-Control"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert all(source.startswith(("/", "#", "?")) for source in sources)
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=", text)
    assert text.count('aria-current="page"') == 1


@pytest.mark.parametrize("path", [*PAGES, *DEEDS])
def test_nobody_is_sent_to_sign_in(client, path, db) -> None:
    method = client.post if path in DEEDS else client.get
    answer = method(f"/tracker/{path}")

    assert answer.status_code in {302, 405}
    assert answer["Location"].startswith("/account/login/")
    assert not Todo.objects.exists()


@pytest.mark.parametrize("path", DEEDS)
def test_deeds_take_a_form_of_ours_and_never_a_link(ann, anns, path) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann)

    assert anns.get(f"/tracker/{path}").status_code == 405
    assert strict.post(f"/tracker/{path}", {"title": "x"}).status_code == 403


def test_a_todo_is_added_completed_opened_and_deleted(anns) -> None:
    text = do(anns, "todos", title="Buy <b>milk</b>", tags="Home, shop", points="15")
    todo = Todo.objects.get()
    assert "Buy &lt;b&gt;milk&lt;/b&gt;" in text
    assert todo.tags == ["home", "shop"]

    assert "15 points" in do(anns, f"todos/{todo.pk}/complete")
    assert Standing.objects.get().total_points == 15
    assert "is open again" in do(anns, f"todos/{todo.pk}/reopen")
    assert "Nothing to do." in do(anns, f"todos/{todo.pk}/delete")
    assert anns.post(f"/tracker/todos/{todo.pk}/explode").status_code == 404


def test_what_is_wrong_is_said_and_nothing_is_written(anns) -> None:
    assert "Title" in refused(anns, "todos", title="")
    assert "Points" in refused(anns, "todos", title="x", points="9999")
    assert "Hours" in refused(anns, "report", day="2026-03-18", hours="25")
    assert "has not begun" in refused(anns, "report", day="9999-01-01", hours="1")
    assert not Todo.objects.exists()
    assert not DailyReport.objects.exists()


def test_what_was_typed_into_a_refused_form_stays_there(anns) -> None:
    text = refused(
        anns, "todos", title='"Milk" <b>', due_on="2026-04-01", priority="high", points="9999",
        tags="home, shop",
    )  # fmt: skip
    for kept in ("&quot;Milk&quot; &lt;b&gt;", "2026-04-01", "9999", "home, shop"):
        assert f'value="{kept}"' in text
    assert '<option value="high" selected>' in text
    assert text.count(" selected>") == 1

    day = str(timezone.localdate())
    text = refused(anns, "report", day=day, hours="25", mood="4", notes="A <long> day")
    assert 'value="25"' in text
    assert '<option value="4" selected>' in text
    assert ">A &lt;long&gt; day</textarea>" in text
    assert f'name="day" value="{day}"' in text

    do(anns, "timers", label="first")
    assert "is running" in refused(anns, "timers", 409, label="second")
    # Nothing of it is left on the page that is opened anew.
    assert "long" not in anns.get("/tracker/").content.decode()


def test_a_timer_and_a_report(anns) -> None:
    assert "data-running" in do(anns, "timers", label="deep work")
    timer = Timer.objects.get()
    assert "is running" in refused(anns, "timers", 409)
    assert "Resume" in do(anns, f"timers/{timer.pk}/pause")
    do(anns, f"timers/{timer.pk}/resume")
    assert "Start" in do(anns, f"timers/{timer.pk}/stop")

    text = do(anns, "report", day=str(timezone.localdate()), hours="7.5", mood="4", notes="ok")
    assert 'value="7.50"' in text


def test_people_are_found_asked_and_blocked(anns, ann, ben) -> None:
    deliver()
    found = anns.get("/tracker/search?q=BEN").content.decode()
    assert "Ben Baker" in found
    back = "/tracker/search?q=BEN"
    assert "request is sent" in do(anns, f"friends/{ben.pk}/request", next=back)
    bens = Caller(ben).client
    assert "They ask you" in bens.get("/tracker/friends").content.decode()
    assert "You are friends now" in do(bens, f"friends/{ann.pk}/accept", next="/tracker/friends")
    assert "Unfriend" in anns.get("/tracker/friends").content.decode()

    do(bens, f"friends/{ann.pk}/block")
    assert Friendship.objects.get().status == "blocked"
    assert "Ben Baker" not in anns.get("/tracker/friends").content.decode()
    assert "Nobody of this name" in anns.get("/tracker/search?q=BEN").content.decode()


def test_nobody_is_sent_to_another_site(anns) -> None:
    for where in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x"):
        answer = anns.post("/tracker/todos", {"title": "x", "next": where})
        assert answer["Location"] == "/tracker/"


def test_somebody_elses_todo_cannot_be_completed(anns) -> None:
    todo = Todo.objects.create(user=somebody("Other"), title="secret")

    text = do(anns, f"todos/{todo.pk}/complete")

    assert "no todo of yours" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "query",
    [
        "timezone=Mars/Olympus",
        "from=2026-02-01&to=2026-01-01",
        "from=0001-01-01&to=9999-12-31",
        "to=0001-01-05",
    ],
)
def test_analytics_say_what_cannot_be_shown(anns, query) -> None:
    answer = anns.get(f"/tracker/analytics?{query}")

    assert answer.status_code == 422
    assert 'class="message error"' in answer.content.decode()


@pytest.mark.parametrize("page", ["", "leaderboard", "friends", "search?q=ann&"])
def test_a_cursor_that_nobody_made_is_refused_politely(anns, page) -> None:
    joint = "&" if "?" in page else "?"

    assert anns.get(f"/tracker/{page}{joint}cursor=nonsense").status_code == 422


def test_the_home_page_leads_here(client) -> None:
    assert 'href="/tracker/"' in client.get("/").content.decode()
