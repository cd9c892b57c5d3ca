"""Whether an address has an account shows neither in answers nor in the time that they take."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable

import pytest
from django.test import Client

from tests.accounts.conftest import forget_tries
from tests.people import PASSWORD, a_user

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])
ROUNDS = 12
KNOWN, UNKNOWN = "known@example.com", "unknown@example.com"


@pytest.fixture(autouse=True)
def a_hash_that_costs(settings):
    """Hash as production does, and let one device try as often as this test needs."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    plenty = ((10_000, 60), (10_000, 60))
    settings.ACCOUNT_THROTTLES = dict.fromkeys(settings.ACCOUNT_THROTTLES, plenty)
    yield
    forget_tries()


def post(path: str, body: object):
    """Send JSON as a device without a past."""
    return Client().post(f"/api/auth/{path}", body, content_type="application/json")


def sign_in(address: str):
    return post("login", {"email": address, "password": "not-the-password"})


def reset(address: str):
    return post("password/reset", {"email": address})


def resend(address: str):
    return post("verify-email/resend", {"email": address})


def on_the_page(address: str):
    form = {"login": address, "password": "not-the-password"}
    answer = Client().post("/account/login/", form)
    answer.content = answer.content.replace(address.encode(), b"")
    return answer


@pytest.mark.parametrize("ask", [sign_in, reset, resend, on_the_page], ids=lambda ask: ask.__name__)
def test_the_same_answer_in_the_same_order_of_time(ask: Callable[[str], object]) -> None:
    a_user(KNOWN)
    ask(KNOWN)
    took: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    answers = {}
    for _ in range(ROUNDS):
        for address, times in took.items():
            begun = time.perf_counter()
            answers[address] = ask(address)
            times.append(time.perf_counter() - begun)

    known, unknown = (shown(answers[address]) for address in (KNOWN, UNKNOWN))
    assert known == unknown
    # The quickest of each: what others do on the machine only ever adds to it.
    quickest = [min(took[address]) for address in (KNOWN, UNKNOWN)]
    assert max(quickest) < 2 * min(quickest), quickest
    assert statistics.median(took[KNOWN]) < 5 * statistics.median(took[UNKNOWN])


def test_signing_up_takes_the_same_order_of_time_for_a_taken_address() -> None:
    a_user(KNOWN)
    took: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    answers = {}
    for number in range(ROUNDS):
        for address, times in took.items():
            email = address if address == KNOWN else f"{number}-{address}"
            begun = time.perf_counter()
            answers[address] = post("register", {"email": email, "password": PASSWORD})
            times.append(time.perf_counter() - begun)

    assert shown(answers[KNOWN]) == shown(answers[UNKNOWN])
    quickest = [min(took[address]) for address in (KNOWN, UNKNOWN)]
    assert max(quickest) < 2 * min(quickest), quickest


def shown(answer) -> tuple[int, str, bytes]:
    """Return what the caller sees, but what differs each time."""
    text = re.sub(rb'"requestId": "[^"]*"|csrfmiddlewaretoken" value="[^"]*"', b"", answer.content)
    return answer.status_code, answer["Content-Type"], text
