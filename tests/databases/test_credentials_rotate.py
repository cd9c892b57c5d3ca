"""A password of the site's PostgreSQL role changes while people work, and nobody notices."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from databases.pools import ConfigurationRefused
from databases.url_files import with_files
from devservers.sets import ServerSet
from tests.databases.conftest import VARIABLES
from tests.databases.granted import Browser, Granted, granted, make_operator
from tests.running_site import Site
from tests.waiting import eventually

# The first test makes and migrates six databases.
pytestmark = pytest.mark.timeout(900)
READERS = 4


class Load:
    """People who read their todos, each request on a connection of its own, and one who writes."""

    def __init__(self, site: Site, browser: Browser) -> None:
        """Start them."""
        self.answers: Counter[str] = Counter()
        self._site = site
        self._browser = browser
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(READERS)]
        self._threads.append(threading.Thread(target=self._write))
        for thread in self._threads:
            thread.start()

    def more(self, many: int) -> None:
        """Return when so many more requests were answered, or failed."""
        before = self.answers.total()
        eventually(lambda: self.answers.total() >= before + many, seconds=180)

    def stop(self) -> None:
        """End them."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._over.is_set():
            self._note(lambda: self._ask("GET"))

    def _write(self) -> None:
        while not self._over.is_set():
            self._note(lambda: self._ask("POST"))

    def _ask(self, method: str) -> httpx.Response:
        return httpx.request(
            method,
            self._site.url("/api/todos"),
            json={"title": "While it changes"} if method == "POST" else None,
            cookies=self._cookies,
            headers={"X-CSRFToken": self._browser.csrf},
            timeout=300,  # while workers start, callers wait: they must not fail
        )

    @property
    def _cookies(self) -> dict[str, str]:
        return dict(self._browser.client.cookies)

    def _note(self, ask) -> None:
        try:
            self.answers[str(ask().status_code)] += 1
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1


@pytest.fixture(scope="module")
def roles(servers_of_the_session: ServerSet) -> Iterator[Granted]:
    """Return databases whose role `site` has two members that sign in, in turns."""
    with granted(servers_of_the_session) as made:
        made.grant("site", "first", "second")
        yield made


def write_urls(roles: Granted, folder: Path, login: str) -> dict[str, str]:
    """Replace the files with the URLs, each at once; return the variables that name them."""
    named = {}
    for alias, variable in VARIABLES.items():
        path = folder / alias
        draft = path.with_suffix(".new")
        draft.write_text(roles.url(alias, login), encoding="utf-8")
        draft.replace(path)
        named[f"{variable}_FILE"] = str(path)
    return named


def sessions(roles: Granted, login: str) -> int:
    """Return how many connections a role has to the databases of the site, on every server."""
    found = 0
    for alias in ("default", "compliance"):
        found += roles.installation.sql(
            alias,
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s",
            [roles.name(login)],
        )[0][0]
    return found


def is_gone(roles: Granted, login: str) -> bool:
    """Tell whether nobody is connected as this role any more."""
    return sessions(roles, login) == 0


def test_two_roles_take_turns_and_no_request_fails(roles: Granted, tmp_path: Path) -> None:
    site = roles.site("nobody", **write_urls(roles, tmp_path, "first"))
    password = make_operator(site)
    site.start()
    web = site._processes[-1]
    try:
        browser = Browser(site)
        load = None
        try:
            assert browser.sign_in(password).status_code == 302
            load = Load(site, browser)
            for old, new in (("first", "second"), ("second", "first")):
                load.more(40)
                assert sessions(roles, old)

                # As the guide has it: the one who rests gets a new password, then takes over.
                roles.set_password(new)
                write_urls(roles, tmp_path, new)
                os.kill(web.pid, signal.SIGHUP)
                eventually(partial(sessions, roles, new), seconds=180)
                eventually(partial(is_gone, roles, old), seconds=180)
                load.more(40)
        finally:
            if load is not None:
                load.stop()
            browser.close()
    finally:
        site.stop()

    assert set(load.answers) == {"200", "201"}, load.answers
    gone = roles.url("default", "second")
    roles.set_password("second")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(gone)


class TestAFile:
    def test_stands_for_the_variable(self, tmp_path: Path) -> None:
        file = tmp_path / "url"
        file.write_text("postgresql://a:b@host/name\n", encoding="utf-8")

        found = with_files({"DATABASE_URL_FILE": str(file), "OTHER_FILE": "/nowhere"})

        assert found["DATABASE_URL"] == "postgresql://a:b@host/name"

    @pytest.mark.parametrize("content", [None, "", " \n"])
    def test_that_holds_nothing_is_refused_by_name(
        self, tmp_path: Path, content: str | None
    ) -> None:
        file = tmp_path / "url"
        if content is not None:
            file.write_text(content, encoding="utf-8")

        with pytest.raises(ConfigurationRefused, match=r"^CACHE_DATABASE_URL_FILE names a file"):
            with_files({"CACHE_DATABASE_URL_FILE": str(file)})

    def test_beside_the_variable_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationRefused, match="both set"):
            with_files({"DATABASE_URL": "postgresql://h/n", "DATABASE_URL_FILE": "/x"})
