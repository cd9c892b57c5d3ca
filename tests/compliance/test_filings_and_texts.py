"""Filings and texts that bind people."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from compliance import services
from compliance.models import Filing, LegalDocument
from tests.homes import databases_of, refused_by_the_database
from tests.people import signed_in, somebody_who_may_do_all

pytestmark = pytest.mark.django_db(databases=databases_of("compliance"))
AT = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMER = uuid.UUID(int=3)


def a_filing(**fields: Any) -> Filing:
    return Filing.objects.create(
        **{
            "customer_id": CUSTOMER,
            "kind": "tax_return",
            "period_starts_on": date(2025, 1, 1),
            "period_ends_on": date(2025, 12, 31),
            "due_on": date(2026, 4, 15),
        }
        | fields
    )


def a_text(**fields: Any) -> LegalDocument:
    return LegalDocument.objects.create(
        **{"kind": "terms", "version": "1.0", "title": "Terms", "body": "Be kind."} | fields
    )


class TestAFiling:
    def test_is_submitted_only_when_it_is_ready(self) -> None:
        ready = a_filing(status="ready")
        a_filing(kind="annual_report", status="draft")

        count = services.submit_filings(filings=Filing.objects.all(), at=AT)

        ready.refresh_from_db()
        assert (count, ready.status, ready.submitted_at) == (1, "submitted", AT)

    def test_is_overdue_only_while_somebody_has_to_act(self) -> None:
        late = a_filing()
        a_filing(kind="annual_report", status="accepted", submitted_at=AT)

        assert Filing.objects.overdue(on=date(2026, 4, 16)).get() == late
        assert not Filing.objects.overdue(on=date(2026, 4, 15)).exists()

    def test_exists_once_per_period_unless_it_was_rejected(self) -> None:
        a_filing(status="rejected", submitted_at=AT)
        a_filing()

        with refused_by_the_database(Filing, "compliance_filing_once_per_period"):
            a_filing()

    @pytest.mark.parametrize(
        ("fields", "constraint"),
        [
            ({"status": "accepted"}, "compliance_filing_submitted_at"),
            ({"jurisdiction": "Texas"}, "compliance_filing_jurisdiction_code"),
            ({"period_ends_on": date(2024, 1, 1)}, "compliance_filing_period_order"),
        ],
    )
    def test_that_makes_no_sense_is_refused_by_the_database(
        self, fields: dict[str, Any], constraint: str
    ) -> None:
        with refused_by_the_database(Filing, constraint):
            a_filing(**fields)


class TestALegalText:
    def test_is_published_only_with_a_time_from_which_it_holds(self) -> None:
        ready = a_text(effective_from=AT)
        a_text(version="2.0")

        count = services.publish_legal_documents(texts=LegalDocument.objects.all(), at=AT)

        assert count == 1
        assert LegalDocument.objects.in_force(at=AT).get() == ready
        assert not LegalDocument.objects.in_force(at=AT - timedelta(days=1)).exists()

    def test_holds_until_it_is_retired(self) -> None:
        a_text(effective_from=AT, published_at=AT)

        services.retire_legal_documents(
            texts=LegalDocument.objects.all(), at=AT + timedelta(days=9)
        )

        assert LegalDocument.objects.in_force(at=AT + timedelta(days=8)).exists()
        assert not LegalDocument.objects.in_force(at=AT + timedelta(days=9)).exists()

    def test_no_longer_changes_once_it_is_published(self) -> None:
        text = a_text(effective_from=AT, published_at=AT)
        client = signed_in(somebody_who_may_do_all())
        address = f"/admin/compliance/legaldocument/{text.pk}/"

        assert client.get(address + "change/").status_code == 200
        assert client.post(address + "change/", {"body": "Be rude."}).status_code == 403
        assert client.post(address + "delete/", {"post": "yes"}).status_code == 403
        answer = client.post(
            "/admin/compliance/legaldocument/",
            {"action": "delete_selected", "_selected_action": str(text.pk), "post": "yes"},
        )
        assert answer.status_code == 403
        assert LegalDocument.objects.get().body == "Be kind."
