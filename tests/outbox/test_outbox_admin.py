"""Operators see the outbox in the admin, and change what they may: nobody else does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from outbox import charts, health, upkeep
from outbox.models import DeadLetter, OutboxEvent, QueueSample
from tests.homes import databases_of
from tests.people import a_superuser, a_user, an_operator, signed_in

pytestmark = pytest.mark.django_db(databases=databases_of("accounts"), transaction=True)

PAGE = "/admin/outbox/overview/"
SWITCH = "/admin/outbox/overview/switch/"
DEAD = "/admin/outbox/deadletter/"
WAITING = "/admin/outbox/outboxevent/"
MAY_LOOK = "outbox.view_outboxevent"
MAY_OPERATE = "outbox.operate_delivery"


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    monkeypatch.setattr(health, "_last", None)


def a_dead_letter(number: int = 1, **fields) -> DeadLetter:
    return DeadLetter.objects.create(
        **{
            "id": number,
            "sink": "mongodb",
            "aggregate_type": "note",
            "aggregate_id": f"note-{number}",
            "type": "note.changed",
            "schema": 1,
            "created_at": timezone.now(),
            "attempts": 8,
            "kind": "KeyError in projections.load",
            "reason": "Tried 8 times.",
            **fields,
        }
    )


def a_waiting_event(number: int = 1, sink: str = "mongodb") -> OutboxEvent:
    return OutboxEvent.objects.create(
        id=number, sink=sink, shard=1, aggregate_type="note", aggregate_id=f"note-{number}",
        type="note.changed",
    )  # fmt: skip


def notes_waiting():
    """Return the waiting events, but those of the users that the tests make."""
    return OutboxEvent.objects.filter(aggregate_type="note")


def act(client: Client, where: str, action: str, *ids: int, **more: str):
    return client.post(where, {"action": action, "_selected_action": list(ids), **more})


class TestThePage:
    def test_shows_the_queue_its_state_and_charts(self) -> None:
        a_waiting_event()
        a_dead_letter()
        now = timezone.now().replace(second=0, microsecond=0)
        for minutes in range(10):
            QueueSample.objects.create(
                minute=now - timedelta(minutes=minutes), waiting=minutes, lag_seconds=0.5,
                last_id=1_000 - minutes * 60, dead=0,
            )  # fmt: skip

        page = signed_in(an_operator(MAY_LOOK)).get(PAGE)
        text = page.content.decode()

        assert page.status_code == 200
        assert "mongodb" in text and "Delivery runs." in text
        assert text.count("<svg") >= 10 and text.count("<polyline") == 10
        assert "src=" not in text[text.index("<figure") : text.rindex("</figure>")]

    def test_is_for_those_who_may_see_events(self) -> None:
        assert Client().get(PAGE).status_code == 302
        assert signed_in(a_user()).get(PAGE).status_code == 302
        assert signed_in(an_operator()).get(PAGE).status_code == 403
        assert signed_in(a_superuser()).post(PAGE).status_code == 405

    def test_stands_in_the_side_bar_of_those_who_may(self) -> None:
        def listed(client: Client) -> list[str]:
            groups = client.get("/admin/").context["sidebar_navigation"]
            return [item["title"] for group in groups for item in group["items"]]

        assert {"Outbox", "Dead letters"} <= set(listed(signed_in(a_superuser())))
        assert "Outbox" not in listed(signed_in(an_operator("accounts.view_user")))


class TestTheSwitch:
    def test_is_offered_and_asks_first(self) -> None:
        client = signed_in(an_operator(MAY_LOOK, MAY_OPERATE))

        assert "Pause delivery" in client.get(PAGE).content.decode()
        assert "Yes, pause delivery" not in client.get(PAGE).content.decode()
        assert "Yes, pause delivery" in client.get(f"{PAGE}?switch=1").content.decode()
        assert upkeep.state().paused_at is None

    def test_pauses_and_resumes_and_both_are_logged(self) -> None:
        operator = an_operator(MAY_LOOK, MAY_OPERATE)
        client = signed_in(operator)

        text = client.post(
            SWITCH, {"to": "paused", "reason": "MongoDB moves <b>"}, follow=True
        ).content.decode()
        state = upkeep.state()

        assert state.paused_at is not None
        assert (state.paused_by, state.reason) == (operator.email, "MongoDB moves <b>")
        assert "Delivery is paused" in text and "MongoDB moves &lt;b&gt;" in text

        client.post(SWITCH, {"to": "running"})
        assert upkeep.state().paused_at is None
        messages = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
        assert list(messages) == ["Paused delivery. MongoDB moves <b>", "Let delivery go on."]

    def test_does_nothing_twice(self) -> None:
        client = signed_in(an_operator(MAY_LOOK, MAY_OPERATE))

        client.post(SWITCH, {"to": "running"})

        assert LogEntry.objects.count() == 0

    def test_is_for_those_who_may_operate_delivery(self) -> None:
        client = signed_in(an_operator(MAY_LOOK))

        assert client.post(SWITCH, {"to": "paused"}).status_code == 403
        assert "Pause delivery" not in client.get(f"{PAGE}?switch=1").content.decode()
        assert Client().post(SWITCH, {"to": "paused"}).status_code == 302
        assert upkeep.state().paused_at is None

    def test_wants_a_post_with_its_token(self) -> None:
        operator = an_operator(MAY_LOOK, MAY_OPERATE)
        client = Client(enforce_csrf_checks=True)
        client.force_login(operator)

        assert client.post(SWITCH, {"to": "paused"}).status_code == 403
        assert client.get(SWITCH).status_code == 405
        assert upkeep.state().paused_at is None


class TestDeadLetters:
    def test_are_listed_found_and_filtered(self) -> None:
        a_dead_letter(1)
        a_dead_letter(2, sink="analytics")
        client = signed_in(an_operator("outbox.view_deadletter"))

        assert "note-1" in client.get(DEAD).content.decode()
        filtered = client.get(f"{DEAD}?sink=analytics").content.decode()
        assert "note-2" in filtered and "note-1" not in filtered
        found = client.get(f"{DEAD}?q=note-1").content.decode()
        assert "note-1" in found and "note-2" not in found
        assert client.get(f"{DEAD}1/change/").status_code == 200

    def test_are_put_back_by_those_who_may(self) -> None:
        a_dead_letter(1)
        a_dead_letter(2)
        client = signed_in(an_operator("outbox.view_deadletter", "outbox.replay_deadletter"))

        assert act(client, DEAD, "replay", 1).status_code == 302

        assert list(DeadLetter.objects.values_list("pk", flat=True)) == [2]
        assert notes_waiting().get().aggregate_id == "note-1"
        assert LogEntry.objects.get().change_message == "Put back into the queue."

    def test_are_not_put_back_nor_deleted_by_those_who_may_only_look(self) -> None:
        a_dead_letter(1)
        client = signed_in(an_operator("outbox.view_deadletter"))

        act(client, DEAD, "replay", 1)
        act(client, DEAD, "delete_selected", 1, post="yes")

        assert DeadLetter.objects.count() == 1
        assert notes_waiting().count() == 0
        assert client.post(f"{DEAD}1/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{DEAD}add/").status_code == 403

    def test_are_deleted_by_those_who_may_and_that_is_logged(self) -> None:
        a_dead_letter(1)
        client = signed_in(an_operator("outbox.view_deadletter", "outbox.delete_deadletter"))

        act(client, DEAD, "delete_selected", 1, post="yes")

        assert DeadLetter.objects.count() == 0
        assert LogEntry.objects.get().object_id == "1"


class TestWaitingEvents:
    def test_are_listed_and_cannot_be_changed(self) -> None:
        a_waiting_event(7)
        client = signed_in(an_operator(MAY_LOOK, "outbox.change_outboxevent"))

        assert "note-7" in client.get(WAITING).content.decode()
        assert client.get(f"{WAITING}7/change/").status_code == 200
        assert client.post(f"{WAITING}7/change/", {"sink": "x"}).status_code == 403

    def test_are_deleted_by_those_who_may(self) -> None:
        a_waiting_event(7)
        looker = signed_in(an_operator(MAY_LOOK))
        act(looker, WAITING, "delete_selected", 7, post="yes")
        assert notes_waiting().count() == 1

        deleter = signed_in(
            an_operator(MAY_LOOK, "outbox.delete_outboxevent", email="other@example.com")
        )
        act(deleter, WAITING, "delete_selected", 7, post="yes")

        assert notes_waiting().count() == 0
        assert LogEntry.objects.get().object_id == "7"


class TestCharts:
    def sample(self, minute: int, **fields) -> QueueSample:
        at = self.now - timedelta(minutes=minute)
        values = {"waiting": 0, "lag_seconds": 0.0, "last_id": 0, "dead": 0, **fields}
        return QueueSample(minute=at, **values)

    now = timezone.now().replace(second=0, microsecond=0)

    def test_are_drawn_without_samples(self) -> None:
        assert {chart.latest for chart in charts.charts([], now=self.now)} == {"no samples"}

    def test_count_what_left_the_queue(self) -> None:
        samples = [
            self.sample(3, last_id=100, waiting=10),
            self.sample(2, last_id=160, waiting=0),  # 60 recorded, and 10 fewer wait
            self.sample(1, last_id=260, waiting=40, dead=5),
        ]

        assert [value for _, value in charts.throughput(samples)] == [70, 55]

    def test_draw_no_line_where_nobody_measured(self) -> None:
        samples = [self.sample(minute, waiting=5) for minute in (50, 49, 48, 10, 9, 8)]

        waiting = charts.charts(samples, now=self.now)[0]

        assert waiting.svg.count("<polyline") == 2

    def test_keep_the_highest_of_what_is_drawn_as_one(self) -> None:
        samples = [self.sample(minute, waiting=1) for minute in range(1_400, 0, -1)]
        samples[700].waiting = 499

        day = charts.charts(samples, now=self.now)[1]

        assert (day.title, day.span) == ("Waiting events", "last day")
        assert ">500<" in day.svg
        assert day.svg.count("<polyline") == 1
        assert day.svg.count(",") < 400


@pytest.mark.parametrize("query", ["sink=%00", "type__exact=%00", "aggregate_type=%00"])
@pytest.mark.parametrize("where", [WAITING, DEAD])
def test_a_filter_that_no_text_can_equal_is_refused_and_fails_nothing(where, query) -> None:
    browser = signed_in(a_superuser())

    assert browser.get(f"{where}?{query}").status_code == 400
    assert browser.get(f"{where}?{query.replace('%00', 'x')}").status_code == 200


def test_a_reason_is_kept_without_what_no_database_stores() -> None:
    browser = signed_in(an_operator(MAY_LOOK, MAY_OPERATE))

    assert browser.post(SWITCH, {"to": "paused", "reason": "a\0b"}).status_code == 302
    assert upkeep.state().reason == "ab"
    upkeep.resume()
