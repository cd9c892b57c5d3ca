"""Servers find a place without changing any that was there, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from devservers.__main__ import main
from devservers.errors import FolderUnusable
from devservers.places import (
    CHECKOUT,
    home_of,
    is_private_folder_of,
    make_socket_folder,
    reachable_by,
    remove_folder,
)
from devservers.processes import ServerUser
from devservers.sets import ServerSet
from devservers.state import read_state

STRANGER = ServerUser(name="stranger", uid=os.getuid() + 4321, gid=os.getgid() + 4321)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="Only root has other accounts to use.")


def modes(*paths: Path) -> dict[Path, tuple[int, int, int]]:
    every = {parent for path in paths for parent in (path.resolve(), *path.resolve().parents)}
    found = {path: path.stat() for path in every if path.exists()}
    return {path: (each.st_mode, each.st_uid, each.st_gid) for path, each in found.items()}


def test_no_existing_folders_mode_or_owner_changes(make_set, checkout):
    existing = modes(
        checkout, CHECKOUT, Path(sys.executable).parent, Path(tempfile.gettempdir()),
        home_of(checkout).folder.parent, Path(os.environ.get("HOME", "/")),
    )  # fmt: skip

    servers = make_set().up()
    state = read_state(servers.folder)
    assert Path(state.sockets).exists()
    servers.down()

    assert modes(*existing) == existing


def test_a_checkout_of_somebody_else_is_refused_with_a_sentence(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("Root may write everywhere.")
    (tmp_path / ".polystore").mkdir(mode=0o500)

    with pytest.raises(FolderUnusable, match="belongs to another user"):
        home_of(tmp_path)


@root_only
def test_root_keeps_data_outside_and_points_at_it(checkout):
    home = home_of(checkout)

    assert home.user is not None
    assert home.user.uid != 0
    assert (checkout / ".polystore" / "root-data").read_text().strip() == str(home.folder)
    assert reachable_by(home.folder, home.user)
    assert not home.folder.is_relative_to(checkout)


@root_only
def test_a_copied_checkout_does_not_share_the_data_of_the_first(checkout, tmp_path):
    copied = tmp_path / "copy"
    (copied / ".polystore").mkdir(parents=True)
    pointer = (checkout / ".polystore" / "root-data").read_text()
    (copied / ".polystore" / "root-data").write_text(pointer)

    home = home_of(copied)

    assert str(home.folder) != pointer.strip()
    remove_folder(home.folder)


@root_only
def test_data_of_root_belongs_to_the_servers_account_and_secrets_do_not(make_set):
    servers = make_set().up(("primary", "redis"))
    uid = servers.home.user.uid

    for name in servers.servers:
        assert (servers.folder / name).stat().st_uid == uid
        assert (servers.folder / name).stat().st_mode & 0o777 == 0o700
        assert Path(f"/proc/{servers.pid(name)}").stat().st_uid == uid
    assert (servers.folder / "state.json").stat().st_uid == 0


def test_socket_folders_are_private_and_short():
    folder = make_socket_folder(None)

    assert is_private_folder_of(folder, None)
    assert len(os.fsencode(folder)) <= 80
    folder.chmod(0o755)
    assert not is_private_folder_of(folder, None)
    remove_folder(folder)
    assert not is_private_folder_of(folder, None)


def test_a_private_home_is_not_reachable_for_others(tmp_path):
    private = tmp_path / "home"
    private.mkdir()
    private.chmod(0o700)

    assert not reachable_by(private, STRANGER)
    assert reachable_by(private, None)
    assert reachable_by(Path("/usr"), STRANGER)


AS_A_USER = """
import json, os, sys
from pathlib import Path
from devservers.sets import ServerSet
from devservers.state import read_state
with ServerSet("mine", throwaway=True).up() as servers:
    state = servers.status()
    folder = str(servers.folder)
    servers.restart("primary")
print(json.dumps({"states": state, "folder": folder, "uid": os.geteuid()}))
"""


def a_python_for(user: ServerUser) -> Path:
    """Return an interpreter of this version that `user` can start, and that finds our packages."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (Path(sys.executable), *(Path(base) / version for base in os.defpath.split(":"))):
        if python.exists() and reachable_by(python, user):
            break
    else:
        pytest.skip("Every Python of this version lies where ordinary users cannot enter.")
    if not reachable_by(Path(sysconfig.get_path("purelib")), user):
        pytest.skip("The packages lie in a private home that ordinary users cannot enter.")
    return python


@root_only
def test_an_ordinary_user_keeps_everything_in_the_checkout(checkout):
    """The same servers from a copy of the checkout, by an account without rights or home."""
    user = home_of(checkout).user
    assert user is not None
    python = a_python_for(user)
    place = Path(tempfile.mkdtemp(prefix="polystore-user-"))
    try:
        for part in ("devservers", "common", "requirements"):
            shutil.copytree(CHECKOUT / part, place / part)
        fetched = home_of(checkout).folder / "programs"
        if fetched.is_dir():
            (place / ".polystore").mkdir(mode=0o700)
            shutil.copytree(fetched, place / ".polystore" / "programs")
        subprocess.run(["chown", "-R", f"{user.uid}:{user.gid}", place], check=True)

        done = subprocess.run(
            [python, "-c", AS_A_USER],
            cwd=place, user=user.uid, group=user.gid, extra_groups=[],
            env={
                "PATH": os.defpath,
                "HOME": "/nonexistent",
                "PYTHONPATH": sysconfig.get_path("purelib"),
            },
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert set(said["states"].values()) == {"up"}
        assert said["uid"] == user.uid
        assert said["folder"].startswith(str(place / ".polystore"))
    finally:
        shutil.rmtree(place)


def test_the_command_line_ups_shows_and_downs_a_set(monkeypatch):
    monkeypatch.delenv("REDIS_URL")
    name = f"by-hand-{os.getpid()}"
    try:
        assert main(["up", "--set", name, "--only", "redis"]) == 0
        assert main(["status", "--set", name]) == 0
        ServerSet(name).attach().kill("redis")
        assert main(["status", "--set", name]) == 1
        assert main(["env", "--set", name]) == 1
    finally:
        assert main(["down", "--set", name, "--delete"]) == 0
    assert main(["status", "--set", name]) == 1
