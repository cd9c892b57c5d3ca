"""Error reports are off by default, and hold neither secrets nor personal data."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest

from config.error_tracking import scrub
from tests.observability.web import ROOT

FAILING = """
import django
django.setup()
from django.test import Client, override_settings
with override_settings(ROOT_URLCONF="tests.api.urls"):
    client = Client(raise_request_exception=False)
    response = client.get(
        "/api/probe/fail/bug?email=s3cret@example.org",
        headers={"authorization": "Bearer s3cret-s3cret", "x-request-id": "request-1"},
    )
assert response.status_code == 500, response.content
import sys
if "sentry_sdk" in sys.modules:
    sys.modules["sentry_sdk"].flush(10)
"""


@pytest.fixture
def service():
    """Run a service that takes reports; give its DSN and what it received."""
    received: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            received.append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments):
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://key@127.0.0.1:{server.server_port}/1", received
    server.shutdown()
    server.server_close()
    thread.join(10)


def fail_with(**environment):
    finished = subprocess.run(
        [sys.executable, "-c", FAILING],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished


def test_a_bug_is_reported_with_its_request_id_and_without_secrets(service):
    dsn, received = service

    fail_with(SENTRY_DSN=dsn, SENTRY_ENVIRONMENT="tests")

    reports = [
        json.loads(line)
        for body in received
        for line in body.splitlines()
        if line.startswith(b"{") and b"ZeroDivisionError" in line
    ]
    assert len(reports) == 1
    (report,) = reports
    assert report["tags"]["request_id"] == "request-1"
    assert report["environment"] == "tests"
    assert "s3cret" not in json.dumps(report)


def test_without_a_dsn_nothing_is_even_loaded():
    finished = subprocess.run(
        [sys.executable, "-c", "import django, sys; django.setup(); print(*sys.modules)"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", "SENTRY_DSN": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "sentry_sdk" not in finished.stdout.split()


def test_a_malformed_dsn_is_refused_without_repeating_it():
    finished = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings.test",
            "SENTRY_DSN": "s3cret://no dsn",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert finished.returncode != 0
    assert "SENTRY_DSN must be a DSN" in finished.stderr
    assert "s3cret" not in finished.stderr


def test_whatever_an_event_holds_is_scrubbed():
    event = {
        "request": {
            "url": "https://site/reset?token=s3cret",
            "query_string": "token=s3cret",
            "data": {"password": "s3cret"},
            "cookies": {"sessionid": "s3cret"},
            "headers": {"Authorization": "s3cret", "User-Agent": "curl"},
        },
        "user": {"email": "s3cret@example.org"},
        "exception": {"values": [{"value": "cannot reach redis://:s3cret@host"}]},
        "extra": {"dsn": "s3cret"},
    }

    scrubbed = scrub(event, {})

    assert "s3cret" not in json.dumps(scrubbed)
    assert scrubbed["request"]["headers"]["User-Agent"] == "curl"
