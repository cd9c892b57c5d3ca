"""The audit trail grows, and nothing in it changes or goes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections, router

from compliance import services
from compliance.models import AuditRecord
from compliance.querysets import AuditRecordIsFinal
from tests.homes import databases_of, refused_by_the_database
from tests.people import signed_in, somebody_who_may_do_all

pytestmark = pytest.mark.django_db(databases=databases_of("compliance"))
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def record() -> AuditRecord:
    return services.record_audit(
        event_type="user.signed_in", occurred_at=AT, actor_id=uuid.uuid4(), detail={"by": "web"}
    )


class TestAnAuditRecord:
    def test_is_kept_with_what_is_known(self, record: AuditRecord) -> None:
        kept = AuditRecord.objects.get()

        assert kept == record
        assert (kept.actor_kind, kept.outcome, kept.detail) == ("user", "succeeded", {"by": "web"})
        assert kept.recorded_at > AT

    def test_is_not_saved_again(self, record: AuditRecord) -> None:
        record.outcome = AuditRecord.Outcome.FAILED

        with pytest.raises(AuditRecordIsFinal):
            record.save()
        with pytest.raises(AuditRecordIsFinal):
            AuditRecord.objects.get().save(update_fields=["outcome"])

    def test_is_not_deleted(self, record: AuditRecord) -> None:
        with pytest.raises(AuditRecordIsFinal):
            record.delete()

    def test_is_not_changed_or_deleted_among_many(self, record: AuditRecord) -> None:
        with pytest.raises(AuditRecordIsFinal):
            AuditRecord.objects.all().update(outcome="failed")
        with pytest.raises(AuditRecordIsFinal):
            AuditRecord.objects.all().delete()
        with pytest.raises(AuditRecordIsFinal):
            AuditRecord.objects.bulk_update([record], ["outcome"])
        with pytest.raises(AuditRecordIsFinal):
            AuditRecord.objects.bulk_create(
                [record], update_conflicts=True, update_fields=["outcome"], unique_fields=["id"]
            )

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE compliance_auditrecord SET outcome = 'failed'",
            "DELETE FROM compliance_auditrecord",
        ],
    )
    def test_is_defended_by_the_database_too(self, record: AuditRecord, statement: str) -> None:
        using = router.db_for_write(AuditRecord)

        with (
            refused_by_the_database(AuditRecord, "never changed or deleted"),
            connections[using].cursor() as cursor,
        ):
            cursor.execute(statement)

        assert AuditRecord.objects.get().outcome == "succeeded"

    def test_cannot_be_added_changed_or_deleted_in_the_admin(self, record: AuditRecord) -> None:
        client = signed_in(somebody_who_may_do_all())
        address = f"/admin/compliance/auditrecord/{record.pk}/"

        assert client.get(address + "change/").status_code == 200
        assert client.post(address + "change/", {"outcome": "failed"}).status_code == 403
        assert client.post(address + "delete/", {"post": "yes"}).status_code == 403
        assert AuditRecord.objects.get(pk=record.pk).outcome == "succeeded"

    def test_is_added_among_many_and_told_once(self) -> None:
        records = [
            AuditRecord(event_type="user.signed_in", occurred_at=AT, source_event_id=1)
            for _ in range(2)
        ]

        AuditRecord.objects.bulk_create(records, ignore_conflicts=True)

        assert AuditRecord.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"event_type": "Signed in"}, "compliance_audit_event_type_dotted"),
        ({"actor_kind": "user"}, "compliance_audit_actor_is_known"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused_by_the_database(
    fields: dict[str, Any], constraint: str
) -> None:
    with refused_by_the_database(AuditRecord, constraint):
        AuditRecord.objects.create(**{"event_type": "user.signed_in", "occurred_at": AT} | fields)
