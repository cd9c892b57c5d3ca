"""Where the servers of a checkout keep data and sockets, as an ordinary user and as root.

No mode of a folder that existed before is ever changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devservers.errors import FolderUnusable
from devservers.processes import ServerUser

CHECKOUT = Path(__file__).resolve().parent.parent
POINTER = "root-data"
SERVER_ACCOUNTS = ("postgres", "daemon", "nobody")
LONGEST_SOCKET_FOLDER = 80
"""Bytes; a socket's whole path may have 107, and the name in it takes up to 25."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder of one checkout in which sets, templates and fetched programs live."""

    folder: Path
    user: ServerUser | None
    """Whom servers run as; None: as the caller."""

    @property
    def sets(self) -> Path:
        """Return the folder with one folder for each set."""
        return self.folder / "sets"


def private_folder_of(checkout: Path | None = None) -> Path:
    """Return `.polystore` of the checkout (made for its owner alone when it is new)."""
    folder = (checkout or CHECKOUT) / ".polystore"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise FolderUnusable(
            f"{folder} cannot be made ({error.strerror}): the checkout must be writable."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        owner = folder.stat().st_uid
        raise FolderUnusable(
            f"{folder} belongs to another user (uid {owner}), who started the servers here "
            "before: remove it, or use a checkout of your own."
        )
    return folder


def home_of(checkout: Path | None = None) -> Home:
    """Find or make the home of the servers of a checkout.

    :raises FolderUnusable: when no folder can be used.
    """
    private = private_folder_of(checkout)
    if os.geteuid() != 0:
        return Home(folder=private, user=None)
    user = _server_user()
    return Home(folder=_folder_for_root(private, user), user=user)


def _server_user() -> ServerUser:
    for name in SERVER_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise FolderUnusable(
        "Root may not run PostgreSQL, and none of the accounts "
        f"{', '.join(SERVER_ACCOUNTS)} exists to run it under: start as an ordinary user."
    )


def _folder_for_root(private: Path, user: ServerUser) -> Path:
    """Return the folder outside private homes that `.polystore/root-data` points at."""
    pointer = private / POINTER
    if pointer.is_file():
        kept = Path(pointer.read_text(encoding="utf-8").strip())
        if _belongs_to(kept, private):
            return kept
    name = "polystore-" + hashlib.sha256(str(private).encode()).hexdigest()[:8]
    for base in map(Path, ("/var/lib", "/var/tmp", "/tmp", "/dev/shm")):  # noqa: S108
        folder = base / name
        if not (base.is_dir() and os.access(base, os.W_OK) and reachable_by(base, user)):
            continue
        try:
            make_folder(folder, user=None, mode=0o711)
            (folder / "checkout").write_text(f"{private}\n", encoding="utf-8")
        except FileExistsError:
            if not _belongs_to(folder, private):
                continue
        except OSError:
            continue
        pointer.write_text(f"{folder}\n", encoding="utf-8")
        return folder
    raise FolderUnusable(
        f"No folder outside private homes is writable and open to the account {user.name}: "
        "start as an ordinary user."
    )


def _belongs_to(folder: Path, private: Path) -> bool:
    """Say whether root made this folder for this checkout (and nobody else put it there)."""
    try:
        found = folder.lstat()
        owner = (folder / "checkout").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022
    return ours and owner == str(private)


def reachable_by(path: Path, user: ServerUser | None) -> bool:
    """Say whether `user` may enter every folder on the way and read (and enter) `path` itself."""
    if user is None:
        return True
    real = path.resolve()
    return all(_open_to(parent, user, 0o1) for parent in real.parents) and _open_to(
        real, user, 0o5 if real.is_file() else 0o1
    )


def _open_to(path: Path, user: ServerUser, wanted: int) -> bool:
    found = path.stat()
    if found.st_uid == user.uid:
        return found.st_mode >> 6 & wanted == wanted
    if found.st_gid == user.gid:
        return found.st_mode >> 3 & wanted == wanted
    return found.st_mode & wanted == wanted


def make_folder(folder: Path, *, user: ServerUser | None, mode: int = 0o700) -> Path:
    """Make a folder with exactly this mode for the account that servers run under."""
    folder.mkdir(mode=mode)
    folder.chmod(mode)  # Whatever the umask says; the folder is new.
    if user is not None:
        os.chown(folder, user.uid, user.gid)
    return folder


def make_way(folder: Path) -> Path:
    """Make a folder and its missing parents, closed to others but open to pass through."""
    if not folder.is_dir():
        make_way(folder.parent)
        with contextlib.suppress(FileExistsError):  # Another process was faster.
            make_folder(folder, user=None, mode=0o711)
    return folder


def make_socket_folder(user: ServerUser | None) -> Path:
    """Make a folder of mode 0700 with a path short enough for sockets.

    :raises FolderUnusable: when every folder for temporary files is closed or too deep.
    """
    for base in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108
        usable = base.is_dir() and os.access(base, os.W_OK | os.X_OK) and reachable_by(base, user)
        if not usable or len(os.fsencode(base)) + 12 > LONGEST_SOCKET_FOLDER:
            continue
        folder = Path(tempfile.mkdtemp(prefix="ps-", dir=base))
        if user is not None:
            os.chown(folder, user.uid, user.gid)
        return folder
    raise FolderUnusable("No folder for sockets: /tmp must be writable.")


def is_private_folder_of(folder: Path, user: ServerUser | None) -> bool:
    """Say whether a folder kept from an earlier start is still ours alone."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    owner = user.uid if user is not None else os.geteuid()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it; one that is gone is fine."""
    shutil.rmtree(folder, ignore_errors=True)
