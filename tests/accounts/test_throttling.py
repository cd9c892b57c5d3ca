"""Limits: tries at the same time count, networks count as one, and nobody's address is kept."""

from __future__ import annotations

import threading

import pytest
from django.test import Client

from accounts import events
from accounts.throttling import Rule, TooManyAttempts, spend
from accounts.throttling.counting import MOST_IN_MEMORY, Counter, Memory
from databases.stores import redis
from tests.people import a_superuser

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])
ADDRESS = "ada@example.com"


def passes(client: str, account: str = "") -> bool:
    """Tell whether a sign-in may be tried."""
    try:
        spend(Rule.SIGN_IN, client=client, account=account)
    except TooManyAttempts:
        return False
    return True


def test_tries_at_the_same_time_all_count() -> None:
    barrier, passed = threading.Barrier(25), []

    def attempt(number: int) -> None:
        barrier.wait()
        passed.append(passes(f"192.0.2.{number}", ADDRESS))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert passed.count(True) == 10


def test_addresses_of_one_network_of_ipv6_count_as_one() -> None:
    assert all(passes(f"2001:db8:0:1::{number:x}") for number in range(30))

    assert not passes("2001:db8:0:1:ffff::1")
    assert passes("2001:db8:0:2::1")


def test_capital_letters_make_no_other_account() -> None:
    assert all(passes(f"192.0.2.{number}", ADDRESS) for number in range(10))

    assert not passes("192.0.2.99", ADDRESS.upper())


@pytest.mark.parametrize(
    "typed",
    [
        "  irina@example.com ",
        "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}rina@example.com",  # i in PostgreSQL
        "\N{FULLWIDTH LATIN SMALL LETTER I}rina@example.com",  # i in the admin
        "\N{NO-BREAK SPACE}irina@example.com",
    ],
)
def test_nor_does_another_way_to_write_the_same_address(typed) -> None:
    assert all(passes(f"192.0.2.{number}", "irina@example.com") for number in range(10))

    assert not passes("192.0.2.99", typed)


def test_nor_do_blanks_before_the_address_at_the_door_of_the_admin() -> None:
    root = a_superuser()
    statuses = [
        Client()
        .post(
            "/admin/login/",
            {"username": " " * blanks + root.email, "password": "wrong"},
            REMOTE_ADDR=f"192.0.2.{number}",
        )
        .status_code
        for number, blanks in enumerate([0] * 5 + [320])
    ]

    assert statuses == [200] * 5 + [429]


def test_what_is_given_back_may_be_tried_again() -> None:
    for _ in range(20):
        spend(Rule.SIGN_IN, client="192.0.2.1", account=ADDRESS).give_back()

    assert passes("192.0.2.1", ADDRESS)


def test_redis_holds_no_address_and_forgets() -> None:
    passes("192.0.2.77", ADDRESS)
    keys = list(redis.client().scan_iter("polystore:throttle:*"))

    assert len(keys) == 2
    assert not any(word in str(keys) for word in ("192.0.2.77", "ada", "example"))
    assert all(0 < redis.client().pttl(key) <= 300_000 for key in keys)


def test_a_limit_that_is_reached_is_told_once(heard) -> None:
    for _ in range(15):
        passes("192.0.2.1", ADDRESS)

    (told,) = heard(events.THROTTLED)
    assert (told.payload["kind"], told.payload["client"]) == ("sign_in", "192.0.2.1")
    assert ADDRESS not in str(told.payload)


def test_a_process_alone_forgets_the_oldest_first() -> None:
    memory = Memory()
    for number in range(MOST_IN_MEMORY + 5):
        memory.count([Counter(key=str(number), seconds=60)])

    assert memory.count([Counter(key="0", seconds=60)])[0].times == 1
    assert memory.count([Counter(key=str(MOST_IN_MEMORY), seconds=60)])[0].times == 2
