"""Operators hear once of what fails and once of its recovery, and no request waits for that."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid

import pytest
from django.core import mail
from django.utils import timezone

from databases.alerts import courier, ledger, raise_alert, watch
from databases.alerts.courier import Courier
from databases.alerts.ledger import Entry, Verdict, decide
from databases.alerts.message import Alert
from databases.breaker import AliasUnavailable, BreakerState
from databases.replica import ReplicaState
from databases.stores import mongo, redis
from tests.listening import SmtpSink, Webhook
from tests.waiting import eventually


@pytest.fixture
def webhook():
    made = Webhook()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def a_clean_ledger(request, monkeypatch):
    """Begin each test as if nothing had ever been told, and leave nothing told or under way."""
    monkeypatch.setattr(ledger, "_remembered", {})
    monkeypatch.setattr(watch, "_usable", {})
    forget_what_was_told()
    yield
    courier.drain(seconds=5)
    courier._courier._waiting.clear()
    eventually(lambda: not redis.breaker().is_open)
    forget_what_was_told()


def forget_what_was_told() -> None:
    ledger.file_path().unlink(missing_ok=True)
    with redis.connection() as client:
        for key in client.scan_iter(ledger.PREFIX + "*"):
            client.delete(key)


@pytest.fixture
def hooked(settings, webhook):
    """Send alerts to the webhook alone."""
    settings.ALERT_WEBHOOK_URL = webhook.url
    settings.ADMINS = []
    return webhook


def an_alert(**parts) -> Alert:
    return Alert(
        **{
            "code": "tests.something",
            "severity": "warning",
            "title": "Something",
            "detail": "It is so.",
            "store": "",
            "state": "failed",
            "at": timezone.now(),
            **parts,
        }
    )


def raised(code: str = "tests.something", **parts) -> None:
    raise_alert(code=code, severity="critical", title="It fails", detail="Look at it.", **parts)


def ask_mongo() -> None:
    with mongo.database() as database:
        database.command("ping")


def test_a_recovery_of_what_did_not_fail_is_no_line_in_the_log(caplog):
    with caplog.at_level("INFO", logger="databases.alerts"):
        raised("tests.logged", recovered=True)
        raised("tests.logged")
        raised("tests.logged", recovered=True)
        raised("tests.logged", recovered=True)

    said = [one for one in caplog.records if getattr(one, "code", "") == "tests.logged"]
    assert [(one.state, one.levelname) for one in said] == [
        ("failed", "WARNING"),
        ("recovered", "INFO"),
    ]


class TestWhatIsTold:
    """The decision, at given moments."""

    def test_a_first_failure_is_told_and_a_recovery_of_nothing_is_not(self):
        assert decide(None, "failed", now=100.0)[0].tell
        assert decide(None, "recovered", now=100.0) == (Verdict(tell=False), None)

    def test_the_same_state_is_never_told_twice(self):
        known = Entry(state="failed", at=0.0, hold=5.0)

        assert not decide(known, "failed", now=1_000.0)[0].tell

    def test_a_change_waits_until_the_hold_has_passed(self):
        known = Entry(state="failed", at=100.0, hold=5.0)

        verdict, entry = decide(known, "recovered", now=102.0)

        assert (verdict.tell, verdict.wait, entry) == (False, 3.0, None)
        assert decide(known, "recovered", now=105.0)[0].tell

    def test_what_flaps_all_day_is_told_ever_more_rarely(self):
        known, told, now = None, 0, 0.0
        state = "failed"
        while now < 86_400:
            verdict, entry = decide(known, state, now=now)
            if verdict.tell:
                known, told = entry, told + 1
                state = "recovered" if state == "failed" else "failed"
            now += 1.0

        assert told < 160  # one every ten minutes, after the first few

    def test_after_a_calm_time_the_hold_is_short_again(self):
        known = Entry(state="recovered", at=0.0, hold=600.0)

        _, entry = decide(known, "failed", now=10_000.0)

        assert entry is not None and entry.hold == ledger.FIRST_HOLD


class TestTheLedger:
    """One of all processes tells; also while Redis is away."""

    def test_only_one_of_many_claims_a_change(self):
        key = uuid.uuid4().hex
        start = threading.Barrier(8)
        verdicts: list[Verdict] = []

        def one() -> None:
            start.wait()
            verdicts.append(ledger.claim(key, "failed"))

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(verdict.tell for verdict in verdicts) == 1

    def test_what_another_process_told_is_known(self, monkeypatch):
        key = uuid.uuid4().hex
        assert ledger.claim(key, "failed").tell
        monkeypatch.setattr(ledger, "_remembered", {})

        assert not ledger.claim(key, "failed").tell
        assert ledger.failing([key, "another"]) == {key}

    def test_while_redis_is_away_the_processes_of_a_machine_agree(self, servers, monkeypatch):
        key = uuid.uuid4().hex
        servers.stop("redis")

        assert ledger.claim(key, "failed").tell
        monkeypatch.setattr(ledger, "_remembered", {})
        assert not ledger.claim(key, "failed").tell
        assert ledger.file_path().stat().st_mode & 0o077 == 0

    def test_a_failure_of_redis_itself_is_followed_by_its_recovery(self, servers, monkeypatch):
        key = uuid.uuid4().hex
        monkeypatch.setattr(ledger, "FIRST_HOLD", 0.0)
        servers.stop("redis")
        assert ledger.claim(key, "failed").tell
        servers.start("redis")
        eventually(lambda: not redis.breaker().is_open)
        monkeypatch.setattr(ledger, "_remembered", {})

        assert ledger.claim(key, "recovered").tell
        assert not ledger.claim(key, "recovered").tell
        assert not ledger.file_path().exists()
        assert ledger.claim(key, "failed").tell or ledger.claim(key, "failed").wait > 0

    def test_a_file_of_somebody_else_is_left_alone(self, servers, tmp_path, monkeypatch):
        servers.stop("redis")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_text("{}")
        ledger.file_path().symlink_to(elsewhere)
        key = uuid.uuid4().hex

        assert ledger.claim(key, "failed").tell
        assert not ledger.claim(key, "failed").tell  # it remembers for itself
        assert elsewhere.read_text() == "{}"


class TestTheCourier:
    """One thread, outside requests."""

    def test_only_the_newest_state_waits(self):
        told: list[str] = []
        over = threading.Event()
        taken = Courier(
            claim=lambda _key, _state: Verdict(tell=over.is_set(), wait=0.05),
            ways=lambda: {"list": lambda alert: told.append(alert.title)},
        )

        for title in ("first", "second", "third", "last"):
            taken.submit(an_alert(title=title))
        over.set()
        eventually(lambda: told)
        taken.drain(seconds=5)

        assert told[-1] == "last"
        assert len(told) <= 2  # the one that was being asked about when the hold passed

    def test_a_channel_that_fails_is_tried_again_and_others_are_told_once(self, monkeypatch):
        monkeypatch.setattr(courier, "RETRY_PAUSES", (0.05, 0.05))
        tried: list[str] = []

        def broken(alert: Alert) -> None:
            tried.append("broken")
            if len(tried) < 4:
                raise OSError("nobody there")

        taken = Courier(
            claim=lambda _key, _state: Verdict(tell=True),
            ways=lambda: {"broken": broken, "fine": lambda _alert: tried.append("fine")},
        )
        taken.submit(an_alert())

        eventually(lambda: tried.count("broken") == 3)
        assert tried.count("fine") == 1

    def test_there_is_an_end_to_what_waits(self):
        taken = Courier(claim=lambda _key, _state: Verdict(tell=False, wait=60), ways=dict)

        for number in range(courier.MOST_WAITING * 2):
            taken.submit(an_alert(code=f"tests.{number}"))

        assert len(taken._waiting) <= courier.MOST_WAITING

    def test_its_thread_ends_when_there_is_nothing_to_do(self):
        taken = Courier(claim=lambda _key, _state: Verdict(tell=False), ways=dict)
        taken.submit(an_alert())

        eventually(lambda: taken._thread is None)


class TestToTheWebhook:
    def test_the_document_says_what_and_where(self, hooked):
        raised("tests.lag", store="mongodb")
        eventually(lambda: hooked.posted)

        (told,) = hooked.posted
        assert {key: told[key] for key in ("code", "severity", "state", "store")} == {
            "code": "tests.lag",
            "severity": "critical",
            "state": "failed",
            "store": "mongodb",
        }
        assert told["title"] == "It fails"
        assert "It fails" in told["text"]

    def test_repeating_an_alert_tells_nothing_new(self, hooked):
        for _ in range(50):
            raised()
        courier.drain(seconds=5)

        assert len(hooked.posted) == 1

    def test_secrets_in_a_text_are_masked_and_lines_joined(self, hooked):
        raise_alert(
            code="tests.text",
            severity="warning",
            title="Two\r\nlines",
            detail="postgresql://user:swordfish@host/name password=swordfish " + "x" * 5_000,
        )
        eventually(lambda: hooked.posted)

        assert hooked.posted[0]["title"] == "Two lines"
        assert "swordfish" not in json.dumps(hooked.posted)
        assert len(hooked.posted[0]["detail"]) <= 1_000

    def test_nobody_waits_for_one_that_hangs(self, hooked):
        hooked.answering.clear()
        begun = time.perf_counter()

        raised()

        assert time.perf_counter() - begun < 0.1

    def test_a_refusal_is_logged_without_the_address(self, hooked, caplog):
        hooked.status = 500
        raised()
        eventually(lambda: "alert.not_delivered" in caplog.messages)

        assert "a-secret-of-the-hook" not in caplog.text + str(
            [vars(record) for record in caplog.records]
        )

    def test_one_that_is_dead_hurts_nobody(self, settings, caplog):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            settings.ALERT_WEBHOOK_URL = f"http://127.0.0.1:{free.getsockname()[1]}/"
            raised()
            eventually(lambda: "alert.not_delivered" in caplog.messages)


class TestByMail:
    @pytest.fixture
    def admins(self, settings):
        settings.ALERT_WEBHOOK_URL = ""
        settings.ADMINS = [("Ops", "ops@example.org"), ("", "night@example.org")]

    def test_all_admins_get_one_message(self, admins):
        raised("tests.mail", store="cache")
        eventually(lambda: mail.outbox)

        (message,) = mail.outbox
        assert message.to == ["ops@example.org", "night@example.org"]
        assert message.subject == "[Polystore] critical: It fails"
        assert "Store: cache" in message.body

    def test_it_reaches_a_real_mail_server(self, admins, settings):
        sink = SmtpSink()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
        try:
            raised()
            eventually(lambda: sink.received)
        finally:
            sink.close()

        assert "Subject: [Polystore] critical: It fails" in sink.received[0]

    def test_without_anybody_to_tell_nothing_is_claimed(self, settings):
        settings.ADMINS, settings.ALERT_WEBHOOK_URL = [], ""

        raised("tests.nobody")
        courier.drain(seconds=5)

        assert ledger.claim("tests.nobody:", "failed").tell


@pytest.mark.outage
class TestAStoreThatFails:
    """Real servers, stopped and started."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        monkeypatch.setattr(ledger, "FIRST_HOLD", 0.2)

    def test_is_told_once_and_its_recovery_once(self, hooked, servers):
        servers.stop("mongodb")
        for _ in range(20):
            with pytest.raises(AliasUnavailable):
                ask_mongo()
        eventually(lambda: hooked.of("mongodb") == ["failed"])

        servers.start("mongodb")
        eventually(lambda: hooked.of("mongodb") == ["failed", "recovered"])
        ask_mongo()

        courier.drain(seconds=5)
        assert hooked.of("mongodb") == ["failed", "recovered"]
        assert hooked.posted[0]["code"] == "databases.down"
        assert "127.0.0.1" not in json.dumps(hooked.posted)

    def test_redis_too_although_redis_keeps_the_ledger(self, hooked, servers):
        servers.stop("redis")
        with pytest.raises(AliasUnavailable), redis.connection() as client:
            client.ping()
        eventually(lambda: hooked.of("redis") == ["failed"])

        servers.start("redis")
        eventually(lambda: hooked.of("redis") == ["failed", "recovered"])

    def test_its_recovery_is_told_also_when_those_who_told_the_failure_are_gone(
        self, hooked, servers, monkeypatch
    ):
        watch.note_breaker(a_breaker("mongodb", is_open=True))
        eventually(lambda: hooked.of("mongodb") == ["failed"])
        monkeypatch.setattr(ledger, "_remembered", {})

        def made_up() -> bool:
            watch.make_up()  # as beat does all the time: another test may just have stopped MongoDB
            return hooked.of("mongodb") == ["failed", "recovered"]

        eventually(made_up)

    def test_one_that_is_still_down_is_not_told_to_be_back(self, hooked, servers):
        servers.stop("mongodb")
        watch.note_breaker(a_breaker("mongodb", is_open=True))
        eventually(lambda: hooked.of("mongodb") == ["failed"])

        watch.make_up()
        courier.drain(seconds=5)

        assert hooked.of("mongodb") == ["failed"]


class TestAReplicaThatDropsOut:
    def test_is_a_fallback_to_its_primary_whatever_the_reason(self, hooked, monkeypatch):
        monkeypatch.setattr(ledger, "FIRST_HOLD", 0.0)

        watch.note_replica(a_replica("promoted: it is a primary of its own now"))
        watch.note_replica(a_replica("promoted: it is a primary of its own now"))
        eventually(lambda: hooked.of("replica") == ["failed"])
        watch.note_replica(a_replica(""))
        eventually(lambda: hooked.of("replica") == ["failed", "recovered"])

        assert hooked.posted[0]["code"] == "databases.fallback"
        assert hooked.posted[0]["severity"] == "warning"
        assert "promoted" in hooked.posted[0]["detail"]

    def test_says_nothing_while_all_is_well(self, hooked):
        watch.note_replica(a_replica(""))
        courier.drain(seconds=5)

        assert hooked.posted == []

    def test_one_whose_breaker_closes_is_not_yet_usable(self, hooked, monkeypatch):
        monkeypatch.setattr(ledger, "FIRST_HOLD", 0.0)

        watch.note_breaker(a_breaker("replica", is_open=True))
        eventually(lambda: hooked.of("replica") == ["failed"])
        watch.note_breaker(a_breaker("replica", is_open=False))
        watch.note_replica(a_replica("behind: 99 bytes, 20.0 s"))
        courier.drain(seconds=5)
        assert hooked.of("replica") == ["failed"]

        watch.note_replica(a_replica(""))
        eventually(lambda: hooked.of("replica") == ["failed", "recovered"])


def a_breaker(store: str, *, is_open: bool) -> BreakerState:
    return BreakerState(
        store=store,
        open=is_open,
        reason='connection to server at "10.1.2.3" failed: Connection refused' if is_open else "",
        since=timezone.now(),
        opened=1,
        refused=0,
    )


def a_replica(reason: str) -> ReplicaState:
    return ReplicaState(
        alias="replica",
        usable=not reason,
        reason=reason,
        replayed=1,
        lag_bytes=0,
        lag_seconds=0.0,
        region="",
    )
