"""The watch over the suite's log lines and error pages finds what it is there for."""

from __future__ import annotations

import io
import logging

import pytest
from django.test import Client

from tests import secrets_watch
from tests.people import PASSWORD, a_user

SECRET = "nobody-may-read-this-word"
logger = logging.getLogger("polystore.tests")


def leaks_of(act) -> list[str]:
    """Return what the watch says of an act, and have it forget it."""
    with pytest.raises(AssertionError) as caught, secrets_watch.watching():
        act()
    secrets_watch.watch.begin()
    assert SECRET not in str(caught.value)
    return [str(caught.value)]


@pytest.fixture(autouse=True)
def known():
    """Make the word a secret for these tests alone."""
    secrets_watch.used(SECRET)
    yield
    secrets_watch.watch.always.discard(SECRET)
    secrets_watch.watch.begin()


def test_a_line_that_holds_a_secret_is_found() -> None:
    assert leaks_of(lambda: logger.warning("It is %s.", SECRET))


def test_an_extra_and_an_exception_are_found() -> None:
    def fail() -> None:
        try:
            raise ValueError(SECRET)
        except ValueError:
            logger.exception("failed")

    assert leaks_of(fail)
    assert leaks_of(lambda: logger.warning("event", extra={"value": SECRET}))


def test_a_hash_is_found() -> None:
    assert leaks_of(lambda: logger.warning("argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA"))


def test_what_the_formatter_masks_is_no_leak() -> None:
    with secrets_watch.watching():
        logger.warning("event", extra={"password": SECRET})
        logger.warning("postgresql://user:%s@host/name", SECRET)


@pytest.mark.django_db(databases=["default"])
def test_a_password_that_somebody_types_is_learnt() -> None:
    a_user("ada@example.com")
    typed = "typed-by-mistake-elsewhere"

    with secrets_watch.watching():
        Client().post("/admin/login/", {"username": "ada@example.com", "password": typed})
        assert typed in secrets_watch.watch.secrets

    assert PASSWORD in secrets_watch.watch.always


def test_a_file_of_a_running_site_is_read() -> None:
    file = io.BytesIO(f"first\nit is {SECRET}\n".encode())

    assert secrets_watch.watch.leaks((line.decode() for line in file), {SECRET})
