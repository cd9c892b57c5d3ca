"""Backups that staff ask for and that the schedule makes: one at a time, kept, and watched."""

from __future__ import annotations

import base64
import json
import shutil
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from databases import tasks
from databases.alerts import courier, ledger
from databases.backup import history, keeping, making, manifest
from databases.backup.history import BackupUnderWay, Origin
from databases.models import BackupRun
from databases.stores import redis
from tests.homes import databases_of
from tests.listening import Webhook
from tests.people import a_superuser, a_user, an_operator, signed_in
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(databases=databases_of())
FULL = "/api/backup/full"


@pytest.fixture(autouse=True)
def home(settings, tmp_path) -> Path:
    """Configure a folder for backups, and a schedule."""
    settings.BACKUP_DIR = str(tmp_path / "backups")
    settings.BACKUP_EVERY_HOURS = 24
    settings.BACKUP_KEEP = 2
    settings.BACKUP_MAX_AGE_HOURS = 36
    folder = Path(settings.BACKUP_DIR)
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def an_empty_queue():
    """Leave no task behind that a worker of another test would take."""
    yield
    with redis.connection() as client:
        client.delete("celery")


@pytest.fixture
def webhook(settings):
    """Listen to alerts, and forget those that were told before."""
    forget()
    made = Webhook()
    settings.ALERT_WEBHOOK_URL = made.url
    settings.ADMINS = []
    yield made
    courier.drain(seconds=5)
    courier._courier._waiting.clear()
    made.close()
    forget()


def forget() -> None:
    ledger.file_path().unlink(missing_ok=True)
    with redis.connection() as client:
        for key in client.scan_iter(ledger.PREFIX + "backups.*"):
            client.delete(key)


def told(webhook: Webhook, code: str) -> list[str]:
    return [each["state"] for each in webhook.posted if each["code"] == code]


def older(backup: Path, *, hours: int) -> Path:
    """Return a copy of a backup that was made earlier."""
    known = manifest.read(backup)
    began = keeping.Kept(folder=backup, manifest=known).started_at - timedelta(hours=hours)
    folder = backup.with_name(
        f"polystore-{began.strftime('%Y%m%dT%H%M%SZ')}-{uuid.uuid4().hex[:8]}"
    )
    shutil.copytree(backup, folder)
    manifest.write(folder, replace(known, started_at=began.isoformat()))
    return folder


class TestTheEndpoint:
    def test_starts_one_and_tells_its_state(self, home):
        staff = an_operator()
        browser = signed_in(staff)

        answer = browser.post(FULL)

        assert answer.status_code == 202, answer.content
        run = answer.json()
        assert run["state"] == "queued"
        assert BackupRun.objects.get(pk=run["id"]).requested_by == staff.pk
        # While it is under way there is no second one.
        second = browser.post(FULL)
        assert second.status_code == 409
        assert second.json()["code"] == "backups.under_way"
        assert second.json()["runningId"] == run["id"]
        # What the worker does with the task
        assert tasks.run_backup(run_id=run["id"]) == "done"
        found = browser.get(f"/api/backup/{run['id']}").json()
        assert found["state"] == "done"
        assert found["stores"][0] == "default"
        assert found["stores"][-1] == "mongodb"
        assert found["sizeBytes"] > 0
        (kept,) = keeping.good(home)
        assert kept.manifest.whole
        # The same task a second time changes nothing.
        assert tasks.run_backup(run_id=run["id"]) == "nothing to do"
        assert browser.post(FULL).status_code == 202

    def test_the_task_is_sent_to_the_workers(self):
        run = signed_in(an_operator()).post(FULL).json()

        with redis.connection() as client:
            (message,) = client.lrange("celery", 0, -1)
        sent = json.loads(message)
        assert sent["headers"]["task"] == "databases.run_backup"
        assert json.loads(base64.b64decode(sent["body"]))[1] == {"run_id": run["id"]}

    @pytest.mark.parametrize("path", [FULL, f"/api/backup/{uuid.uuid4()}"])
    def test_is_for_staff_alone(self, path):
        call = "post" if path == FULL else "get"

        assert getattr(Client(), call)(path).status_code == 401
        assert getattr(signed_in(a_user()), call)(path).status_code == 403
        assert BackupRun.objects.count() == 0

    def test_says_that_it_is_not_configured(self, settings):
        settings.BACKUP_DIR = ""

        answer = signed_in(an_operator()).post(FULL)

        assert answer.status_code == 503
        assert answer.json()["code"] == "backups.not_configured"
        assert "BACKUP_DIR" in answer.json()["remedy"]
        assert BackupRun.objects.count() == 0

    def test_one_that_nobody_knows_is_not_found(self):
        assert signed_in(an_operator()).get(f"/api/backup/{uuid.uuid4()}").status_code == 404

    def test_a_broker_that_is_away_is_told_at_once_and_blocks_nothing(self, monkeypatch):
        # Nobody listens at port 1; the application's pools know the real broker, so it gets new
        # ones for this test.
        monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:1/0")
        monkeypatch.setattr(current_app, "_pool", None)
        monkeypatch.setattr(current_app.amqp, "_producer_pool", None)
        browser = signed_in(an_operator())
        begun = time.monotonic()

        answer = browser.post(FULL)

        assert time.monotonic() - begun < 2
        assert answer.status_code == 503
        assert answer.json()["code"] == "backups.no_broker"
        assert BackupRun.objects.get().state == "failed"


class TestTheHistory:
    def test_is_shown_to_operators_and_changed_by_nobody(self):
        run = history.request(origin=Origin.API, at=timezone.now())
        browser = signed_in(a_superuser())

        page = browser.get(reverse("admin:databases_backuprun_change", args=[run.pk]))

        assert page.status_code == 200
        assert browser.get(reverse("admin:databases_backuprun_changelist")).status_code == 200
        assert browser.get(reverse("admin:databases_backuprun_add")).status_code == 403

    def test_a_run_that_no_worker_takes_up_makes_room_after_an_hour(self):
        at = timezone.now()
        lost = history.request(origin=Origin.API, at=at)

        with pytest.raises(BackupUnderWay):
            history.request(origin=Origin.API, at=at + timedelta(minutes=50))
        history.request(origin=Origin.API, at=at + timedelta(minutes=70))

        lost.refresh_from_db()
        assert lost.state == "failed"


class TestTheSchedule:
    def test_makes_one_when_it_is_due_and_keeps_the_newest(self, home, webhook):
        assert tasks.look_after_backups() == "done"
        assert tasks.look_after_backups() == "fine"
        (first,) = keeping.good(home)
        assert BackupRun.objects.get().origin == "schedule"
        assert keeping.is_due(at=timezone.now() + timedelta(hours=25))
        assert not keeping.is_due(at=timezone.now() + timedelta(hours=23))

        # Three older ones, one of them damaged, and what is nobody's business
        older(first.folder, hours=30)
        oldest = older(first.folder, hours=60)
        damaged = older(first.folder, hours=10)
        (damaged / "default.dump").unlink()
        by_hand = home / "before-the-big-change"
        older(first.folder, hours=90).rename(by_hand)
        (home / f"{oldest.name}.partial").mkdir()
        assert tasks.look_after_backups() == "fine"

        left = {each.name for each in home.iterdir()}
        assert oldest.name not in left
        assert {first.folder.name, damaged.name, by_hand.name} <= left
        assert len(keeping.good(home)) == 2
        assert not [name for name in left if name.endswith(".partial")]

    def test_the_last_good_one_is_never_removed(self, home):
        tasks.look_after_backups()
        (only,) = keeping.good(home)

        assert keeping.remove_old(home, keep=0) == []
        assert keeping.good(home) == [only]

    def test_does_nothing_where_no_folder_is_named(self, settings):
        settings.BACKUP_DIR = ""

        assert tasks.look_after_backups() == "not configured"
        assert BackupRun.objects.count() == 0

    def test_operators_are_told_of_an_old_one_of_a_failure_and_that_it_is_well(
        self, home, settings, webhook
    ):
        # The folder is away: the scheduled backup fails, and there is no good one.
        settings.BACKUP_DIR = str(home / "not-there")
        assert tasks.look_after_backups() == "failed"
        assert BackupRun.objects.get().error.startswith("There is no folder")
        assert tasks.look_after_backups() == "too old"  # and it is not tried at once again
        eventually(lambda: told(webhook, "backups.failed") == ["failed"])
        eventually(lambda: told(webhook, "backups.too_old") == ["failed"])
        assert BackupRun.objects.count() == 1
        assert all("not-there" not in each["text"] for each in webhook.posted)

        # It is back, an hour later.
        settings.BACKUP_DIR = str(home)
        BackupRun.objects.update(ended_at=timezone.now() - timedelta(hours=2))
        assert tasks.look_after_backups() == "done"

        eventually(lambda: told(webhook, "backups.failed") == ["failed", "recovered"], seconds=15)
        eventually(lambda: told(webhook, "backups.too_old") == ["failed", "recovered"], seconds=15)

    def test_a_backup_of_a_part_is_no_good_one(self, home):
        part = home / f"polystore-20260101T000000Z-{uuid.uuid4().hex[:8]}"

        making.make(part, only=["mongodb"])

        assert manifest.read(part).stores == ["mongodb"]
        assert keeping.good(home) == []
