"""What the tests of zones share."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

REAL_FILES = ("oz_designated_2018-12-14.csv", "oz_tracts_exact.geojson.gz", "expected_lookups.csv")


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """Return the folder of real data beside the checkout; skip where there is none."""
    folder = Path(settings.BASE_DIR).parent / "shared" / "data"
    if not all((folder / name).is_file() for name in REAL_FILES):
        pytest.skip("The real zones do not lie in shared/data beside the checkout.")
    return folder
