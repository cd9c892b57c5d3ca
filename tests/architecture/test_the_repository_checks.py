"""The checks of the repository's text find what they are for; script/lint runs them on this one."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.contracts import ROOT

PINNED = "django==5.2.19 \\\n    --hash=sha256:0a1b\n"


def run(check: str, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run one check on the folder `root`."""
    command = [sys.executable, str(ROOT / "script" / "_repository.py"), check, f"--root={root}"]
    return subprocess.run(
        [*command, *options], cwd=root, capture_output=True, text=True, check=False
    )


def lock(root: Path, *, base: str = PINNED, wanted: str = "Django>=5.2,<5.3\n") -> None:
    """Write one pair of requirements."""
    folder = root / "requirements"
    folder.mkdir()
    (folder / "base.in").write_text(f"# What production installs\n{wanted}")
    (folder / "base.txt").write_text(f"# Locked\n{base}")


class TestSecrets:
    def leak(self, root: Path) -> None:
        # Put together here, so that this file holds no secret itself.
        (root / "settings.py").write_text('AWS = "AKIA' + 'QYLPMN5HHHFPZAM2"\n')

    def test_a_secret_is_named_by_file_line_and_kind_but_not_shown(self, tmp_path: Path) -> None:
        self.leak(tmp_path)

        answer = run("secrets", tmp_path)

        assert answer.returncode == 1
        assert "settings.py:1: looks like a secret (AWS Access Key)" in answer.stdout
        assert "QYLPMN" not in answer.stdout

    def test_an_accepted_finding_is_quiet_and_a_new_one_is_not(self, tmp_path: Path) -> None:
        self.leak(tmp_path)
        run("secrets", tmp_path, "--accept")

        accepted = run("secrets", tmp_path)
        (tmp_path / "other.py").write_text('password = "correct-horse-9"\n')
        after = run("secrets", tmp_path)

        assert accepted.returncode == 0, accepted.stdout
        assert after.returncode == 1
        assert "settings.py" not in after.stdout

    def test_the_baseline_holds_no_secret(self, tmp_path: Path) -> None:
        self.leak(tmp_path)

        run("secrets", tmp_path, "--accept")

        assert "QYLPMN" not in (tmp_path / ".secrets.baseline").read_text()


class TestLocks:
    def test_a_sound_lock_is_quiet(self, tmp_path: Path) -> None:
        lock(tmp_path)

        assert run("locks", tmp_path).stdout == ""

    @pytest.mark.parametrize(
        ("base", "finding"),
        [
            ("django==5.2.19\n", "has no hash"),
            ("django>=5.2 --hash=sha256:0a1b\n", "is not pinned"),
            (f"--index-url https://packages.example/simple\n{PINNED}", "a place to download from"),
            (f"--find-links /srv/wheels\n{PINNED}", "a place to download from"),
            (
                "django==5.2.19 @ file:///srv/django.whl --hash=sha256:0a1b\n",
                "a place to download from",
            ),
            ("flask==3.0.0 --hash=sha256:0a1b\n", "does not hold Django<5.3,>=5.2"),
            ("django==4.2.1 --hash=sha256:0a1b\n", "does not hold Django<5.3,>=5.2"),
        ],
    )
    def test_an_unsound_lock_is_named(self, tmp_path: Path, base: str, finding: str) -> None:
        lock(tmp_path, base=base)

        answer = run("locks", tmp_path)

        assert answer.returncode == 1
        assert finding in answer.stdout

    def test_a_requirement_without_a_lock_is_named(self, tmp_path: Path) -> None:
        lock(tmp_path)
        (tmp_path / "requirements" / "base.txt").unlink()

        assert "requirements/base.txt: is missing" in run("locks", tmp_path).stdout

    def test_what_is_tested_is_what_production_installs(self, tmp_path: Path) -> None:
        lock(tmp_path)
        (tmp_path / "requirements" / "dev.in").write_text("-r base.in\n")
        (tmp_path / "requirements" / "dev.txt").write_text(PINNED.replace("5.2.19", "5.2.1"))

        answer = run("locks", tmp_path)

        assert "tests another django than production installs" in answer.stdout


class TestPlaces:
    @pytest.mark.parametrize("folder", ["/home" + "/alice/site", "/Users" + "/bob", "/root" + "/x"])
    def test_the_folder_of_a_person_is_named(self, tmp_path: Path, folder: str) -> None:
        (tmp_path / "notes.md").write_text(f"first\ncd {folder} && ls\n")

        answer = run("places", tmp_path)

        assert answer.returncode == 1
        assert "notes.md:2: names a folder or a host of one machine" in answer.stdout

    def test_the_checkout_of_this_machine_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "run.sh").write_text(f"cd {tmp_path}\n")

        assert "run.sh:1" in run("places", tmp_path).stdout

    def test_the_index_of_this_machine_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "https://packages.corp.example/simple")
        (tmp_path / "Dockerfile").write_text("RUN curl packages.corp.example\n")

        assert "Dockerfile:1" in run("places", tmp_path).stdout

    def test_a_checkout_near_the_top_does_not_forbid_paths_of_endpoints(self) -> None:
        checks = runpy.run_path(str(ROOT / "script" / "_repository.py"))

        here = checks["_this_machine"](Path("/check/main"))

        assert not here.search('@router.get("/check")')
        assert here.search("cd /check/main && ls")

    def test_folders_that_every_machine_has_are_quiet(self, tmp_path: Path) -> None:
        (tmp_path / "notes.md").write_text(
            "See /var/lib/postgresql, /home and https://pypi.org/root\n"
        )

        assert run("places", tmp_path).stdout == ""
