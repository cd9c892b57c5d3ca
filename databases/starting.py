"""Web and worker processes refuse to start while rows live where they cannot be reached."""

from __future__ import annotations

from django.conf import settings
from django.db import connections

from common.errors import PolystoreError
from databases import placement


class RowsElsewhere(PolystoreError):
    """Rows of some apps live in databases that this process is not configured for.

    Starting nevertheless would show none of them.
    """

    code = "databases.rows_elsewhere"
    status = 503


def require_reachable_rows() -> None:
    """Return when every app's rows live in a database that is in use, or when nobody knows.

    A primary that is down keeps no process from starting: requests ask again.

    :raises RowsElsewhere: naming the apps, their databases and what to do.
    """
    if not settings.PLACEMENT_REFRESH or not placement.refresh():
        return
    connections.close_all()
    gone = placement.elsewhere(frozenset(connections.settings))
    if gone:
        where = "; ".join(f"{label} on {alias!r}" for label, alias in sorted(gone.items()))
        raise RowsElsewhere(
            f"These rows live in databases that are not in use: {where}. Set "
            f"{', '.join(sorted({placement.variable_of(alias) for alias in gone.values()}))} "
            "again and SPLIT_DB_MODE to true, or move the rows back first."
        )
