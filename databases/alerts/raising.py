"""The one function that raises alerts."""

from __future__ import annotations

import logging
from typing import Final, Literal

from django.conf import settings
from django.utils import timezone

from databases.alerts import courier
from databases.alerts.message import DETAIL_LENGTH, TITLE_LENGTH, Alert, Severity, cleaned

logger = logging.getLogger("databases.alerts")
_failing: Final[set[tuple[str, str | None]]] = set()
"""What this process said to fail: only of that a recovery is worth a line in the log."""


def raise_alert(
    *,
    code: str,
    severity: Severity,
    title: str,
    detail: str,
    store: str | None = None,
    recovered: bool = False,
) -> None:
    """Tell operators that something fails, or that it is well again. Returns at once.

    Safe to call as often as one likes, from every process: people hear of changes only, of the
    first at once and of quick ones in a row later and later. A recovery is told only of what was
    told to fail.

    :param code: stable, e.g. `outbox.lag`; with `store` it names what this is about.
    :param title: one line, at most 120 characters.
    :param detail: what happens to callers and what to do, at most 1,000 characters. Neither
        holds hosts, users, addresses or values of rows.
    :param recovered: it is well again.
    """
    state: Literal["failed", "recovered"] = "recovered" if recovered else "failed"
    if not recovered or (code, store) in _failing:
        logger.log(
            logging.INFO if recovered else logging.WARNING,
            "alert.raised",
            extra={"code": code, "store": store or "", "state": state, "severity": severity},
        )
    if recovered:
        _failing.discard((code, store))
    else:
        _failing.add((code, store))
    if not (settings.ADMINS or settings.ALERT_WEBHOOK_URL):
        return
    courier.submit(
        Alert(
            code=code,
            severity=severity,
            title=cleaned(title, length=TITLE_LENGTH),
            detail=cleaned(detail, length=DETAIL_LENGTH),
            store=store or "",
            state=state,
            at=timezone.now(),
        )
    )
