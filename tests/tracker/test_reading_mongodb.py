"""Leaderboard, search and analytics: MongoDB and PostgreSQL give the same answer, at any time."""

from __future__ import annotations

import base64
import datetime as dt
import json
import random
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from outbox import upkeep
from outbox.events import MONGODB
from outbox.models import DeadLetter, OutboxEvent
from outbox.watermark import waiting_since
from tests.homes import databases_of
from tests.people import a_user
from tests.tracker.world import NOW, Caller, deliver, documents, somebody
from tracker.models import PointsDay
from tracker.queries.analytics import analytics, mongodb_has_all_of
from tracker.queries.leaderboard import Period, leaderboard
from tracker.queries.search import SearchTooShort, search_people
from tracker.services import timers, todos
from tracker.services.friends import accept_friendship, block_person, request_friendship
from tracker.services.reports import file_report

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))
DAY = dt.timedelta(days=1)
NAMES = [
    "Zoë Ångström", "zoe angler", "Łukasz Nowak", "Иван Петров", "Jean-Luc O'Hara", "Ann-Marie",
    "ann arbor", "Šárka Nová", "李 小龍", "Émile  Zola", "Zoe Angstrom", "Ann%a_b",
]  # fmt: skip


@pytest.fixture(autouse=True)
def empty(mongodb):
    """Begin without documents."""


@pytest.fixture
def crowd(db):
    """Fourteen users with points, this week and before, many of them equal."""
    chance = random.Random(7)
    people = [somebody(f"Person{number}", chance.choice("AB")) for number in range(14)]
    for person in people:
        for _ in range(chance.randint(0, 3)):
            at = NOW - chance.choice([0, 1, 6, 30]) * DAY
            points = chance.choice([5, 10])
            todos.create_todo(user_id=person.pk, at=at, title="x", points=points, done=True)
    people[3].is_active = False
    people[3].save()
    for other in people[4:8]:
        request_friendship(user_id=people[0].pk, other_id=other.pk, at=NOW)
        accept_friendship(user_id=other.pk, other_id=people[0].pk, at=NOW)
    return people


def in_both_stores(settings, ask):
    """Return what `ask` answers with MongoDB and without it."""
    deliver()
    with_it = ask()
    url, settings.MONGO_URL = settings.MONGO_URL, ""
    without_it = ask()
    settings.MONGO_URL = url
    return with_it, without_it


def walk(user, period, limit):
    """Return every page, forth and back again."""
    pages = [leaderboard(user_id=user.pk, period=period, at=NOW, limit=limit)]
    while pages[-1].next:
        pages.append(
            leaderboard(user_id=user.pk, period=period, at=NOW, limit=limit, cursor=pages[-1].next)
        )
    back = [pages[-1]]
    while back[-1].previous:
        back.append(
            leaderboard(
                user_id=user.pk, period=period, at=NOW, limit=limit, cursor=back[-1].previous
            )
        )
    assert [p.items for p in reversed(back)] == [p.items for p in pages]
    return [place for page in pages for place in page.items], pages[0].me


@pytest.mark.parametrize("period", Period)
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_leaderboard_is_the_same_and_its_ranks_are_right(
    crowd, settings, period, limit
) -> None:
    for person in (crowd[0], crowd[5], crowd[13]):
        shown, again = in_both_stores(settings, lambda p=person: walk(p, period, limit))
        assert shown == again
        items, me = shown
        points = [place.points for place in items]
        assert points == sorted(points, reverse=True)
        assert [place.rank for place in items] == [
            1 + sum(other > one for other in points) for one in points
        ]
        listed = [place for place in items if place.is_me]
        assert listed == ([me] if me.rank else [])
        assert crowd[3].pk not in {place.user_id for place in items}


def test_the_weeks_leaderboard_forgets_last_week_without_an_event(ann, settings) -> None:
    todos.create_todo(user_id=ann.pk, at=NOW, title="x", points=9, done=True)
    other = Caller(somebody("Other")).user
    deliver()

    def names(at):
        page = leaderboard(user_id=other.pk, period=Period.WEEK, at=at)
        return [place.name for place in page.items]

    assert names(NOW) == ["Ann Archer"]
    assert names(NOW + 4 * DAY) == ["Ann Archer"]  # Sunday
    assert names(NOW + 5 * DAY) == []


def test_ones_own_points_are_shown_before_mongodb_has_them(ann, ben) -> None:
    todos.create_todo(user_id=ben.pk, at=NOW, title="x", points=20, done=True)
    deliver()
    todos.create_todo(user_id=ann.pk, at=NOW, title="x", points=30, done=True)

    board = leaderboard(user_id=ann.pk, period=Period.ALL, at=NOW)

    assert [(place.rank, place.name) for place in board.items] == [
        (1, "Ann Archer"),
        (2, "Ben Baker"),
    ]
    assert board.me.rank == 1
    assert documents("users")[str(ann.pk)]["total_points"] == 0


def test_a_page_of_the_leaderboard_survives_points_that_come_meanwhile(crowd) -> None:
    deliver()
    first = leaderboard(user_id=crowd[0].pk, period=Period.ALL, at=NOW, limit=4)
    newcomer = somebody("New")
    todos.create_todo(user_id=newcomer.pk, at=NOW, title="x", points=1_000, done=True)
    deliver()

    second = leaderboard(user_id=crowd[0].pk, period=Period.ALL, at=NOW, limit=4, cursor=first.next)

    assert not {p.user_id for p in first.items} & {p.user_id for p in second.items}
    assert second.items[0].rank is not None
    assert second.items[0].rank > 1


def test_nobody_is_stuck_on_a_page_whose_people_have_gone(crowd) -> None:
    ask = partial(leaderboard, user_id=somebody("Idle").pk, period=Period.ALL, at=NOW, limit=3)
    deliver()
    first = ask()
    second = ask(cursor=first.next)
    seen = [place.user_id for place in second.items]
    for person in crowd:
        if person.pk not in seen:
            person.is_active = False
            person.save()
    deliver()

    empty = ask(cursor=second.previous)
    assert (empty.items, empty.previous) == ([], None)
    back = ask(cursor=empty.next)
    assert [place.user_id for place in back.items] == seen[1:]
    beyond = ask(cursor=second.next)
    assert (beyond.items, beyond.next) == ([], None)
    assert [p.user_id for p in ask(cursor=beyond.previous).items] == seen[:-1]


@pytest.mark.parametrize(
    "text",
    [
        "zo",
        "ZOË ang",
        "nov",
        "иван",
        "小龍 李",
        "o hara",
        "jean-luc",
        "ann",
        "ann%",
        "a%n",
        "nobody",
    ],
)
def test_a_search_is_the_same_and_looks_at_the_beginnings_of_words(ann, settings, text) -> None:
    for name in NAMES:
        first, _, last = name.partition(" ")
        somebody(first, last).save()
    somebody("Zoe", "Inactive", is_active=False)

    def found():
        pages, cursor = [], None
        while True:
            page = search_people(user_id=ann.pk, text=text, cursor=cursor, limit=2)
            pages += [person.name for person in page.items]
            cursor = page.next
            if cursor is None:
                return pages

    with_it, without_it = in_both_stores(settings, found)
    assert with_it == without_it
    expected = {
        "zo": 4, "ZOË ang": 3, "nov": 1, "иван": 1, "小龍 李": 1, "o hara": 1, "jean-luc": 1,
        "ann": 3, "ann%": 1, "a%n": 0, "nobody": 0,
    }  # fmt: skip
    assert len(with_it) == expected[text], with_it


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ΠΕΤΡΟΣ", "Πέτρος"),
        ("Πέτρος", "ΠΕΤΡΟΣ"),
        ("ΟΔΟΣ", "ΟΔΟΣ"),
        ("Οδος", "οδοσ"),
        ("İpek", "ipek"),
        *((f"Ann{apart}Baker", "baker") for apart in "\n\r\x1c\x85\u1680\u2028"),
    ],
)
def test_capitals_and_odd_blanks_hide_nobody_in_either_store(ann, settings, name, text) -> None:
    a_user("sought@example.com", first_name=name)

    found = in_both_stores(
        settings, lambda: [one.name for one in search_people(user_id=ann.pk, text=text).items]
    )

    assert found == ([name], [name])


@pytest.mark.parametrize("letters", ["Жд", "李小", "😀x"])
def test_pages_go_on_behind_the_longest_names(as_ann, letters) -> None:
    for number in range(3):
        a_user(f"{number}@example.com", first_name=letters * 75, last_name=letters * 75)
    deliver()
    path, seen = "/api/users/search", 0
    page = as_ann("GET", path, q=letters, limit=1).json()
    while page["next"]:
        seen += len(page["items"])
        page = as_ann("GET", path, q=letters, limit=1, cursor=page["next"]).json()

    assert seen + len(page["items"]) == 3


def test_a_cursor_that_no_store_can_read_is_refused(as_ann) -> None:
    key = [">", "\ud800", str(as_ann.user.pk)]
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")

    for path in ("/api/users/search", "/tracker/search"):
        assert as_ann("GET", path, q="ann", cursor=cursor).status_code == 422


def test_nobody_is_found_by_address_nor_who_blocks_or_is_blocked(ann, ben, settings) -> None:
    somebody("Cara", "Cook")
    block_person(user_id=ben.pk, other_id=ann.pk, at=NOW)

    def names(user, text):
        return [person.name for person in search_people(user_id=user.pk, text=text).items]

    with_it, without_it = in_both_stores(
        settings,
        lambda: [
            names(ann, "ben"),
            names(ben, "ann"),
            names(ann, "cara"),
            names(ann, "example"),
            names(ann, "cara.cook@example.com"),
        ],
    )
    assert with_it == without_it == [[], [], ["Cara Cook"], [], []]
    with pytest.raises(SearchTooShort):
        search_people(user_id=ann.pk, text=" a -b ")


ZONES = ["UTC", "Pacific/Kiritimati", "America/St_Johns", "Europe/Vienna", "America/Havana"]


@pytest.mark.parametrize("zone", ZONES)
def test_analytics_are_the_same_in_every_zone(ann, ben, settings, zone) -> None:
    chance = random.Random(zone)
    for who in (ann, ben):
        for _ in range(30):
            at = NOW - chance.random() * 20 * DAY
            todos.create_todo(
                user_id=who.pk, at=at, title="x", points=chance.randint(0, 9), done=True
            )
        clock = NOW - 15 * DAY
        for _ in range(6):
            timer = timers.start_timer(user_id=who.pk, at=clock)
            for verb in chance.choice([["stop"], ["pause", "resume", "stop"], ["pause", "stop"]]):
                clock += chance.random() * 1.5 * DAY
                getattr(timers, f"{verb}_timer")(user_id=who.pk, timer_id=timer.pk, at=clock)
        timers.start_timer(user_id=who.pk, at=clock)
        for back in range(0, 12, 3):
            file_report(
                user_id=who.pk,
                day=(NOW - back * DAY).date(),
                hours=Decimal("7.25"),
                mood=chance.choice([None, 1, 4]),
                at=NOW,
            )

    def ask():
        return analytics(
            user_id=ann.pk,
            first=(NOW - 18 * DAY).date(),
            last=(NOW + DAY).date(),
            timezone=zone,
            at=NOW + DAY / 7,
        )

    with_it, without_it = in_both_stores(settings, ask)
    assert with_it == without_it
    assert with_it.totals.points == sum(day.points for day in with_it.days) > 0
    assert with_it.totals.hours_tracked > 24
    assert all(day.hours_tracked <= 25 for day in with_it.days)


def test_hours_are_cut_at_the_users_own_midnight_also_when_clocks_change(ann) -> None:
    # In Vienna 29 March 2026 has 23 hours.
    timer = timers.start_timer(user_id=ann.pk, at=dt.datetime(2026, 3, 28, 22, tzinfo=dt.UTC))
    timers.stop_timer(
        user_id=ann.pk, timer_id=timer.pk, at=dt.datetime(2026, 3, 30, 0, tzinfo=dt.UTC)
    )

    found = analytics(
        user_id=ann.pk,
        first=dt.date(2026, 3, 28),
        last=dt.date(2026, 3, 30),
        timezone="Europe/Vienna",
        at=NOW,
    )

    assert [day.hours_tracked for day in found.days] == [1.0, 23.0, 2.0]


def test_ones_own_figures_are_never_late(ann, as_ann) -> None:
    """Before, while and after MongoDB gets what the caller wrote."""
    deliver()
    today = timezone.now().date().isoformat()

    def completed() -> int:
        answer = as_ann("GET", "/api/reports/analytics", to=today, timezone="UTC").json()
        return answer["totals"]["todosCompleted"]

    for number in range(1, 4):
        as_ann("POST", "/api/todos", {"title": "x", "done": True})
        assert completed() == number
        assert not mongodb_has_all_of(user_id=ann.pk)
        deliver()
        assert mongodb_has_all_of(user_id=ann.pk)
        assert completed() == number


def test_figures_do_not_miss_what_mongodb_was_given_up_for(ann) -> None:
    todo = todos.create_todo(user_id=ann.pk, at=NOW, title="x", points=7, done=True)
    waiting = OutboxEvent.objects.filter(aggregate_id=str(todo.pk), sink=MONGODB)
    for event in waiting.values(
        *("id", "sink", "aggregate_type", "aggregate_id", "type", "schema", "created_at")
    ):
        DeadLetter.objects.create(**event, attempts=8, kind="KeyError", reason="Tried 8 times.")
    waiting.delete()
    deliver()
    assert str(todo.pk) not in documents("todos")

    day = NOW.date()
    found = analytics(user_id=ann.pk, first=day, last=day, timezone="UTC", at=NOW)

    assert found.totals.points == 7
    assert not mongodb_has_all_of(user_id=ann.pk)
    upkeep.replay(upkeep.dead_letters())
    deliver()
    assert mongodb_has_all_of(user_id=ann.pk)


def test_what_others_wrote_keeps_nobody_from_mongodb(ann, ben) -> None:
    todos.create_todo(user_id=ann.pk, at=NOW, title="x")
    deliver()
    assert waiting_since(MONGODB) is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tracker_standing SET wrote_at = now() - interval '2 minutes'")
    todos.create_todo(user_id=ben.pk, at=NOW, title="x")

    assert mongodb_has_all_of(user_id=ann.pk)
    assert not mongodb_has_all_of(user_id=ben.pk)


def test_documents_hold_what_rows_hold_and_go_with_them(ann, ben) -> None:
    todo = todos.create_todo(user_id=ann.pk, at=NOW, title="Write", tags=["a"], done=True, points=7)
    timer = timers.start_timer(user_id=ann.pk, at=NOW)
    friendship = request_friendship(user_id=ann.pk, other_id=ben.pk, at=NOW)
    report = file_report(user_id=ann.pk, day=NOW.date(), hours=Decimal("1.5"), at=NOW).report
    deliver()

    shown = documents("todos")[str(todo.pk)]
    assert (shown["title"], shown["tags"], shown["completed_at"]) == ("Write", ["a"], NOW)
    assert documents("timers")[str(timer.pk)]["intervals"] == [
        {"started_at": NOW, "ended_at": None}
    ]
    assert documents("friendships")[str(friendship.pk)]["status"] == "pending"
    assert documents("daily_reports")[str(report.pk)]["hours"] == 1.5
    user = documents("users")[str(ann.pk)]
    assert (user["total_points"], user["week_start"], user["week_points"]) == (7, "2026-03-16", 7)
    assert "email" not in user

    ann.delete()
    deliver()
    assert all(not documents(name) for name in ("todos", "timers", "friendships", "daily_reports"))
    assert set(documents("users")) == {str(ben.pk)}
    assert not PointsDay.objects.exists()
