"""What processes do before their first request."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings

ASKED = """
import gc, importlib, sys
importlib.import_module(sys.argv[1])
print(gc.get_freeze_count(), len(gc.get_objects()))
"""


@pytest.mark.parametrize("module", ["config.asgi", "config.wsgi"])
def test_no_collection_of_garbage_looks_at_what_was_loaded(module):
    done = subprocess.run(
        [sys.executable, "-c", ASKED, module],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )

    spared, looked_at = map(int, done.stdout.split())
    assert spared > 100 * looked_at
