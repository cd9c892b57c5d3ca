"""Lists page by key, in both directions, without losing or repeating a row."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.contenttypes.models import ContentType

from accounts.models import User
from common.pagination import CursorInvalid, decode_cursor, encode_cursor, page_of

BY = ("date_joined", "id")
START = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)

pytestmark = pytest.mark.django_db(databases=["default"])


@pytest.fixture
def users():
    """Make twelve users; three of each share their time, which differs by microseconds."""
    for number in range(12):
        user = User.objects.create_user(email=f"{number}@example.org")
        joined = START + timedelta(microseconds=number // 3)
        User.objects.filter(pk=user.pk).update(date_joined=joined)
    return list(User.objects.order_by("-date_joined", "-id").values_list("email", flat=True))


def addresses(page):
    return [user.email for user in page.items]


def walk(start, step, *, limit, newest_first=True):
    pages, cursor = [], start
    while True:
        page = page_of(
            User.objects.all(), cursor=cursor, limit=limit, by=BY, newest_first=newest_first
        )
        pages.append(page)
        cursor = getattr(page, step)
        if cursor is None:
            return pages


@pytest.mark.parametrize("limit", [1, 4, 5, 12, 200])
@pytest.mark.parametrize("newest_first", [True, False])
def test_forward_every_row_comes_once_and_in_order(users, limit, newest_first):
    pages = walk(None, "next", limit=limit, newest_first=newest_first)

    expected = users if newest_first else users[::-1]
    assert [email for page in pages for email in addresses(page)] == expected
    assert pages[0].previous is None


@pytest.mark.parametrize("limit", [1, 4, 5])
def test_backward_the_same_pages_return(users, limit):
    last = walk(None, "next", limit=limit)[-1]

    back = walk(last.previous, "previous", limit=limit)

    before_last = users[: len(users) - len(last.items)]
    assert [email for page in reversed(back) for email in addresses(page)] == before_last


def test_a_page_is_one_query(users, django_assert_num_queries):
    first = page_of(User.objects.all(), limit=5, by=BY)

    with django_assert_num_queries(1):
        page_of(User.objects.all(), limit=5, by=BY, cursor=first.next)


def test_a_row_that_came_meanwhile_moves_nothing(users):
    first = page_of(User.objects.all(), limit=5, by=BY)
    User.objects.create_user(email="new@example.org")

    second = page_of(User.objects.all(), limit=5, by=BY, cursor=first.next)

    assert addresses(second) == users[5:10]


@pytest.mark.parametrize(("step", "other"), [("previous", "next"), ("next", "previous")])
def test_nobody_is_stuck_where_rows_are_gone(users, step, other):
    first = page_of(User.objects.all(), limit=4, by=BY)
    middle = page_of(User.objects.all(), limit=4, by=BY, cursor=first.next)
    User.objects.exclude(email__in=addresses(middle)).delete()

    empty = page_of(User.objects.all(), limit=4, by=BY, cursor=getattr(middle, step))
    assert (empty.items, getattr(empty, step)) == ([], None)
    back = page_of(User.objects.all(), limit=4, by=BY, cursor=getattr(empty, other))

    # Without the row from which one left, which one has seen.
    seen = addresses(middle)
    assert addresses(back) == (seen[1:] if step == "previous" else seen[:-1])


def test_an_empty_list_has_no_cursors():
    page = page_of(User.objects.all(), by=BY)

    assert (page.items, page.next, page.previous) == ([], None, None)


@pytest.mark.parametrize("limit", [-1, 0])
def test_a_limit_below_one_is_one(users, limit):
    assert len(page_of(User.objects.all(), limit=limit, by=BY).items) == 1


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "€",
        "A" * 1001,
        encode_cursor(decode_cursor(base64.urlsafe_b64encode(b'[">",1]').decode(), length=1)),
        base64.urlsafe_b64encode(json.dumps([">", "no date", "no id"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps([">", None, None]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["?", "2026-01-01", "x"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps({"a": 1}).encode()).decode(),
        base64.urlsafe_b64encode(b"[" * 600).decode(),
    ],
)
def test_a_cursor_that_this_list_did_not_make_is_refused(users, cursor):
    with pytest.raises(CursorInvalid):
        page_of(User.objects.all(), by=BY, cursor=cursor)


def test_a_cursor_of_whole_numbers_works_too():
    ContentType.objects.get_or_create(app_label="a", model="b")
    first = page_of(ContentType.objects.all(), by=("id",), limit=2)

    second = page_of(ContentType.objects.all(), by=("id",), limit=2, cursor=first.next)

    assert not {row.pk for row in first.items} & {row.pk for row in second.items}
