"""Bad input, from file to exit code: one sentence, nothing lost, the rest goes on."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from small_campaign import DARKS, Json, Project, frame, ran_again, read_frame, write_frame

from lsstpipe.cli.main import main
from lsstpipe.registry.schema import SCHEMA_VERSION

pytestmark = pytest.mark.xdist_group("e2e")

LIGHTS = ("024", "051", "086", "113", "166")
N_GOOD = len(DARKS) + len(LIGHTS)

NO_PROCESS = 2**22 + 1
"""More than the number of any process of Linux."""


class Call(Protocol):
    """Call the command line; give exit code, output, and what it said besides."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Darks and lights, just enough for a flat, not ingested yet."""
    made = Project(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    for name in (*DARKS, *LIGHTS):
        shutil.copy(frame(name), data)
    shutil.copy(frame("024").parent / "tycho2_tres1.csv", data)
    made.write()
    return made


@pytest.fixture
def call(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Call the command line within this process: its imports cost seconds."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(project.folder)
        monkeypatch.setattr(sys, "argv", ["lsstpipe", "--quiet", *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    return run


def _sentence(result: tuple[int, str, str]) -> str:
    """The one sentence of a call that failed for a reason that its user can mend."""
    code, _, error = result
    assert code == 1, error
    (line,) = error.strip().splitlines()
    assert line.startswith("lsstpipe: ")
    return line


def _ingest(call: Call) -> Json:
    code, output, error = call("ingest", "small.yaml", "--json")
    assert code == 0, error
    answer: Json = json.loads(output)
    return answer


BAD_FRAMES: dict[str, tuple[dict[str, object], str]] = {
    "other_camera": ({"INSTRUME": "Other"}, "is of the camera 'Other', not of st10"),
    "no_exptime": ({"EXPTIME": None}, "lacks a usable EXPTIME"),
    "long_exptime": ({"EXPTIME": 1e9}, "has an exposure time of 1e+09 s; allowed are 0 to 86400"),
    "no_date": ({"DATE_OBS": None}, "lacks a usable EXPTIME, DATE-OBS"),
    "old_date": ({"DATE_OBS": "1858-11-17T00:00:00"}, "was taken on MJD 0"),
}


def test_frames_that_cannot_be_used_are_refused_each_in_a_sentence(
    project: Project, call: Call
) -> None:
    data = project.folder / "data"
    pixels, header = read_frame("228")
    write_frame(data / "other_size.fits", pixels[:500], header)
    for name, (cards, _) in BAD_FRAMES.items():
        write_frame(data / f"{name}.fits", pixels, header, **cards)
    answer = _ingest(call)
    assert (answer["n_raws"], answer["n_new"]) == (N_GOOD, N_GOOD)
    said = {Path(item["path"]).stem: item["message"] for item in answer["refused"]}
    assert set(said) == {*BAD_FRAMES, "other_size"}
    assert "has 500 x 1092 pixels" in said["other_size"]
    for name, (_, sentence) in BAD_FRAMES.items():
        assert sentence in said[name]
    assert call("plan", "small.yaml")[0] == 0
    code, output, _ = call("status", "small.yaml")
    assert code == 0
    assert output.count("refused: ") == len(said)


def test_other_pixels_of_a_registered_exposure_are_refused(project: Project, call: Call) -> None:
    data = project.folder / "data"
    assert _ingest(call)["n_new"] == N_GOOD
    pixels, header = read_frame("024")
    pixels[0, 0] += 1
    write_frame(data / "again.fits", pixels, header)
    answer = _ingest(call)
    (refused,) = answer["refused"]
    assert Path(refused["path"]).name == "again.fits", "the registered one stays, whatever its name"
    assert "has other pixels than" in refused["message"]
    assert "is registered as the same exposure" in refused["message"]
    assert (answer["n_raws"], answer["n_new"]) == (N_GOOD, 0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"coad": {}}, "'coad'"),
        ({"coadd": {"warp": {"kernel_order": "three"}}}, "coadd.warp.kernel_order"),
        ({"visits_per_chunk": 1.5}, "visits_per_chunk"),
        (
            {"visit_summary": {"isolated_star": {"match_radius_arcsec": "2.5 deg"}}},
            "match_radius_arcsec",
        ),
    ],
    ids=["unknown key", "wrong type", "not whole", "wrong unit"],
)
@pytest.mark.parametrize("command", ["ingest", "plan"])
def test_wrong_setting_stops_a_command_before_it_writes(
    project: Project, call: Call, command: str, changes: dict[str, Any], sentence: str
) -> None:
    project.write(**changes)
    assert sentence in _sentence(call(command, "small.yaml"))
    assert not project.repo.exists()


def test_reference_catalogue_without_overlap_leaves_the_repository_as_it_was(
    project: Project, call: Call
) -> None:
    _ingest(call)
    before = (project.repo / "manifests" / "ingest" / "all.json").read_bytes()
    (project.folder / "data" / "tycho2_tres1.csv").write_text("# ra_deg,dec_deg,mag_VT\n10,-30,9\n")
    assert "has no star within" in _sentence(call("ingest", "small.yaml"))
    assert (project.repo / "manifests" / "ingest" / "all.json").read_bytes() == before


def test_campaign_goes_on_once_darks_are_added(project: Project, call: Call) -> None:
    darks = [project.folder / "data" / frame(name).name for name in DARKS]
    for path in darks:
        path.rename(project.folder / path.name)
    _ingest(call)
    assert "There are no dark frames" in _sentence(call("plan", "small.yaml"))
    for path in darks:
        (project.folder / path.name).rename(path)
    assert _ingest(call)["n_new"] == len(DARKS)
    assert call("plan", "small.yaml")[0] == 0


@pytest.mark.parametrize("command", ["ingest", "plan", "collect", "query", "run"])
def test_repository_of_a_newer_schema_is_refused_and_left_alone(
    project: Project, call: Call, command: str
) -> None:
    _ingest(call)
    assert call("plan", "small.yaml")[0] == 0
    with sqlite3.connect(project.repo / "registry.sqlite3") as database:
        database.execute("UPDATE schema_version SET version = ?", (SCHEMA_VERSION + 1,))
    database.close()
    before = (project.repo / "registry.sqlite3").read_bytes()
    if command == "run":
        plan = project.repo / "plan" / "plan.json"
        plan.write_text(json.dumps(json.loads(plan.read_text()) | {"schema_version": 99}))
    arguments = {
        "collect": ("collect", "--plan", "repo/plan"),
        "query": ("query", "--repo", "repo"),
        "run": ("run", "calibs", "--plan", "repo/plan"),
    }
    sentence = _sentence(call(*arguments.get(command, (command, "small.yaml"))))
    assert "version" in sentence
    assert (project.repo / "registry.sqlite3").read_bytes() == before


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    """Have a disk of its own at a folder, where this process may mount one."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def test_read_only_output_folder_is_one_sentence_and_loses_nothing(
    project: Project, call: Call, calm: Project
) -> None:
    with _mounted(project.repo, "size=256m"):
        shutil.copytree(calm.repo, project.repo, dirs_exist_ok=True)
        (project.repo / f".half.fits.{NO_PROCESS}.tmp").touch()
        _remount(project.repo, "ro")
        for arguments in (
            ("ingest", "small.yaml"),
            ("plan", "small.yaml"),
            ("run", "calibs", "--plan", "repo/plan"),
            ("collect", "--plan", "repo/plan"),
            ("report", "repo"),
            ("sweep", "repo"),
            ("init", "repo/inner"),
        ):
            sentence = _sentence(call(*arguments))
            assert "repo" in sentence
            assert "read" in sentence.lower(), f"{arguments[0]} says why: {sentence}"
        assert call("query", "--repo", "repo", "--json")[0] == 0, "reading goes on"
        assert call("status", "--repo", "repo")[0] == 0
        assert project.products() == calm.products()


def test_full_disk_is_one_sentence_and_the_chunk_goes_on_when_there_is_room(
    project: Project, call: Call
) -> None:
    with _mounted(project.repo, "size=64m"):
        _ingest(call)
        assert call("plan", "small.yaml")[0] == 0
        filler = project.repo / "filler"
        usage = os.statvfs(project.repo)
        filler.write_bytes(bytes(usage.f_bavail * usage.f_bsize - 8_000_000))
        sentence = _sentence(call("run", "calibs", "--plan", "repo/plan"))
        assert "No space left" in sentence
        dark = project.repo / "small" / "dark" / "dark_st10_0.fits"
        kept = dark.stat().st_mtime_ns, dark.read_bytes()
        assert not list(project.repo.rglob("*.tmp"))
        filler.unlink()
        assert call("run", "calibs", "--plan", "repo/plan")[0] == 0
        assert (dark.stat().st_mtime_ns, dark.read_bytes()) == kept, "it stood"
        assert {q["status"] for q in project.quanta("calibs").values()} == {"done"}


def test_file_size_limit_is_one_sentence(project: Project, call: Call) -> None:
    _ingest(call)
    assert call("plan", "small.yaml")[0] == 0

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    result = project.lsstpipe("--quiet", "run", "calibs", "--plan", "repo/plan", preexec_fn=limit)
    sentence = _sentence((result.returncode, result.stdout, result.stderr))
    assert "dark_st10_0.fits cannot be written" in sentence
    assert "File too large" in sentence
    assert not list(project.repo.rglob("*.tmp"))
    assert not list((project.repo / "small").rglob("dark*.fits"))


def test_raw_that_was_damaged_after_its_ingest_is_named(project: Project, call: Call) -> None:
    _ingest(call)
    assert call("plan", "small.yaml")[0] == 0
    raw = project.folder / "data" / "tres1-024.fits.fz"
    whole = raw.read_bytes()
    raw.write_bytes(whole[:-2880])
    code, _, error = call("run", "calibs", "--plan", "repo/plan")
    assert code == 1
    warning, sentence = error.strip().splitlines()
    assert "WARNING flagged" in warning
    assert "tres1-024.fits.fz was changed or damaged since it was ingested" in sentence
    before = project.quanta("calibs")
    raw.write_bytes(whole)
    code, output, error = call("run", "calibs", "--plan", "repo/plan", "--json")
    assert code == 0, error
    assert json.loads(output) == {"done": 3}
    assert ran_again(before, project.quanta("calibs")) == {"flat"}
