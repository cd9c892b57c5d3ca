"""Databases in which every PostgreSQL role of the site has what `grant_sql` says, and no more."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from devservers.sets import ServerSet
from tests import secrets_watch
from tests.databases.conftest import VARIABLES, Installation
from tests.running_site import Site

OPERATOR = "root@example.com"


@dataclass
class Granted:
    """An installation whose roles have names that must be quoted, and passwords."""

    installation: Installation
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    passwords: dict[str, str] = field(default_factory=dict)

    def name(self, role: str) -> str:
        """Return the PostgreSQL name of a role, one that only works when it is quoted rightly."""
        return f"Po\"ly's {role} {self.mark}"

    def sql_of(self, role: str, *arguments: str) -> list[dict[str, Any]]:
        """Return what grant_sql says, by database."""
        found = self.installation.report(
            "grant_sql", role, "--name", self.name(role), "--owner", self.name("owner"), *arguments
        )
        databases: list[dict[str, Any]] = found["databases"]
        return databases

    def grant(self, role: str, *logins: str) -> None:
        """Apply it as superuser, and give whoever signs in a password."""
        members = [part for login in logins for part in ("--login", self.name(login))]
        for each in self.sql_of(role, *members):
            for statement in each["statements"]:
                self.installation.sql(each["alias"], statement)
        for login in logins or (role,):
            self.set_password(login)

    def set_password(self, role: str) -> None:
        """Give a role a new password, on every server."""
        self.passwords[role] = f"p@ss/{secrets.token_hex(12)}"
        secrets_watch.used(self.passwords[role], quote(self.passwords[role], safe=""))
        for alias in {"default", *list(self.installation.names)[-1:]}:
            self.installation.sql(
                alias,
                SQL("ALTER ROLE {} PASSWORD {}").format(
                    Identifier(self.name(role)), Literal(self.passwords[role])
                ),
            )

    def url(self, alias: str, role: str) -> str:
        """Return the URL of a database as this role, over TCP, where passwords count."""
        server = self.installation._server_of(alias)
        found = urlsplit(self.installation.servers.url_of_database(server, "postgres", tcp=True))
        return self._as(role, found.netloc, self.installation.names[alias])

    def replica_url(self, role: str) -> str:
        """Return the URL of the replica as this role."""
        found = urlsplit(self.installation.servers.url_of("replica", tcp=True))
        return self._as(role, found.netloc, self.installation.names["default"])

    def _as(self, role: str, netloc: str, database: str) -> str:
        user, password = quote(self.name(role), safe=""), quote(self.passwords[role], safe="")
        place = f"{user}:{password}@{netloc.rpartition('@')[2]}"
        return urlunsplit(("postgresql", place, f"/{database}", "", ""))

    def environment(self, role: str) -> dict[str, str]:
        """Return the variables by which a site meets its databases as this role."""
        return {VARIABLES[alias]: self.url(alias, role) for alias in self.installation.names}

    def site(self, role: str, **more: str) -> Site:
        """Return a site, not yet started, on stores that no other test looks into."""
        servers = self.installation.servers.environment()
        return Site(
            {
                "REDIS_URL": _database(servers["REDIS_URL"], "9"),
                "MONGO_URL": _database(servers["MONGO_URL"], f"granted_{self.mark}"),
                "POSTGRES_BIN_DIR": servers.get("POSTGRES_BIN_DIR", ""),
            }
            | (self.environment(role) if role in self.passwords else {})
            | more
        )

    @contextmanager
    def connected(self, alias: str, role: str) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection as this role, in autocommit."""
        with psycopg.connect(self.url(alias, role), autocommit=True) as connection:
            yield connection

    def drop(self) -> None:
        """Drop databases and roles."""
        servers = {self.installation._server_of(alias) for alias in self.installation.names}
        self.installation.drop()
        for server in servers:
            url = self.installation.servers.url_of_database(server, "postgres")
            with psycopg.connect(url, autocommit=True) as connection:
                found = connection.execute(
                    "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", [f"%{self.mark}"]
                ).fetchall()
                for (name,) in found:
                    connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@contextmanager
def granted(servers: ServerSet) -> Iterator[Granted]:
    """Make databases, owned and migrated by the owner, and the roles `site` and `reports`."""
    made = Granted(Installation(servers))
    try:
        for alias in VARIABLES:
            made.installation.add(alias)
        made.grant("owner")
        made.site("owner").manage("migrate_all")
        # Again, now that there are tables; the owner has them already.
        made.grant("owner")
        made.grant("site")
        made.grant("reports")
        yield made
    finally:
        made.drop()


class Browser:
    """Somebody who signs in to the admin of a running site, by its pages."""

    def __init__(self, site: Site) -> None:
        """Open the page to sign in."""
        self.client = httpx.Client(base_url=site.url(""), timeout=30)
        assert self.client.get("/admin/login/").status_code == 200

    def close(self) -> None:
        """Close the browser."""
        self.client.close()

    def sign_in(self, password: str) -> httpx.Response:
        """Send the form."""
        typed = {"username": OPERATOR, "password": password, "csrfmiddlewaretoken": self.csrf}
        return self.client.post("/admin/login/", data=typed, headers={"Referer": self.here})

    @property
    def csrf(self) -> str:
        """Return the token that a form or a script sends."""
        return str(self.client.cookies["csrftoken"])

    @property
    def here(self) -> str:
        """Return the address of the site."""
        return str(self.client.base_url)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send JSON."""
        return self.client.post(path, json=body, headers={"X-CSRFToken": self.csrf})


def make_operator(site: Site) -> str:
    """Create a superuser by the site's own command; return the password."""
    password = secrets.token_urlsafe(16)
    secrets_watch.used(password)
    site.manage(
        "createsuperuser", "--noinput", f"--email={OPERATOR}", DJANGO_SUPERUSER_PASSWORD=password
    )
    return password


def _database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
