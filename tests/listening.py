"""Servers that listen to what the site sends out of the house, and keep it."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """A real HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 204
        self.answering = threading.Event()
        self.answering.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.answering.wait(20)
                outer.posted.append(json.loads(body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?key=a-secret-of-the-hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, store: str) -> list[str]:
        """Return the states that were told of a store, in order."""
        return [told["state"] for told in self.posted if told["store"] == store]

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()


class SmtpSink:
    """A mail server that takes one message at a time and keeps it."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._talk(stream)

    def _talk(self, stream) -> None:
        def say(line: str) -> None:
            stream.write(line.encode() + b"\r\n")
            stream.flush()

        say("220 sink")
        while line := stream.readline().decode().strip():
            verb = line.partition(" ")[0].upper()
            if verb == "DATA":
                say("354 go on")
                lines = list(iter(stream.readline, b".\r\n"))
                self.received.append(b"".join(lines).decode())
            say("221 bye" if verb == "QUIT" else "250 fine")

    def close(self) -> None:
        self._listener.close()
