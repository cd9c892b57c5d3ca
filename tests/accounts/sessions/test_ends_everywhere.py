"""However a session ends, it ends in every process at once, though each remembers it."""

from __future__ import annotations

import psycopg
import pytest

AT_ONCE = 0.5
"""Seconds; the benchmark measures milliseconds, this machine may be busy."""

SHELL = {
    "sign-out": """
from accounts.sessions.engine import SessionStore
SessionStore({cookie!r}).flush()
""",
    "the API": """
from accounts.sessions import services
from accounts.models import Session, User
services.end_other_sessions(user_id=User.objects.get(pk={user!r}).pk, keep=None)
""",
    "a saved password": """
from accounts.models import User
user = User.objects.get(pk={user!r}); user.set_password("second-password"); user.save()
""",
    "the service": """
from django.utils import timezone
from accounts import services
from accounts.models import User
services.deactivate_users(users=User.objects.filter(pk={user!r}), at=timezone.now())
""",
    "update()": """
from accounts.models import User
User.objects.filter(pk={user!r}).update(password="!")
""",
    "delete()": """
from accounts.models import User
User.objects.get(pk={user!r}).delete()
""",
}
SQL = {
    "a password": ("UPDATE accounts_user SET password = '!' WHERE id = %s", "id"),
    "a deactivation": ("UPDATE accounts_user SET is_active = false WHERE id = %s", "id"),
    "a deletion": ("DELETE FROM accounts_user WHERE id = %s", "id"),
    "its row": ("DELETE FROM accounts_session WHERE user_id = %s", "id"),
    "its expiry": ("UPDATE accounts_session SET expires_at = now() WHERE user_id = %s", "id"),
}


@pytest.fixture
def site(session_site):
    """Return the site whose processes remember sessions."""
    return session_site


@pytest.fixture
def person(site):
    """Return somebody whose two sessions every process remembers."""
    [found] = site.people(1, devices=2)
    assert site.ask_all(*found.cookies) == {200}
    return found


@pytest.mark.parametrize("how", SQL)
def test_plain_sql(site, person, how: str) -> None:
    [bystander] = site.people(1)
    assert site.ask_all(*bystander.cookies) == {200}

    site.sql(SQL[how][0], person.id)
    assert site.accepted_for(*person.cookies) < AT_ONCE
    assert site.ask_all(*bystander.cookies) == {200}


@pytest.mark.parametrize("how", SHELL)
def test_another_process(site, person, how: str) -> None:
    cookie = person.cookies[0]

    site.run(SHELL[how].format(cookie=cookie, user=person.id))
    assert site.accepted_for(cookie) < AT_ONCE
    others = site.ask_all(*person.cookies[1:])
    assert others == ({200} if how == "sign-out" else {401})


def test_a_transaction_that_is_rolled_back_ends_nothing(site, person) -> None:
    with psycopg.connect(site.database_url) as connection:
        connection.execute(b"DELETE FROM accounts_session")
        connection.rollback()

    assert site.ask_all(*person.cookies) == {200}


def test_a_truncated_table_ends_all(site, person) -> None:
    site.sql("CREATE TABLE kept AS SELECT * FROM accounts_session")
    site.sql("TRUNCATE accounts_session")

    assert site.accepted_for(*person.cookies) < AT_ONCE
    site.sql("INSERT INTO accounts_session SELECT * FROM kept")
    site.sql("DROP TABLE kept")
    assert site.ask_all(*person.cookies) == {200}
