"""Whoever wrote something sees it, on whatever database they read next."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from contextlib import contextmanager

import psycopg
import pytest
from asgiref.sync import sync_to_async
from celery.signals import before_task_publish
from django.db import connection, connections, router, transaction
from django.db.utils import Error, OperationalError
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path

from accounts.models import User
from customers.models import BusinessEntity
from databases import causality, replica
from databases.causality import COOKIE, HEADER, CausalState, causal_scope, use_primary
from databases.middleware import settle
from databases.probe import ask, conninfo_of
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif("replica" not in connections.settings, reason="this shape has no replica"),
    pytest.mark.django_db(transaction=True, databases=["default", "replica"]),
]


@pytest.fixture(autouse=True)
def fresh_knowledge():
    """Let each test's replica be looked at anew, once it has the test database."""
    User.objects.create(pk=OWNER, email="owner@example.org")
    copy = replica.get("replica")
    eventually(lambda: copy.look().usable and copy.state().lag_bytes == 0)
    yield
    connections["replica"].close()
    eventually(lambda: copy.look().usable)
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_resume()")
    connections["replica"].close()


@contextmanager
def replay_paused():
    """Keep the replica where it is; it goes on receiving."""
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_pause()")
    yield
    connections["replica"].close()
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_resume()")


OWNER = uuid.UUID(int=7)


def an_entity(name: str = "Acme") -> BusinessEntity:
    return BusinessEntity.objects.create(legal_name=name, owner_id=OWNER)


def reads_from() -> str:
    return router.db_for_read(BusinessEntity)


class TestInOneScope:
    def test_who_wrote_nothing_reads_from_the_replica(self):
        with causal_scope():
            assert reads_from() == "replica"

    def test_who_wrote_reads_from_the_primary(self):
        with causal_scope():
            an_entity()

            assert reads_from() == "default"

    def test_who_wrote_reads_from_the_replica_once_it_has_replayed_that(self):
        with causal_scope() as state:
            written = an_entity()
            settle(state)

            eventually(lambda: reads_from() == "replica")

            assert BusinessEntity.objects.using("replica").filter(pk=written.pk).exists()

    def test_a_replica_that_has_not_replayed_the_write_is_not_read(self):
        with causal_scope() as state, replay_paused():
            an_entity()
            settle(state)

            assert {reads_from() for _ in range(100)} == {"default"}

    def test_what_somebody_else_wrote_pins_nobody(self):
        with causal_scope():
            an_entity()

        with causal_scope():
            assert reads_from() == "replica"

    def test_a_transaction_reads_on_its_own_connection(self):
        with causal_scope(), transaction.atomic():
            assert reads_from() == "default"

    def test_a_transaction_that_rolled_back_pins_nobody(self):
        with causal_scope():
            with pytest.raises(RuntimeError, match="no"), transaction.atomic():
                an_entity()
                raise RuntimeError("no")

            assert reads_from() == "replica"

    def test_a_raw_cursor_that_writes_pins(self):
        with causal_scope():
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO databases_placement (app_label, alias, epoch, left_existing)"
                    " VALUES ('x', 'default', 1, false)"
                )

            assert reads_from() == "default"

    def test_a_get_or_create_that_found_its_row_pins_nobody(self):
        known = an_entity()
        with causal_scope() as state:
            BusinessEntity.objects.using("default").get_or_create(pk=known.pk)

            assert not state.wrote

    def test_use_primary_keeps_reads_on_the_primary(self):
        with causal_scope():
            with use_primary():
                assert reads_from() == "default"

            assert reads_from() == "replica"

    def test_a_time_pin_keeps_reads_on_the_primary(self):
        with causal_scope() as state:
            state.pin(5)

            assert reads_from() == "default"


class TestACopyThatIsNoGoodCopy:
    def test_a_stopped_replica_is_left_alone_and_the_reason_is_kept(self, servers):
        copy = replica.get("replica")
        servers.stop("replica")

        with causal_scope() as state:
            eventually(lambda: reads_from() == "default")

            assert state.degraded == {"replica"}
        assert copy.state().reason.startswith("down")
        servers.start("replica")
        eventually(lambda: copy.look().usable)

    def test_a_paused_replica_costs_its_callers_next_to_nothing(self, servers):
        servers.pause("replica")

        with causal_scope():
            eventually(lambda: reads_from() == "default")

    def test_a_promoted_replica_is_never_read(self, servers):
        copy = replica.get("replica")
        with causal_scope():
            assert reads_from() == "replica"
            with connections["replica"].cursor() as cursor:
                cursor.execute("SELECT pg_promote(wait => false)")

            eventually(lambda: reads_from() == "default")
            assert copy.state().reason.startswith("promoted")
            assert {reads_from() for _ in range(500)} == {"default"}

    def test_a_replica_that_is_cut_off_from_its_primary_is_left_alone(self, servers):
        copy = replica.get("replica")
        with connections["replica"].cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET primary_conninfo = 'host=/nonexistent'")
            cursor.execute("SELECT pg_reload_conf()")
        try:
            eventually(lambda: copy.look().reason.startswith("cut off"))
            with causal_scope():
                assert reads_from() == "default"
        finally:
            with connections["replica"].cursor() as cursor:
                cursor.execute("ALTER SYSTEM RESET primary_conninfo")
                cursor.execute("SELECT pg_reload_conf()")
            eventually(lambda: copy.look().usable)


# Requests ---------------------------------------------------------------------------------------


def write(request):
    return JsonResponse({"id": str(an_entity(request.GET["name"]).pk)})


def read(request):
    found = BusinessEntity.objects.filter(legal_name=request.GET["name"]).count()
    return JsonResponse({"found": found, "from": router.db_for_read(BusinessEntity)})


def do_nothing(request):
    return HttpResponse()


async def write_async(request):
    made = await sync_to_async(an_entity)(request.GET["name"])
    inside = await sync_to_async(reads_from)()
    return JsonResponse({"id": str(made.pk), "from": inside})


def write_and_send(request):
    made = an_entity(request.GET["name"])
    headers: dict[str, str] = {}
    before_task_publish.send(sender="a-task", headers=headers)
    return JsonResponse({"id": str(made.pk), "sent": headers})


urlpatterns = [
    path("write-and-send", write_and_send),
    path("write", write),
    path("read", read),
    path("nothing", do_nothing),
    path("write-async", write_async),
]


@pytest.mark.urls(__name__)
class TestAcrossRequests:
    def test_the_next_request_of_a_browser_sees_the_write(self):
        browser = Client()
        with replay_paused():
            browser.get("/write", {"name": "mine"})
            answer = browser.get("/read", {"name": "mine"}).json()

        assert answer == {"found": 1, "from": "default"}

    def test_another_browser_reads_from_the_replica_meanwhile(self):
        with replay_paused():
            Client().get("/write", {"name": "mine"})
            answer = Client().get("/read", {"name": "mine"}).json()

        assert answer == {"found": 0, "from": "replica"}

    def test_a_program_carries_the_token_in_a_header(self):
        with replay_paused():
            token = Client().get("/write", {"name": "mine"})[HEADER]
            answer = Client().get("/read", {"name": "mine"}, headers={HEADER: token}).json()

        assert answer == {"found": 1, "from": "default"}

    def test_cookie_and_header_are_the_same_and_the_cookie_is_not_for_scripts(self):
        response = Client().get("/write", {"name": "mine"})

        cookie = response.cookies[COOKIE]
        assert cookie.value == response[HEADER]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"

    def test_a_request_that_sent_a_task_after_its_write_still_hands_out_its_token(self):
        response = Client().get("/write-and-send", {"name": "mine"})

        assert response[HEADER].startswith("v1.default-")
        assert response.cookies[COOKIE].value == response[HEADER]

    def test_a_request_that_wrote_nothing_gets_no_token(self):
        response = Client().get("/nothing")

        assert HEADER not in response
        assert COOKIE not in response.cookies

    @pytest.mark.parametrize(
        "forged", ["", "v1", "v1.default-zz", "v2.default-1", "x" * 5000, "v1.default-1;drop"]
    )
    def test_a_token_that_makes_no_sense_is_ignored(self, forged):
        answer = Client().get("/read", {"name": "x"}, headers={HEADER: forged})

        assert answer.json()["from"] == "replica"

    def test_a_forged_token_costs_only_its_sender_the_replica(self):
        far = "v1.default-ffffffffffffffff"

        assert Client().get("/read", {"name": "x"}, headers={HEADER: far}).json()["from"] == (
            "default"
        )
        assert Client().get("/read", {"name": "x"}).json()["from"] == "replica"

    def test_a_write_in_an_async_view_is_seen_by_its_own_later_reads_and_the_next_request(self):
        async def scenario():
            client = AsyncClient()
            first = await client.get("/write-async", {"name": "mine"})
            await sync_to_async(connections.close_all)()
            return first.json()["from"], first.cookies[COOKIE].value

        inside, token = asyncio.run(scenario())

        assert inside == "default"
        assert token.startswith("v1.default-")


class TestIsolation:
    def test_two_coroutines_of_two_users_never_see_each_others_writes_as_their_own(self):
        async def one(*, writes: bool, ready: asyncio.Barrier) -> str:
            with causal_scope() as state:
                if writes:
                    state.wrote.add("default")
                await ready.wait()
                return await sync_to_async(reads_from)()

        async def both() -> list[str]:
            ready = asyncio.Barrier(2)
            return list(
                await asyncio.gather(one(writes=True, ready=ready), one(writes=False, ready=ready))
            )

        assert asyncio.run(both()) == ["default", "replica"]

    def test_a_thread_that_is_handed_the_state_shares_it(self):
        seen: list[str] = []

        def work(state: CausalState) -> None:
            with causal_scope(state):
                an_entity()
            connections.close_all()

        with causal_scope() as state:
            helper = threading.Thread(target=work, args=(state,))
            helper.start()
            helper.join()
            seen.append(reads_from())

        assert seen == ["default"]

    def test_a_thread_without_a_state_reads_no_replica(self):
        seen: list[str] = []

        with causal_scope():
            helper = threading.Thread(target=lambda: seen.append(reads_from()))
            helper.start()
            helper.join()

        assert seen == ["default"]

    def test_nothing_is_left_behind_after_a_scope(self):
        with causal_scope():
            an_entity()

        assert causality.current() is None


class TestTheToken:
    def test_survives_the_way_there_and_back(self):
        state = CausalState()
        state.positions = {"default": 123456789, "cache": 42}

        other = CausalState()
        other.absorb(state.token())

        assert other.positions == state.positions

    def test_only_ever_rises(self):
        state = CausalState()
        state.absorb("v1.default-ff")
        state.absorb("v1.default-1")

        assert state.positions == {"default": 255}

    def test_carries_a_pin_but_none_that_lasts_for_ever(self):
        state = CausalState()
        state.absorb("v1.pin-ffffffffffff")

        assert state.requires_primary("default")
        other = CausalState()
        other.absorb(state.token())
        assert other.primary_only_until <= state.primary_only_until + 1


class TestTheGate:
    def test_a_position_that_is_known_to_be_replayed_costs_no_query(self):
        copy = replica.get("replica")
        with causal_scope():
            reads_from()
            checked = copy._checked_at

            for _ in range(1000):
                assert copy.may_serve(copy.replayed)

            assert copy._checked_at == checked or copy._checked_at - checked > 0.9

    def test_a_position_that_is_not_replayed_is_asked_for_at_most_every_5_ms(self):
        copy = replica.get("replica")
        asked: list[float] = []
        original = copy._ask

        def counting(**kwargs) -> None:
            asked.append(1)
            original(**kwargs)

        copy._ask = counting  # type: ignore[method-assign]
        try:
            far = 1 << 60
            begun = time.monotonic()
            for _ in range(5000):
                copy.may_serve(far)
            seconds = time.monotonic() - begun
        finally:
            del copy._ask

        assert len(asked) <= seconds / replica.CHECK_EVERY + 2


class TestAReadThatItsReplicaFails:
    def test_is_repeated_on_the_primary_when_the_connection_is_lost(self, servers):
        known = an_entity()
        with causal_scope() as state, connections["replica"].cursor() as cursor:
            cursor.execute("SELECT 1")
            servers.stop("replica")

            found = BusinessEntity.objects.using("replica").get(pk=known.pk)

            assert found == known
            assert state.degraded == {"replica"}

    def test_is_repeated_on_the_primary_when_it_conflicts_with_recovery(self):
        for _ in range(100):
            an_entity()
        eventually(lambda: replica.get("replica").look().lag_bytes == 0)
        with conflicts_cancel_at_once(), causal_scope() as state:
            vacuum = threading.Thread(target=delete_and_vacuum_while_the_replica_reads)
            vacuum.start()
            with connections["replica"].cursor() as cursor:
                cursor.execute("SELECT count(*) FROM generate_series(1, 20000000)")
                found = cursor.fetchone()
            vacuum.join()

        assert found == (20000000,)
        assert state.degraded == {"replica"}

    def test_is_repeated_on_the_primary_when_replay_holds_a_lock_that_it_wants(self):
        known = an_entity()
        with psycopg.connect(conninfo_of(connections.settings["default"])) as other:
            other.execute("LOCK TABLE customers_businessentity IN ACCESS EXCLUSIVE MODE")
            # Its commit takes the lock's record along to the replica.
            User.objects.create(email="another@example.org")
            eventually(lambda: replica.get("replica").look().lag_bytes == 0)
            with replay_paused():
                other.rollback()

                begun = time.monotonic()
                with causal_scope() as state:
                    found = BusinessEntity.objects.using("replica").get(pk=known.pk)

        assert found == known
        assert state.degraded == {"replica"}
        assert time.monotonic() - begun < 4

    def test_is_not_repeated_inside_a_transaction(self, servers):
        with pytest.raises(OperationalError), transaction.atomic(using="replica"):
            list(BusinessEntity.objects.using("replica"))
            servers.stop("replica")
            list(BusinessEntity.objects.using("replica"))

    def test_a_write_sent_to_a_replica_never_reaches_the_primary_instead(self, servers):
        known = an_entity("before")
        with connections["replica"].cursor() as cursor:
            cursor.execute("SELECT 1")
        servers.stop("replica")

        with pytest.raises(Error):
            BusinessEntity.objects.using("replica").filter(pk=known.pk).update(legal_name="after")

        known.refresh_from_db(using="default")
        assert known.legal_name == "before"


@contextmanager
def conflicts_cancel_at_once():
    """Let the replica cancel whatever holds up replay."""
    with connections["replica"].cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        cursor.execute("SELECT pg_reload_conf()")
    yield
    connections["replica"].close()
    with connections["replica"].cursor() as cursor:
        cursor.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
        cursor.execute("SELECT pg_reload_conf()")


def delete_and_vacuum_while_the_replica_reads():
    """Remove row versions on the primary that a statement on the replica might still want."""
    reading = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM generate%'"
    conninfo = conninfo_of(connections.settings["replica"])
    eventually(lambda: ask(conninfo, reading, timeout=1))
    BusinessEntity.objects.all().delete()
    with connections["default"].cursor() as cursor:
        cursor.execute("VACUUM customers_businessentity")
    connections.close_all()


class TestAReplicaThatIsFarBehind:
    def test_is_left_alone_by_everybody_until_it_has_caught_up(self):
        copy = replica.get("replica")
        with replay_paused():
            an_entity()
            eventually(lambda: copy.look().lag_bytes > 0)
            assert copy.state().usable

            # As if the look that saw the primary's newest position lay further back.
            copy._positions.appendleft((time.monotonic() - 60, copy._positions[-1][1]))

            assert copy.look().reason.startswith("behind")
            with causal_scope():
                assert reads_from() == "default"

        eventually(lambda: copy.look().usable)

    def test_checks_for_a_token_do_not_shorten_the_memory_of_the_lag(self):
        copy = replica.get("replica")
        copy._positions.clear()
        begun = time.monotonic()
        eventually(lambda: not copy.may_serve(1 << 60) and time.monotonic() - begun > 1.2)

        assert len(copy._positions) <= 4
