"""The vocabulary of document queries."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from documents.models import (
        Document,
        DocumentActivity,
        DocumentShare,
        DocumentVersion,
        ProcessingResult,
    )


class DocumentQuerySet(models.QuerySet["Document"]):
    """Questions about many documents."""

    def present(self) -> Self:
        """Those that are not in the bin."""
        return self.exclude(status="deleted")

    def owned_by(self, user_id: uuid.UUID) -> Self:
        """Those that belong to this user."""
        return self.filter(owner_id=user_id)

    def expired(self, *, at: datetime) -> Self:
        """Those whose time of retention is over."""
        return self.filter(retain_until__lte=at)


class DocumentVersionQuerySet(models.QuerySet["DocumentVersion"]):
    """Questions about many versions."""

    def newest_first(self) -> Self:
        """Highest number first."""
        return self.order_by("document_id", "-number")


class DocumentShareQuerySet(models.QuerySet["DocumentShare"]):
    """Questions about many shares."""

    def live(self, *, at: datetime) -> Self:
        """Those that open their document now."""
        return self.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=at))


class ProcessingResultQuerySet(models.QuerySet["ProcessingResult"]):
    """Questions about many results."""

    def unfinished(self) -> Self:
        """Those that a worker still owes."""
        return self.filter(finished_at=None)


class DocumentActivityQuerySet(models.QuerySet["DocumentActivity"]):
    """Questions about what was done to documents."""

    def about(self, document_id: uuid.UUID) -> Self:
        """What was done to this document."""
        return self.filter(document_id=document_id)

    def by(self, user_id: uuid.UUID) -> Self:
        """What this user did."""
        return self.filter(actor_id=user_id)
