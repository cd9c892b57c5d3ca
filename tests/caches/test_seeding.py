"""Seeding writes a whole version beside the old one and switches at the end."""

from __future__ import annotations

import datetime as dt
import json
import signal
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, router
from django.test import override_settings
from django.utils import timezone

from caches.models import Activation, CoverageArea, Dataset, Program, Zone, ZonePart
from caches.queries.lookup import Result
from caches.queries.status import findings, zones_status
from caches.services import versions
from caches.services.parsing import SourceRefused
from caches.services.sample import PLACES
from caches.services.seeding import Outcome, Progress, SeedingRuns, SetShrank, seed
from caches.services.sources import SAMPLE
from tests.caches.drawing import ask, many_squares, polygon, seed_oz2, square, write_folder
from tests.caches.processes import seeding_process, wait_for_line
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

INSIDE = (39.0, -104.0)
"""A point in the first of `many_squares`."""
TODAY = dt.date(2026, 6, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "first", many_squares(40))


def _rows() -> list[tuple[Any, ...]]:
    return [
        *Zone.objects.order_by("pk").values_list("pk", "content_hash"),
        *ZonePart.objects.order_by("pk").values_list("pk"),
        *CoverageArea.objects.order_by("pk").values_list("pk"),
    ]


def _command(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("seed_opportunity_zones", *arguments, stdout=out, **options)
    return out.getvalue()


def test_the_second_time_nothing_changes_and_it_says_so(folder: Path) -> None:
    arguments = ("--program=oz2", f"--source={folder}")
    assert "Seeded 40 zones" in _command(*arguments)
    before, pointer = _rows(), Activation.objects.get()
    said = _command(*arguments)
    assert "Already up to date" in said
    assert "nothing changed" in said
    assert _rows() == before
    assert Activation.objects.get().generation == pointer.generation


def test_the_same_zones_in_other_bytes_change_nothing_either(folder: Path) -> None:
    seed_oz2(folder)
    before = _rows()
    path = folder / "oz_tracts.geojson"
    document = json.loads(path.read_text())
    document["features"].reverse()
    path.write_text(json.dumps(document, indent=1))
    assert seed_oz2(folder).outcome is Outcome.UNCHANGED
    assert _rows() == before


def test_a_look_at_an_unchanged_source_makes_the_version_fresh_again(folder: Path) -> None:
    at = timezone.now()
    seed(location=str(folder), at=at, program=Program.OZ2)
    later = at + dt.timedelta(days=30)
    seed(location=str(folder), at=later, program=Program.OZ2)
    dataset = Dataset.objects.get()
    assert dataset.verified_at == later
    assert dataset.expires_at is not None
    assert dataset.expires_at > later
    assert dataset.built_at == at


def test_force_writes_the_version_anew(folder: Path) -> None:
    seed_oz2(folder)
    report = seed_oz2(folder, force=True)
    assert (report.outcome, report.generation) == (Outcome.SEEDED, 2)


def test_a_new_version_replaces_the_old_one_and_the_last_two_are_kept(tmp_path: Path) -> None:
    for number in range(3):
        seed_oz2(write_folder(tmp_path / str(number), many_squares(40 + number)))
    assert Activation.objects.get().generation == 3
    kept = Dataset.objects.newest_first().values_list("state", "zone_count")
    assert list(kept) == [("active", 42), ("retired", 41)]
    assert Zone.objects.count() == 42, "what both versions hold is stored once"
    assert ZonePart.objects.count() == 42


def test_roll_back_goes_to_the_version_before_and_forward_again(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "old", many_squares(40)))
    seed_oz2(write_folder(tmp_path / "new", many_squares(40, lat=45)))
    assert ask(*INSIDE).result is Result.NO
    versions.roll_back(program="oz2", at=timezone.now())
    assert ask(*INSIDE).result is Result.YES
    pointer = versions.roll_back(program="oz2", at=timezone.now())
    assert (pointer.generation, ask(*INSIDE).result) == (4, Result.NO)


def test_there_is_nothing_to_roll_back_to_after_the_first_version(folder: Path) -> None:
    seed_oz2(folder)
    with pytest.raises(versions.NothingToRollBackTo):
        versions.roll_back(program="oz2", at=timezone.now())


def test_a_version_that_is_not_whole_never_answers(folder: Path) -> None:
    seed_oz2(folder)
    Dataset.objects.update(state=Dataset.State.FAILED)
    with pytest.raises(versions.VersionNotWhole):
        versions.activate(dataset=Dataset.objects.get(), at=timezone.now())


def test_a_set_that_shrank_is_refused_without_force(folder: Path, tmp_path: Path) -> None:
    seed_oz2(folder)
    fewer = write_folder(tmp_path / "fewer", many_squares(30))
    with pytest.raises(SetShrank, match=r"30 zones.*40"):
        seed_oz2(fewer)
    assert Dataset.objects.count() == 1
    assert seed_oz2(fewer, force=True).zone_count == 30


def test_a_set_that_lost_its_polygons_is_refused_as_well(folder: Path, tmp_path: Path) -> None:
    seed_oz2(folder)
    bare = write_folder(tmp_path / "bare", dict.fromkeys(many_squares(40)))
    with pytest.raises(SetShrank, match="0 polygons"):
        seed_oz2(bare)


def test_a_source_that_is_refused_leaves_everything_as_it_was(folder: Path, tmp_path: Path) -> None:
    seed_oz2(folder)
    before = _rows()
    broken = tmp_path / "broken.geojson"
    broken.write_text('{"type": "FeatureCollection", "features": [{"type"')
    with pytest.raises(SourceRefused):
        seed_oz2(broken)
    with pytest.raises(CommandError) as caught:
        _command("--program=oz2", f"--source={tmp_path / 'nowhere'}")
    assert caught.value.returncode == 2
    assert _rows() == before
    assert ask(*INSIDE).result is Result.YES


def test_there_is_no_moment_without_zones_while_new_versions_are_written(tmp_path: Path) -> None:
    folders = [write_folder(tmp_path / str(n), many_squares(1500 + n)) for n in range(3)]
    seed_oz2(folders[0])
    seen: list[str] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                answer = ask(*INSIDE)
                seen.append(f"{answer.result} {answer.tract} {answer.generation}")
        finally:
            connections.close_all()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for folder in (*folders[1:], folders[0]):
            seed_oz2(folder, force=True)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert set(seen) <= {f"yes 08000000000 {generation}" for generation in (1, 2, 3, 4)}
    assert len(set(seen)) > 1, "the readers saw the switch"


def test_after_kill_9_the_old_version_answers_and_the_next_run_finishes(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "old", many_squares(40)))
    large = write_folder(tmp_path / "large", many_squares(9000))
    with seeding_process(large) as process:
        wait_for_line(process, "zones written")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert Dataset.objects.unfinished().count() == 1, "it died in the middle"
    answer = ask(*INSIDE)
    assert (answer.result, answer.generation) == (Result.YES, 1)
    (died,) = zones_status(at=timezone.now()).seeding
    assert (died.origin, died.state, died.stage) == ("command", "running", "writing")
    assert died.states["Colorado"].total == 9000
    report = _finish(large)
    assert (report.outcome, report.zone_count) == (Outcome.SEEDED, 9000)
    assert not Dataset.objects.unfinished().exists()
    assert Zone.objects.count() == 9000


def _finish(location: Path) -> Any:
    """Seed as soon as the server has noticed that the killed process is gone."""
    for _ in range(200):
        try:
            return seed_oz2(location)
        except SeedingRuns:
            threading.Event().wait(0.05)
    raise AssertionError("The lock of the killed process was never released.")


def test_of_two_runs_at_once_the_second_says_that_another_is_running(tmp_path: Path) -> None:
    if connections[router.db_for_write(Dataset)].vendor != "postgresql":
        pytest.skip("Without advisory locks a lease of two minutes decides.")
    large = write_folder(tmp_path / "large", many_squares(9000))
    with seeding_process(large) as process:
        wait_for_line(process, "zones written")
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(CommandError, match="Another refresh is under way") as caught:
            _command("--program=oz2", f"--source={large}")
        assert caught.value.returncode == 1
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate()
        assert process.returncode == 0, output
    assert "Seeded 9,000 zones" in output
    assert seed_oz2(large).outcome is Outcome.UNCHANGED


def test_the_lock_is_free_again_after_a_run_that_failed(folder: Path) -> None:
    class Fails(Progress):
        def stage(self, name: str) -> None:
            if name == "writing":
                raise RuntimeError(name)

    with pytest.raises(RuntimeError):
        seed_oz2(folder, progress=Fails())
    assert seed_oz2(folder).outcome is Outcome.SEEDED


# ── The sample ───────────────────────────────────────────────────────────────────────────────────


def test_every_answer_from_the_sample_says_that_it_is_one() -> None:
    report = seed(location=str(SAMPLE), at=timezone.now())
    assert report.is_sample
    _, _, lat, lon = PLACES[1]
    for point, result in (
        ((lat, lon), Result.YES),
        ((lat + 0.05, lon), Result.NO),
        ((45.0, -100.0), Result.UNKNOWN),
        ((52.0, 180.0), Result.YES),
    ):
        answer = ask(*point, TODAY)
        assert (answer.result, answer.sample, answer.resolution) == (result, True, "sample")


def test_the_sample_gives_way_to_real_zones_and_never_replaces_them(folder: Path) -> None:
    seed(location=str(SAMPLE), at=timezone.now())
    seed(location=str(folder), at=timezone.now())
    assert not ask(*INSIDE, TODAY).sample
    report = seed(location=str(SAMPLE), at=timezone.now())
    assert report.outcome is Outcome.UNCHANGED
    assert not ask(*INSIDE, TODAY).sample


@override_settings(OPPORTUNITY_ZONES_SOURCE=str(SAMPLE))
def test_the_command_says_that_it_loaded_the_sample() -> None:
    said = _command()
    assert "sample that ships" in said
    assert "OPPORTUNITY_ZONES_SOURCE" in said


# ── --check and --json ───────────────────────────────────────────────────────────────────────────


def _checked() -> str:
    out = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("seed_opportunity_zones", "--check", stdout=out)
    assert caught.value.code == 1
    return out.getvalue()


def test_check_says_what_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    assert "empty" in _checked()
    whole = many_squares(10) | {"08999000100": None}
    seed_oz2(write_folder(tmp_path / "d", whole))
    assert "incomplete: 1 of 11 zones have no polygon (Colorado 1)" in _checked()
    Dataset.objects.update(expires_at=timezone.now() - dt.timedelta(days=1))
    assert "stale: it expired on" in _checked()


def test_check_is_content_with_a_whole_and_fresh_set(folder: Path) -> None:
    seed_oz2(folder)
    assert "complete and fresh" in _command("--check")
    assert json.loads(_command("--check", "--json"))["ok"] is True


def test_check_names_the_sample_and_a_list_that_is_not_whole(folder: Path) -> None:
    seed(location=str(SAMPLE), at=timezone.now())
    assert ["sample" in fault for fault in findings(at=timezone.now())] == [True]
    seed(location=str(folder), at=timezone.now())
    assert "holds 40 zones of 8,764 designated" in findings(at=timezone.now())[0]


def test_json_is_one_object_on_standard_output(folder: Path) -> None:
    report = json.loads(_command("--program=oz2", f"--source={folder}", "--json"))
    assert (report["outcome"], report["zone_count"]) == ("seeded", 40)


def test_a_log_gets_plain_lines(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _command("--program=oz2", f"--source={folder}")
    lines = capfd.readouterr().err.splitlines()
    assert "seed_opportunity_zones: 40 of 40 zones written" in lines
    assert not any("\r" in line for line in lines)


def test_zones_on_both_sides_of_the_antimeridian_are_stored_in_two_parts(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "d", {"02016000100": polygon(square(180, 52))}))
    assert sorted(ZonePart.objects.values_list("min_lon", "max_lon")) == [
        (-180.0, -179.9),
        (179.9, 180.0),
    ]
