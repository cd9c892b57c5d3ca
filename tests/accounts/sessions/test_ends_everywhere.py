"""A session costs no query, and it ends in every process at once, though each remembers it."""

from __future__ import annotations

import psycopg
import pytest

from tests.waiting import eventually

AT_ONCE = 0.9
"""Seconds; the benchmark measures milliseconds, but a machine that runs tests may be busy."""

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


def test_each_process_asks_the_primary_at_most_once_in_a_while(site) -> None:
    [person] = site.people(1)
    site.ask_all(*person.cookies)

    answers = [site.send("GET", "/who", cookie=person.cookies[0]) for _ in range(40)]
    assert {answer.status for answer in answers} == {200}
    # A busy machine may keep a process from hearing the primary for a moment: then it asks.
    assert sum(answer.statements for answer in answers) <= 4


def test_what_one_process_wrote_the_next_one_shows(site) -> None:
    [person] = site.people(1)
    site.ask_all(*person.cookies)
    cookie = person.cookies[0]

    for _ in range(10):
        answer = site.send("POST", "/count", cookie=cookie)
        assert answer.status == 200
        cookie = answer.cookie
    shown = site.run(
        "from accounts.sessions.engine import SessionStore\n"
        f"result = SessionStore({cookie!r})['count']"
    )
    assert shown == 10


class TestOtherCredentials:
    READ = """
from accounts.sessions import ends
moments = globals().setdefault("moments", {{}})
moments[{user!r}] = ends.before_reading()
"""
    ASK = "result = ends.counts_still(moments[{user!r}], {user!r}, 'a-checksum')"

    def counts(self, site, person) -> bool:
        return bool(site.run(self.ASK.format(user=person.id)))

    @pytest.fixture
    def read(self, site, person):
        """Have the process of `run` read a credential of this person."""
        site.run(self.READ.format(user=person.id))
        eventually(lambda: site.run("from accounts.sessions import feed; result = feed.is_live()"))
        site.run(self.READ.format(user=person.id))
        assert self.counts(site, person)
        return person

    @pytest.mark.parametrize("how", ["a password", "a deactivation", "a deletion"])
    def test_end_with_what_happens_to_their_user(self, how, site, read) -> None:
        site.sql(SQL[how][0], read.id)

        eventually(lambda: not self.counts(site, read), seconds=AT_ONCE)

    def test_end_with_what_their_own_trigger_tells(self, site, read) -> None:
        site.sql("SELECT pg_notify('accounts_sessions', 'a-checksum')")

        eventually(lambda: not self.counts(site, read), seconds=AT_ONCE)

    def test_stay_when_others_end(self, site, read) -> None:
        [other] = site.people(1)
        site.sql(SQL["a deletion"][0], other.id)

        assert self.counts(site, read)
