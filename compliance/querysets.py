"""The vocabulary of compliance queries, and the refusal to change the audit trail."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Self

from django.db import models
from django.db.models import Q

from common.errors import PolystoreError

if TYPE_CHECKING:
    from compliance.models import AuditRecord, Filing, LegalDocument

OPEN = ("draft", "ready")
"""States of a filing in which somebody still has to act before it is due."""


class AuditRecordIsFinal(PolystoreError):
    """Somebody tried to change or delete an entry of the audit trail."""

    code, status = "compliance.audit_record_is_final", 409
    title = "An audit record is never changed or deleted."
    remedy = "Record a further audit record that says what is right."


class FilingQuerySet(models.QuerySet["Filing"]):
    """Questions about many filings."""

    def open(self) -> Self:
        """Those that are still to be submitted."""
        return self.filter(status__in=OPEN)

    def overdue(self, *, on: date) -> Self:
        """Those that should have been submitted before `on`."""
        return self.open().filter(due_on__lt=on)


class LegalDocumentQuerySet(models.QuerySet["LegalDocument"]):
    """Questions about many legal documents."""

    def in_force(self, *, at: datetime) -> Self:
        """Those that bind people now."""
        started = self.filter(published_at__isnull=False, effective_from__lte=at)
        return started.filter(Q(retired_at=None) | Q(retired_at__gt=at))


class AuditRecordQuerySet(models.QuerySet["AuditRecord"]):
    """Questions about the audit trail. It grows; nothing in it changes or goes."""

    def about(self, *, subject_type: str, subject_id: str) -> Self:
        """What happened to one thing."""
        return self.filter(subject_type=subject_type, subject_id=subject_id)

    def by(self, actor_id: uuid.UUID) -> Self:
        """What one user did."""
        return self.filter(actor_id=actor_id)

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse.

        :raises AuditRecordIsFinal: always.
        """
        raise AuditRecordIsFinal

    def bulk_update(
        self, objs: Iterable[AuditRecord], fields: Iterable[str], batch_size: int | None = None
    ) -> NoReturn:
        """Refuse.

        :raises AuditRecordIsFinal: always.
        """
        raise AuditRecordIsFinal

    def delete(self) -> NoReturn:
        """Refuse.

        :raises AuditRecordIsFinal: always.
        """
        raise AuditRecordIsFinal

    def bulk_create(
        self, objs: Iterable[AuditRecord], *args: Any, **kwargs: Any
    ) -> list[AuditRecord]:
        """Add many at once; an update on conflict is refused.

        :raises AuditRecordIsFinal: for `update_conflicts`.
        """
        # Django's third positional argument behind the rows is `update_conflicts`.
        if kwargs.get("update_conflicts") or any(args[2:3]):
            raise AuditRecordIsFinal
        return super().bulk_create(objs, *args, **kwargs)
