"""Somebody whose account goes while they write: told so, not that we failed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections, transaction

from accounts.models import User
from tests.people import PASSWORD, signed_in
from tests.tracker.world import Caller, somebody
from tests.waiting import eventually, somebody_waits_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/todos", {"title": "x"}, 409),
        ("POST", "/api/todos", {"title": "x", "done": True}, 409),
        ("PUT", "/api/reports/daily/2026-03-18", {"hours": 1}, 409),
        ("PATCH", "/api/users/me", {"firstName": "x"}, 404),
        ("POST", "/api/auth/tokens", {"name": "x", "scopes": ["tracker"], "days": 1}, 401),
    ],
)
def test_whose_account_goes_while_they_write_is_told_so(method, path, body, status) -> None:
    person, answers = somebody("Ann"), []
    caller = Caller(person)

    def write() -> None:
        try:
            answers.append(caller(method, path, body))
        finally:
            connections.close_all()

    _while_the_account_goes(person, write)

    (answer,) = answers
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")


def test_on_a_page_reads_what_happened() -> None:
    person, answers = somebody("Ann"), []
    browser = signed_in(person)

    def write() -> None:
        try:
            form = {"address": "new@example.com", "password": PASSWORD}
            answers.append(browser.post("/account/email/", form))
        finally:
            connections.close_all()

    _while_the_account_goes(person, write)

    (answer,) = answers
    assert answer.status_code == 404
    assert "No such user" in answer.content.decode()


def _while_the_account_goes(person: User, write: Any) -> None:
    """Call `write` in a thread, and delete the user while it waits for their row."""
    thread = threading.Thread(target=write)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM accounts_user WHERE id = %s", [person.pk])
        thread.start()
        eventually(somebody_waits_for_a_lock)
    thread.join()
