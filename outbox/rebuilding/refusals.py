"""Why a rebuild does not begin, or does not end."""

from __future__ import annotations

from common.errors import PolystoreError


class RebuildRefused(PolystoreError):
    """It cannot begin now."""

    code = "outbox.rebuild_refused"
    status = 409
    title = "No rebuild now"
    remedy = "Nothing was changed. Try again when what is named is over."


class RebuildFailed(PolystoreError):
    """It cannot end; the live collection is as it was."""

    code = "outbox.rebuild_failed"
    status = 500
    title = "The rebuild did not come to its end"
    remedy = (
        "The live collection is untouched. Run the same command again to go on, or with --abort "
        "to give the rebuild up."
    )
