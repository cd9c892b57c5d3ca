"""With the server of an append-only row gone, it is accepted, and comes when the server is back."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from django.db import OperationalError, close_old_connections, connection, connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from analytics import services
from analytics.models import ActivityEvent
from compliance.models import AuditRecord
from compliance.services import record_audit
from databases.breaker import AliasUnavailable
from databases.middleware import CausalReadsMiddleware
from documents.models import Document, DocumentShare
from outbox.delivery import drain_once
from outbox.models import DeadLetter, OutboxEvent
from tests.homes import databases_of
from tests.people import a_user
from tests.waiting import eventually

APPS = ("analytics", "compliance", "documents", "workspace")
pytestmark = [
    pytest.mark.outage,
    pytest.mark.skipif(
        "analytics" not in connections.settings, reason="In this shape all are one database."
    ),
    pytest.mark.django_db(transaction=True, databases=databases_of(*APPS)),
]
AT = datetime(2026, 3, 1, tzinfo=UTC)
SERVER = "others"


def view_a_page(request: HttpRequest) -> HttpResponse:
    """Answer as an endpoint does that notes who looked at it."""
    number = request.GET["number"]
    services.record_activity(
        name="page.viewed", occurred_at=AT, subject_type="page", subject_id=number
    )
    record_audit(event_type="page.viewed", occurred_at=AT, detail={"number": int(number)})
    return HttpResponse(status=201)


def visit(number: int) -> tuple[HttpResponseBase, float]:
    """Return the answer that the middleware lets out, and how long it took."""
    begun = time.monotonic()
    answer = CausalReadsMiddleware(view_a_page)(RequestFactory().post(f"/?number={number}"))
    return answer, time.monotonic() - begun


def is_delivered() -> bool:
    try:
        drain_once(*APPS)
    except AliasUnavailable:
        return False
    return not OutboxEvent.objects.filter(sink__in=APPS).exists()


def pages() -> list[int]:
    return list(map(int, ActivityEvent.objects.order_by("id").values_list("subject_id", flat=True)))


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_rows_are_accepted_and_come_in_order_each_once(servers, way) -> None:
    answer, _ = visit(0)
    assert "X-Degraded" not in answer.headers

    getattr(servers, way)(SERVER)
    answers = [visit(number) for number in range(1, 50)]
    with pytest.raises(OperationalError):
        Document.objects.create(title="Lease", owner_id=a_user().pk)
    close_old_connections()  # as the end of a request does
    assert not is_delivered()
    servers.start(SERVER)
    eventually(is_delivered)
    answer, _ = visit(50)

    assert {(one.status_code, one.headers["X-Degraded"]) for one, _ in answers} == {
        (201, "analytics, compliance")
    }
    assert max(seconds for _, seconds in answers) < 2.5
    assert sorted(seconds for _, seconds in answers)[-3] < 0.5
    assert "X-Degraded" not in answer.headers
    assert pages() == list(range(51))
    recorded = AuditRecord.objects.order_by("id").values_list("detail", flat=True)
    assert list(recorded) == [{"number": number} for number in range(51)]
    assert not DeadLetter.objects.exists()
    assert not Document.objects.exists()


def test_a_parent_deleted_meanwhile_takes_its_children_along_afterwards(servers) -> None:
    gone, stays = a_user("gone@example.com"), a_user("stays@example.com")
    document = Document.objects.create(title="Lease", owner_id=stays.pk)
    for user in (gone, stays):
        DocumentShare.objects.create(document=document, recipient_id=user.pk, shared_by_id=stays.pk)

    servers.stop(SERVER)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [gone.pk])
    assert not is_delivered()
    servers.start(SERVER)
    eventually(is_delivered)

    assert DocumentShare.objects.get().recipient_id == stays.pk
