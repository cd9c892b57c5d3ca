"""Open many streams on one ASGI process and see when a message reaches them all."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final

from benchmarks.common import ROOT, memory_mb, percentile

MESSAGES: Final = 10
OPENING: Final = 20
"""Streams that are opened at the same time."""


def measure_streams(people: list[uuid.UUID], room: uuid.UUID, count: int) -> dict[str, float]:
    """Return the figures of `count` open streams of one process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the process below, too
    cookie = _cookie_of(people[1])
    port = _free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1"),
        *("--port", str(port), "--no-access-log", "--lifespan", "off", "--ws", "none"),
        *("--log-level", "critical"),
    ]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ) as process:
        try:
            _await(port)
            return asyncio.run(_measure(port, process.pid, cookie, people[0], room, count))
        finally:
            process.terminate()


async def _measure(  # noqa: PLR0917 - what one run is about
    port: int, pid: int, cookie: str, author: uuid.UUID, room: uuid.UUID, count: int
) -> dict[str, float]:
    from messaging.services.messages import post_message

    # What the process needs once: its pools are as wide as when many streams open at once.
    for _ in range(3):
        for _, writer in await asyncio.gather(
            *(_opened(port, cookie, room) for _ in range(OPENING))
        ):
            writer.close()
    await asyncio.sleep(1.0)
    before = _descriptors(pid), memory_mb(pid)
    streams: list[Any] = []
    for begin in range(0, count, OPENING):
        some = min(OPENING, count - begin)
        streams += await asyncio.gather(*(_opened(port, cookie, room) for _ in range(some)))
    held = memory_mb(pid)
    taken: list[float] = []
    for number in range(MESSAGES):
        text = f"to all {number}"
        begun = time.perf_counter()
        readers = [asyncio.create_task(_read(stream[0], text)) for stream in streams]
        await asyncio.to_thread(post_message, user_id=author, room_id=room, content=text, key=None)
        taken += [at - begun for at in await asyncio.gather(*readers)]
    for _, writer in streams:
        writer.close()
    for _ in range(200):
        if _descriptors(pid) <= before[0] + 5:
            break
        await asyncio.sleep(0.1)
    return {
        "stream_p99_ms": percentile(taken, 0.99) * 1000,
        "stream_kb_each": (held - before[1]) * 1024 / count,
        "stream_descriptors_left": float(_descriptors(pid) - before[0]),
    }


async def _opened(port: int, cookie: str, room: uuid.UUID) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = f"GET /api/rooms/{room}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}"
    writer.write(f"{asked}\r\n\r\n".encode())
    await _read(reader, "event: alive")
    return reader, writer


async def _read(reader: asyncio.StreamReader, text: str) -> float:
    """Read until the text comes; return when."""
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionError("The stream ended.")
        if text in line.decode():
            return time.perf_counter()


def _cookie_of(user_id: uuid.UUID) -> str:
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(get_user_model()._default_manager.get(pk=user_id))
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


def _await(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
