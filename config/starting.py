"""What processes of the site do when all is loaded, before the first request or task."""

from __future__ import annotations

import gc

from django.urls import get_resolver

from databases.starting import require_reachable_rows


def start_serving() -> None:
    """Make a web process ready for requests, or let it refuse to start.

    :raises databases.starting.RowsElsewhere: see there.
    """
    require_reachable_rows()
    # Load every address now: an operation without declared access stops the start, not a request.
    get_resolver().url_patterns  # noqa: B018
    spare_what_is_loaded()


def spare_what_is_loaded() -> None:
    """Have no later garbage collection look at what is there now: it lives as long as the process.

    Looking at it stops all threads for a tenth of a second. Processes that are forked from this one
    also go on sharing the memory, which a look would have copied (`gc.freeze` is for that).
    """
    gc.collect()
    gc.freeze()
