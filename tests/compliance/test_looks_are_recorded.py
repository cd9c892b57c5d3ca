"""Compliance data is closed, and every look at it is recorded, the refused ones, too."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import User
from common.ids import uuid7
from compliance.models import AuditRecord, Filing
from outbox.models import DeadLetter
from tests.homes import databases_of
from tests.people import a_superuser, a_user, an_operator, signed_in, with_role

pytestmark = pytest.mark.django_db(databases=databases_of("compliance", "customers"))
FILINGS = "/admin/compliance/filing/"
ADDRESS = "198.51.100.77"


@pytest.fixture
def filing() -> Filing:
    made: Filing = Filing.objects.create(
        customer_id=uuid7(), kind="tax_return", period_starts_on=date(2026, 1, 1),
        period_ends_on=date(2026, 3, 31), due_on=date(2026, 4, 30),
    )  # fmt: skip
    return made


@pytest.fixture
def officer() -> User:
    return with_role("compliance officer")


@pytest.fixture
def client(officer: User) -> Client:
    return signed_in(officer)


def looks() -> list[dict[str, Any]]:
    rows = AuditRecord.objects.filter(actor_id__isnull=False).order_by("recorded_at", "id")
    return [dict(row) for row in rows.values("event_type", "outcome", "subject_id", "detail")]


class TestALook:
    def test_at_a_list_is_recorded_with_what_was_seen(
        self, client: Client, officer: User, filing: Filing
    ) -> None:
        assert client.get(FILINGS, REMOTE_ADDR=ADDRESS).status_code == 200

        record = AuditRecord.objects.get(event_type="filing.listed")
        assert (record.actor_id, record.subject_id) == (officer.pk, str(filing.pk))
        assert record.remote_address == "198.51.100.0"
        assert record.request_id

    def test_that_finds_nothing_is_recorded(self, client: Client) -> None:
        client.get(FILINGS, {"q": "nothing"})

        assert [look["event_type"] for look in looks()] == ["filing.listed"]

    @pytest.mark.parametrize(
        ("page", "event_type"),
        [
            ("change/", "filing.viewed"),
            ("delete/", "filing.viewed"),
            ("history/", "filing.history_viewed"),
        ],
    )
    def test_at_one_of_them_is_recorded(
        self, client: Client, filing: Filing, page: str, event_type: str
    ) -> None:
        assert client.get(f"{FILINGS}{filing.pk}/{page}").status_code == 200

        assert looks() == [
            {
                "event_type": event_type, "outcome": "succeeded", "subject_id": str(filing.pk),
                "detail": {},
            }
        ]  # fmt: skip

    def test_at_several_lists_them(self, client: Client, filing: Filing) -> None:
        other = Filing.objects.create(
            customer_id=uuid7(), kind="annual_report", period_starts_on=date(2026, 1, 1),
            period_ends_on=date(2026, 3, 31), due_on=date(2026, 4, 30),
        )  # fmt: skip
        chosen = [str(filing.pk), str(other.pk)]

        client.post(FILINGS, {"action": "delete_selected", "_selected_action": chosen})

        assert set(looks()[0]["detail"]["subjects"]) == set(chosen)

    def test_at_the_trail_itself_is_recorded(self, client: Client) -> None:
        client.get("/admin/compliance/auditrecord/")
        client.get("/admin/compliance/legaldocument/")

        assert [look["event_type"] for look in looks()] == [
            "audit_record.listed", "legal_document.listed",
        ]  # fmt: skip

    def test_at_an_empty_form_shows_nothing_and_is_not(self, client: Client) -> None:
        assert client.get(FILINGS + "add/").status_code == 200

        assert looks() == []


class TestALookThatIsRefused:
    @pytest.mark.parametrize("who", ["superuser", "operator", "permitted"])
    @pytest.mark.parametrize("page", ["", "{}/change/", "{}/delete/", "{}/history/"])
    def test_is_recorded_as_such_and_shows_nothing(
        self, filing: Filing, who: str, page: str
    ) -> None:
        user = {
            "superuser": a_superuser,
            "operator": lambda: with_role("operator"),
            "permitted": lambda: an_operator("compliance.view_filing", "compliance.delete_filing"),
        }[who]()

        answer = signed_in(user).get(FILINGS + page.format(filing.pk))

        assert answer.status_code == 403
        assert [look["outcome"] for look in looks()] == ["refused"]

    def test_of_members_ends_at_the_door(self, filing: Filing) -> None:
        assert signed_in(a_user()).get(FILINGS).status_code == 302
        assert looks() == []


def test_superusers_look_where_the_setting_says_so_and_are_recorded(
    filing: Filing, settings
) -> None:
    settings.COMPLIANCE_SUPERUSERS = True

    assert signed_in(a_superuser()).get(FILINGS).status_code == 200
    assert [look["event_type"] for look in looks()] == ["filing.listed"]


@pytest.mark.django_db(transaction=True, databases=databases_of("compliance", "customers"))
def test_no_other_page_of_the_admin_tells_of_it(client: Client, filing: Filing) -> None:
    """The admin's log names what was changed, and dead letters hold rows that wait."""
    client.post(FILINGS, {"action": "submit", "_selected_action": [str(filing.pk)]})
    client.post(f"{FILINGS}{filing.pk}/delete/", {"post": "yes"})
    DeadLetter.objects.create(
        id=1, sink="compliance", aggregate_type="spooled_row", aggregate_id="compliance",
        type="auditrecord.accepted", schema=1, payload={"row": {"subject": "of the trail"}},
        created_at=datetime(2026, 1, 1, tzinfo=UTC), attempts=8, kind="x", reason="y",
    )  # fmt: skip
    assert LogEntry.objects.filter(content_type__app_label="compliance").exists()
    operator = signed_in(with_role("operator"))

    log = operator.get("/admin/admin/logentry/").content.decode()
    letter = operator.get("/admin/outbox/deadletter/1/change/")

    assert "tax return" not in log
    assert letter.status_code == 200
    assert "of the trail" not in letter.content.decode()
    assert "tax return" in client.get("/admin/admin/logentry/").content.decode()
