"""Migrations of accounts: one after the other, and over the rows of an older installation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from common.ids import uuid7
from devservers.sets import ServerSet
from tests.databases.conftest import Installation

PEOPLE = {
    # address: is_active, is_staff, is_superuser
    "root@example.com": (True, True, True),
    "Closed.Account@Example.com": (False, False, False),
    "member@example.com": (True, False, False),
}
PASSWORD = "the-password-of-before"
HASH = """
import django; django.setup()
from django.contrib.auth.hashers import make_password
print(make_password({password!r}))
"""
SIGN_IN = """
import django; django.setup()
from django.contrib.auth import authenticate
print([bool(authenticate(username=name, password={password!r})) for name in {people!r}])
"""
ADD = """
INSERT INTO accounts_user
    (id, email, password, is_active, is_staff, is_superuser, first_name, last_name)
VALUES (%s, %s, %s, %s, %s, %s, '', '')
"""

EVENTS = "SELECT event_type FROM outbox_outboxevent WHERE sink = 'compliance'"


@pytest.mark.django_db
def test_each_follows_one_other() -> None:
    graph = MigrationLoader(connection).graph
    ours = [key for key in graph.nodes if key[0] == "accounts"]

    assert len(graph.leaf_nodes("accounts")) == 1
    for key in ours:
        before = [node.key for node in graph.node_map[key].parents if node.key[0] == "accounts"]
        after = [node.key for node in graph.node_map[key].children if node.key[0] == "accounts"]
        assert len(before) <= 1, key
        assert len(after) <= 1, key
    assert sum(not graph.node_map[key].parents & set(ours) for key in ours) == 1


@pytest.fixture
def installation(servers_of_the_session: ServerSet) -> Iterator[Installation]:
    """Return one database as it was before there were sessions, tokens and roles."""
    made = Installation(servers_of_the_session)
    try:
        made.add("default")
        done = made.manage("migrate", "accounts", "0003")
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.drop()


@pytest.mark.timeout(600)
def test_an_older_installation_keeps_its_people(installation: Installation) -> None:
    assert not {"accounts_session", "accounts_client"} & installation.tables("default")
    hashed = installation.manage("shell", "-c", HASH.format(password=PASSWORD)).stdout.split()[-1]
    for address, rights in PEOPLE.items():
        installation.sql("default", ADD, [uuid7(), address, hashed, *rights])

    done = installation.manage("migrate_all")

    assert done.returncode == 0, done.stderr
    found = installation.sql(
        "default", "SELECT email, is_active, is_staff, is_superuser FROM accounts_user"
    )
    # A migration of allauth's writes addresses in small letters.
    kept = {address.lower(): rights for address, rights in PEOPLE.items()}
    assert {address: tuple(rights) for address, *rights in found} == kept
    for address in PEOPLE:
        held = json.loads(installation.manage("role", "list", address, "--json").stdout)
        assert held["roles"] == ["member"], address
    asked = SIGN_IN.format(password=PASSWORD, people=list(PEOPLE))
    said = installation.manage("shell", "-c", asked).stdout
    assert said.split("\n")[-2] == "[True, False, True]"
    # What the migrations made, works on the old rows, too.
    given = installation.manage("role", "give", "member@example.com", "analyst")
    assert given.returncode == 0, given.stderr
    assert installation.sql("default", "DELETE FROM accounts_user RETURNING true") == [(True,)] * 3
    kinds = {kind for (kind,) in installation.sql("default", EVENTS)}
    assert {"user.role_given", "user.row_deleted"} <= kinds
