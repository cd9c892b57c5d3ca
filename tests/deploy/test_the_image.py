"""The image and the compose file describe the site that is in this checkout."""

from __future__ import annotations

import http.server
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from databases.aliases import SPECS
from tests.architecture.contracts import NOT_SHIPPED, ROOT, read_contracts

SHIPPED = set(read_contracts().root_packages) - NOT_SHIPPED
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Read the compose file."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


class TestTheImage:
    def test_every_package_that_ships_is_copied_and_nothing_else_is(self) -> None:
        copied = re.findall(r"(?m)^COPY (\w+) \w+$", (DEPLOY / "Dockerfile").read_text())

        assert set(copied) == SHIPPED

    def test_the_builder_is_sent_what_is_copied(self) -> None:
        sent = re.findall(r"(?m)^!(\w+)$", (ROOT / ".dockerignore").read_text())

        assert set(sent) == SHIPPED

    def test_only_hashed_requirements_of_production_are_installed_and_no_root_runs_it(self) -> None:
        lines = (DEPLOY / "Dockerfile").read_text()

        assert "--require-hashes" in lines
        assert "requirements/dev" not in lines
        assert re.findall(r"(?m)^USER (\S+)", lines) == ["polystore"]


class TestTheComposeFile:
    def test_every_alias_has_its_url_in_every_process_of_the_site(
        self, compose: dict[str, Any]
    ) -> None:
        wanted = {spec.variables[0] for spec in SPECS.values()} | {"REDIS_URL", "MONGO_URL"}

        for name in ("release", "web", "streams", "worker", "beat"):
            assert wanted <= compose["services"][name]["environment"].keys()

    def test_no_database_publishes_a_port_and_the_site_does_only_to_this_machine(
        self, compose: dict[str, Any]
    ) -> None:
        published = {
            name: service["ports"]
            for name, service in compose["services"].items()
            if "ports" in service
        }

        assert published.keys() == {"web", "streams"}
        assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)

    def test_what_it_asks_of_the_environment_is_in_the_example(self) -> None:
        asked = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
        shown = set(re.findall(r"(?m)^#?\s?([A-Z_]+)=", (ROOT / ".env.example").read_text()))

        assert asked <= shown

    def test_files_that_it_mounts_are_there(self, compose: dict[str, Any]) -> None:
        mounted = re.findall(r"- (\./[^:]+):", (DEPLOY / "compose.yaml").read_text())

        assert mounted
        assert all(os.access(DEPLOY / path, os.X_OK) for path in mounted)


class TestTheHealthcheck:
    @contextmanager
    def site(self, status: int) -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
        """Serve `status` to everything on a free port, and note what was asked for."""
        asked: list[tuple[str, str | None]] = []

        class Site(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Host"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Site)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def ask(self, port: int) -> subprocess.CompletedProcess[str]:
        environment = {"PORT": str(port), "ALLOWED_HOSTS": ".example.org, other.example"}
        return subprocess.run(
            [sys.executable, str(DEPLOY / "healthcheck.py")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_a_site_that_answers_is_healthy_and_asked_by_a_name_that_it_serves(self) -> None:
        with self.site(200) as (port, asked):
            answer = self.ask(port)

        assert answer.returncode == 0, answer.stdout
        assert asked == [("/health", "example.org")]

    @pytest.mark.parametrize("status", [301, 400, 503])
    def test_any_other_answer_is_not(self, status: int) -> None:
        with self.site(status) as (port, _):
            answer = self.ask(port)

        assert answer.returncode == 1
        assert str(status) in answer.stdout

    def test_nobody_at_the_port_is_not(self) -> None:
        with socket.socket() as held:  # bound and not listening: connections are refused
            held.bind(("127.0.0.1", 0))
            answer = self.ask(held.getsockname()[1])

        assert answer.returncode == 1
        assert "no answer" in answer.stdout
