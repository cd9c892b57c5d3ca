"""Runs: asked for, carried out once, told of, and taken up when their process dies."""

from __future__ import annotations

import datetime as dt
import random
import signal
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from caches import tasks
from caches.models import Activation, Dataset, Program, Run, Zone
from caches.queries.answers import Result
from caches.queries.status import findings
from caches.services import looking_after, runs
from caches.services.parsing import SourceRefused
from caches.services.runs import DIED
from caches.services.seeding import SeedingRuns
from tests.caches.drawing import ask, many_squares, polygon, seed_oz2, square, write_folder
from tests.caches.processes import seeding_process
from tests.homes import databases_of
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))
INSIDE = (39.0, -104.0)


def _request(program: str = "oz2") -> Run:
    return runs.request(program=program, origin=Run.Origin.API, at=timezone.now())


def test_a_run_tells_what_it_did_and_a_second_one_is_refused_meanwhile(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", many_squares(30) | {"17999000100": None})
    run = _request()
    with pytest.raises(SeedingRuns):
        _request()
    report = runs.carry_out(run, at=timezone.now(), source=str(folder))
    assert report is not None
    run.refresh_from_db()
    assert (run.state, run.slot, report.zone_count) == (Run.State.DONE, None, 31)
    assert run.states == {"08": [30, 30], "17": [1, 1]}
    assert run.rows_written >= 31
    assert runs.carry_out(run, at=timezone.now()) is None, "nobody does it twice"
    again = _request()
    runs.carry_out(again, at=timezone.now(), source=str(folder))
    again.refresh_from_db()
    assert (again.state, again.rows_written) == (Run.State.UNCHANGED, 0)


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    zones = many_squares(200)
    seed_oz2(write_folder(tmp_path / "one", zones))
    before = dict(Zone.objects.values_list("geoid", "pk"))
    changed = zones | {"08000000007": polygon(square(-103.65, 39, 0.021))}
    del changed["08000000008"]
    report = seed_oz2(write_folder(tmp_path / "two", changed))
    assert report.rows_written == 3, "one new border; the old one and a zone that went are closed"
    after = dict(Zone.objects.filter(until=None).values_list("geoid", "pk"))
    assert {geoid for geoid, pk in after.items() if before.get(geoid) != pk} == {"08000000007"}
    assert ask(39.0, -103.6).result is Result.NO
    call_command("seed_opportunity_zones", "--rollback", "--program=oz2")
    assert ask(39.0, -103.6).tract == "08000000008"


def test_borders_that_moved_all_at_once_are_refused_without_force(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "one", many_squares(40)))
    swollen = {
        geoid: polygon(square(-104 + number * 0.05, 39, 0.024))
        for number, geoid in enumerate(many_squares(40))
    }
    folder = write_folder(tmp_path / "two", swollen)
    run = _request()
    with pytest.raises(Exception, match="40 of 40 zones changed their area"):
        runs.carry_out(run, at=timezone.now(), source=str(folder))
    run.refresh_from_db()
    assert run.state == Run.State.FAILED
    assert "--force" in run.error
    assert Activation.objects.get(program="oz2").generation == 1
    assert seed_oz2(folder, force=True).generation == 2


def test_a_run_whose_process_died_is_ended_and_makes_room() -> None:
    run = _request()
    Run.objects.filter(pk=run.pk).update(
        state=Run.State.RUNNING, heartbeat_at=timezone.now() - dt.timedelta(minutes=3)
    )
    assert _request().pk != run.pk
    run.refresh_from_db()
    assert (run.state, run.error) == (Run.State.FAILED, DIED)


def _told(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return the alerts of the zones that were raised."""
    found = [vars(record) for record in caplog.records if record.message == "alert.raised"]
    return [one for one in found if str(one["code"]).startswith("zones.")]


# What beat does ---------------------------------------------------------------------------------


def test_an_empty_site_is_seeded_and_asked_again_only_before_its_zones_expire(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path / "d", many_squares(20))
    with override_settings(OPPORTUNITY_ZONES_SOURCE=str(folder)):
        assert tasks.look_after_zones() == "seeded"
        assert Run.objects.get().origin == Run.Origin.START
        assert tasks.look_after_zones() == "nothing due"
        soon = timezone.now() + dt.timedelta(days=10)
        Dataset.objects.update(expires_at=soon)
        assert tasks.look_after_zones() == "unchanged"
        assert Dataset.objects.filter(expires_at__gt=soon).exists()
        assert Run.objects.count() == 2


@override_settings(OPPORTUNITY_ZONES_SOURCE="/nonexistent/zones.geojson")
def test_a_refresh_that_fails_is_written_down_and_tried_again_later(caplog) -> None:
    with caplog.at_level("INFO", logger="databases.alerts"):
        assert tasks.look_after_zones() == "failed"
    assert "zones.refresh_failed" in {one["code"] for one in _told(caplog)}
    assert "is not there" in Run.objects.get().error
    assert looking_after.due(at=timezone.now()) is None, "not at once"
    later = timezone.now() + dt.timedelta(hours=2)
    assert looking_after.due(at=later) is not None


def test_data_past_its_expiry_is_told_and_so_is_its_recovery(tmp_path: Path, caplog) -> None:
    seed_oz2(write_folder(tmp_path / "d", many_squares(3)))
    now = timezone.now()
    with caplog.at_level("INFO", logger="databases.alerts"):
        assert looking_after.tell(at=now + dt.timedelta(days=91)) == ["oz2"]
        assert looking_after.tell(at=now) == []
    states = [one["state"] for one in _told(caplog)]
    assert states == ["failed", "recovered"]
    assert "stale" in findings(at=now + dt.timedelta(days=91))[0]


@override_settings(OPPORTUNITY_ZONES_SOURCE="/nonexistent/zones.geojson")
def test_a_task_of_a_run_that_is_refused_ends_quietly() -> None:
    run = _request("oz1")
    assert tasks.refresh_zones(run_id=str(run.pk)) == "failed"
    assert tasks.refresh_zones(run_id=str(run.pk)) == "nothing to do"


def test_the_source_is_refused_before_anything_is_written() -> None:
    with pytest.raises(SourceRefused):
        runs.carry_out(_request(), at=timezone.now(), source="/nonexistent")
    assert not Dataset.objects.exists()


# Killed at random -------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(900)
def test_whoever_is_killed_at_20_random_moments_leaves_whole_versions(tmp_path: Path) -> None:
    """Seeding and refreshing by turns: there is always an answer, of one version, and it ends."""
    sizes = (2500, 3000)
    folders = [write_folder(tmp_path / str(size), many_squares(size)) for size in sizes]
    draw = random.Random(20)
    killed = 0
    for number in range(20):
        with seeding_process(folders[number % 2]) as process:
            threading.Event().wait(draw.uniform(1.0, 6.0))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        _require_whole(sizes)
    assert killed >= 10, "most died before they were done"
    eventually(lambda: _finished(folders[0]))
    assert Dataset.objects.active().get().zone_count == sizes[0]
    assert not Dataset.objects.unfinished().exists()
    _require_whole(sizes)


def _require_whole(sizes: tuple[int, ...]) -> None:
    active = Dataset.objects.filter(program=Program.OZ2).active().first()
    if active is None:
        return
    held = Zone.objects.in_version(active)
    assert held.count() in sizes
    assert held.count() == active.zone_count
    assert held.values("geoid").distinct().count() == active.zone_count, "no tract twice"
    assert ask(*INSIDE).result is Result.YES


def _finished(folder: Path) -> bool:
    try:
        seed_oz2(folder, force=True)
    except SeedingRuns:
        return False  # the server has not noticed yet that the killed process is gone
    return True
