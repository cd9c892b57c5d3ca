"""A real PgBouncer before the embedded servers, where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from devservers.sets import ServerSet
from tests.running_site import free_port
from tests.waiting import eventually

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running(servers: ServerSet, url: str, *, pool_size: int = 20) -> Iterator[int]:
    """Run PgBouncer in transaction mode before the server of `url`; yield its port on 127.0.0.1.

    :param pool_size: connections to the server; with one, clients share its session in turn.
    """
    assert PROGRAM is not None
    query = parse_qs(urlsplit(url).query)
    folder = Path(tempfile.mkdtemp(prefix="ps-pgbouncer-"))
    port = free_port()
    (folder / "users.txt").write_text('"polystore" ""\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        "\n".join(
            (
                "[databases]",
                f"* = host={query['host'][0]} port={query['port'][0]}",
                "[pgbouncer]",
                "listen_addr = 127.0.0.1",
                f"listen_port = {port}",
                "unix_socket_dir =",
                "auth_type = trust",
                f"auth_file = {folder / 'users.txt'}",
                "pool_mode = transaction",
                f"default_pool_size = {pool_size}",
                "query_wait_timeout = 20",
                "",
            )
        ),
        encoding="utf-8",
    )
    user = servers.home.user
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
        if user is not None:
            os.chown(path, user.uid, user.gid)
    # It refuses to run as root.
    account: Any = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, str(folder / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **account,
        )
    try:
        eventually(lambda: _answers(process, port, folder / "log"))
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _answers(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
    try:
        psycopg.connect(
            host="127.0.0.1", port=port, user="polystore", dbname="postgres", connect_timeout=2
        ).close()
    except psycopg.OperationalError:
        return False
    return True
