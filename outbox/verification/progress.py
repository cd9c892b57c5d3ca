"""How far a comparison came, kept in the primary, so that another process can go on with it."""

from __future__ import annotations

from datetime import datetime

from outbox.models import VerificationProgress
from outbox.verification.report import Report


def save(projection: str, after: str, since: datetime | None, report: Report) -> None:
    """Keep that everything up to `after` is compared and reported."""
    VerificationProgress.objects.update_or_create(
        projection=projection,
        defaults={"after": after, "since": since, "figures": report.figures()},
    )


def load(projection: str, since: datetime | None) -> tuple[Report, str] | None:
    """Return what was kept, or None where there is nothing, or it is about other rows."""
    kept = VerificationProgress.objects.filter(projection=projection).first()
    if kept is None or (kept.since is None) is not (since is None):
        return None
    if kept.since is not None and since is not None and since < kept.since:
        return None  # what changed in between was passed over
    return Report.continued(projection, kept.figures), kept.after


def forget(projection: str) -> None:
    """Drop what was kept: the comparison came to its end."""
    VerificationProgress.objects.filter(projection=projection).delete()
