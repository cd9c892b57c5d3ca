"""Imports, their rows, and the lists that they are checked against."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.homes import databases_of, refused_by_the_database
from workspace import services
from workspace.models import ImportBatch, ReferenceRow, WorkspaceRow

pytestmark = pytest.mark.django_db(databases=databases_of("workspace"))
AT = datetime(2026, 3, 1, tzinfo=UTC)


def an_import(**fields: Any) -> ImportBatch:
    return ImportBatch.objects.create(
        **{"source_name": "rows.csv", "created_by_id": uuid.UUID(int=7)} | fields
    )


class TestAnImport:
    def test_is_canceled_only_while_it_is_unfinished(self) -> None:
        running = an_import(status="running")
        an_import(status="completed", finished_at=AT)

        assert services.cancel_imports(batches=ImportBatch.objects.all(), at=AT) == 1

        running.refresh_from_db()
        assert (running.status, running.finished_at) == ("canceled", AT)

    @pytest.mark.parametrize(
        ("fields", "constraint"),
        [
            ({"status": "completed"}, "workspace_import_finished_at"),
            ({"total_rows": 1, "imported_rows": 2}, "workspace_import_counts"),
            ({"sha256": "short"}, "workspace_import_sha256"),
        ],
    )
    def test_that_makes_no_sense_is_refused_by_the_database(
        self, fields: dict[str, Any], constraint: str
    ) -> None:
        with refused_by_the_database(ImportBatch, constraint):
            an_import(**fields)


class TestARow:
    def test_is_kept_once_however_often_its_import_is_repeated(self) -> None:
        batch = an_import()

        for _ in range(2):
            WorkspaceRow.objects.bulk_create(
                [WorkspaceRow(batch=batch, number=n, values={"n": n}) for n in (1, 2, 3)],
                ignore_conflicts=True,
            )

        assert [row.number for row in batch.rows.after(1)] == [2, 3]
        assert not batch.rows.rejected().exists()

    def test_goes_with_its_import(self) -> None:
        batch = an_import()
        WorkspaceRow.objects.create(batch=batch, number=1)

        batch.delete()

        assert not WorkspaceRow.objects.exists()


class TestAReferenceRow:
    def test_holds_from_its_first_day_to_the_day_before_its_end(self) -> None:
        row = ReferenceRow.objects.create(
            catalog="naics", key="5311", label="Lessors", valid_from=date(2022, 1, 1),
            valid_to=date(2027, 1, 1),
        )  # fmt: skip

        naics = ReferenceRow.objects.of("naics")
        assert naics.valid(on=date(2022, 1, 1)).get() == row
        assert naics.valid(on=date(2026, 12, 31)).exists()
        assert not naics.valid(on=date(2027, 1, 1)).exists()

    def test_exists_once_from_a_day_on(self) -> None:
        fields: dict[str, Any] = {
            "catalog": "naics", "key": "5311", "label": "Lessors", "valid_from": date(2022, 1, 1),
        }  # fmt: skip
        ReferenceRow.objects.create(**fields)

        with refused_by_the_database(ReferenceRow, "workspace_reference_once"):
            ReferenceRow.objects.create(**fields)
