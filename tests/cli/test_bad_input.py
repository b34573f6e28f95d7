"""Bad input through the command line: one sentence, exit code 1, the rest goes on."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from lsstpipe.butler import Butler
from lsstpipe.cli.main import COMMANDS, cli, main
from lsstpipe.repository import Repository, write_repository


@dataclass(frozen=True)
class Result:
    """How a call of the command line ended."""

    returncode: int
    stdout: str
    stderr: str


class Call(Protocol):
    """Call the command line in a folder."""

    def __call__(self, folder: Path, *arguments: str, stdin: str = "") -> Result: ...


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line within this process: its imports cost seconds."""

    def run(folder: Path, *arguments: str, stdin: str = "") -> Result:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["lsstpipe", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def campaign(tmp_path: Path, tres1: Path, repository: Path) -> Path:
    """A folder with two darks and two lights of the demo, and its campaign."""
    raws = tmp_path / "data" / "tres1"
    raws.mkdir(parents=True)
    for name in ("001d", "003d", "024", "033"):
        shutil.copy(tres1 / f"tres1-{name}.fits.fz", raws)
    shutil.copy(tres1 / "tycho2_tres1.csv", raws)
    shutil.copy(repository / "config" / "campaigns" / "demo.yaml", tmp_path / "demo.yaml")
    return tmp_path


def _change(folder: Path, **changes: object) -> None:
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def _sentence(result: Result) -> str:
    """The one sentence on the standard error of a call that failed."""
    assert result.returncode == 1, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("lsstpipe: ")
    return line


def test_a_release_in_a_bucket_that_the_repository_does_not_know_is_refused_by_the_plan(
    campaign: Path, call: Call
) -> None:
    _change(campaign, publish="releases/dp1")
    said = _sentence(call(campaign, "plan", "demo.yaml"))
    assert "only where the repository knows its site's; got 'releases/dp1'" in said
    write_repository(campaign / "runs" / "demo", Repository(products="s3://products"))
    said = _sentence(call(campaign, "plan", "demo.yaml"))
    assert "`lsstpipe ingest` does it" in said, "the target is good, it is the raws that lack"


def test_damaged_files_are_refused_and_the_rest_goes_on(campaign: Path, call: Call) -> None:
    raws = campaign / "data" / "tres1"
    whole = (raws / "tres1-024.fits.fz").read_bytes()
    (raws / "truncated.fits.fz").write_bytes(whole[: len(whole) // 2])
    (raws / "text.fits.fz").write_text("this is no FITS file")
    shutil.copy(raws / "tres1-024.fits.fz", raws / "twice.fits.fz")
    first = call(campaign, "ingest", "demo.yaml", "--json")
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    assert (answer["n_raws"], answer["n_new"]) == (4, 4)
    assert sorted(Path(item["path"]).name for item in answer["refused"]) == [
        "text.fits.fz",
        "truncated.fits.fz",
    ]
    again = call(campaign, "ingest", "demo.yaml", "--json", "--strict")
    assert again.returncode == 1
    assert json.loads(again.stdout)["n_new"] == 0
    plan = call(campaign, "plan", "demo.yaml", "--json")
    assert json.loads(plan.stdout)["n_chunks"] > 0


def test_campaign_without_darks_says_what_to_do(campaign: Path, call: Call) -> None:
    _change(campaign, raws=["data/tres1/tres1-0??.fits.fz"])
    assert call(campaign, "ingest", "demo.yaml").returncode == 0
    assert "There are no dark frames" in _sentence(call(campaign, "plan", "demo.yaml"))


def test_plan_before_ingest_says_what_to_do(campaign: Path, call: Call) -> None:
    assert "`lsstpipe ingest` does it" in _sentence(call(campaign, "plan", "demo.yaml"))


def test_an_explanation_as_json_is_refused(campaign: Path, call: Call) -> None:
    result = call(campaign, "plan", "demo.yaml", "--explain", "chunks", "--json")
    assert (result.returncode, result.stdout) == (1, "")
    assert "--explain prints text only: leave out --json." in result.stderr


def test_reference_catalogue_of_another_field_is_refused(campaign: Path, call: Call) -> None:
    (campaign / "data/tres1/tycho2_tres1.csv").write_text("# ra_deg,dec_deg,mag_VT\n10,-30,9.5\n")
    message = _sentence(call(campaign, "ingest", "demo.yaml"))
    assert "has no star within" in message
    assert not (campaign / "runs").exists()


def test_reference_catalogue_of_another_format_is_refused(campaign: Path, call: Call) -> None:
    (campaign / "data/tres1/tycho2_tres1.csv").write_text("ra,dec\n10,-30\n")
    message = _sentence(call(campaign, "ingest", "demo.yaml"))
    assert "must begin with the line '# ra_deg,dec_deg,mag_VT'" in message


def test_no_raws_at_all_is_one_sentence(campaign: Path, call: Call) -> None:
    _change(campaign, raws=["nothing/*.fits"])
    assert "No file matches 'raws'" in _sentence(call(campaign, "ingest", "demo.yaml"))


def test_unknown_setting_is_one_sentence(campaign: Path, call: Call) -> None:
    _change(campaign, coadd={"warp": {"kernel_sise": 3}})
    message = _sentence(call(campaign, "config", "check", "demo.yaml"))
    assert "'coadd.warp.kernel_sise' is not a setting" in message


def test_output_folder_that_cannot_be_made_is_one_sentence(campaign: Path, call: Call) -> None:
    (campaign / "runs").write_text("a file where a folder should be")
    _sentence(call(campaign, "ingest", "demo.yaml"))


def test_campaign_is_read_from_the_standard_input(campaign: Path, call: Call) -> None:
    text = (campaign / "demo.yaml").read_text()
    result = call(campaign, "config", "check", "-", stdin=text)
    assert result.returncode == 0
    assert "demo, instrument st10" in result.stdout


def test_unknown_command_ends_with_exit_code_1(tmp_path: Path, call: Call) -> None:
    result = call(tmp_path, "plann")
    assert result.returncode == 1
    assert "No such command 'plann'" in result.stderr


def test_stage_that_the_plan_lacks_is_one_sentence(tmp_path: Path, call: Call) -> None:
    assert "holds no plan" in _sentence(call(tmp_path, "run", "visit", "--plan", "plan"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, tmp_path: Path) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help is not None
    assert f"lsstpipe {name}" in command.help


def test_help_imports_no_numerics(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv[1:] = ['--help']\nfrom lsstpipe.cli.main import main\ntry: main()\n"
    )
    script += "except SystemExit: print('numpy' in sys.modules, 'pydantic' in sys.modules)"
    root = str(Path(__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Commands:" in result.stdout
    assert result.stdout.strip().endswith("False False")


def test_bug_ends_with_exit_code_2_and_a_hint(tmp_path: Path) -> None:
    script = "import sys; from lsstpipe.cli import main\n"
    script += "def broken(**_): raise ZeroDivisionError('a bug')\n"
    script += "main.cli.main = broken; main.main()"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "This is a bug of lsstpipe" in result.stderr


def test_output_to_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    Butler.create(tmp_path)
    for unbuffered in ("", "1"):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(
                [
                    *(sys.executable, "-c", "from lsstpipe.cli.main import main; main()"),
                    *("query", "--repo", str(tmp_path), "--json"),
                ],
                env=os.environ
                | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": unbuffered},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert result.returncode == 75, result.stderr
        assert result.stderr == (
            "lsstpipe: The output cannot be written: No space left on device.\n"
        )  # fmt: skip


def test_a_protocol_that_nothing_knows_is_one_sentence(repo: Path, call: Call) -> None:
    for words in (
        ("verify", "main", "--at", "nosuch://x/y"),
        ("publish", "main", "nosuch://x/releases/dp1"),
        ("fetch", "nosuch://x/releases/dp1"),
    ):
        said = _sentence(call(repo, *words))
        assert "the protocol 'nosuch'" in said
        assert "allowed are a local path and s3://" in said
        assert ".." not in said


@pytest.mark.parametrize("command", ["export", "export-butler"])
def test_an_export_into_a_url_makes_no_folder_of_its_name(
    command: str, repo: Path, tmp_path: Path, call: Call
) -> None:
    before = sorted(tmp_path.iterdir())
    said = _sentence(call(tmp_path, command, "main", "s3://b/x", "--repo", str(repo)))
    assert "s3://b/x is a URL, and only a local folder is allowed" in said
    assert sorted(tmp_path.iterdir()) == before


def test_sweep_refuses_a_folder_that_is_no_repository(tmp_path: Path, call: Call) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    other = tmp_path / f".draft.{dead.pid}.tmp"
    other.write_text("of another program")
    for words in ((), ("--dry-run",), ("--orphans", "--yes", "--grace-days", "0")):
        assert "There is no repository" in _sentence(call(tmp_path, "sweep", ".", *words))
    assert other.exists()


def test_sweep_removes_temporaries_of_dead_processes_only(tmp_path: Path, call: Call) -> None:
    Butler.create(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = tmp_path / f".image.fits.{dead.pid}.tmp"
    alive = tmp_path / f".image.fits.{os.getpid()}.tmp"
    for path in (stale, alive):
        path.write_text("half a file")
    named = call(tmp_path, "sweep", ".", "--dry-run", "--json")
    assert json.loads(named.stdout) == [stale.name]
    assert stale.exists()
    call(tmp_path, "sweep", ".")
    assert (stale.exists(), alive.exists()) == (False, True)


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "bias", "--where", "band = '\udcff'"),
        ("get", "visit_image", "instrument=\udcff", "--collection", "main"),
        ("collection", "chain", "all", "\udcff"),
    ],
)
def test_an_argument_that_is_not_utf8_is_refused(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], is_file: bool
) -> None:
    Butler.create(tmp_path)
    if is_file:
        (tmp_path / "\udcff").touch()
    said = _sentence(call(tmp_path, *arguments))
    if not is_file:
        assert "is not UTF-8" in said


def test_a_folder_whose_name_is_not_utf8_may_be_given(call: Call, tmp_path: Path) -> None:
    (tmp_path / "\udcff").mkdir()
    assert "is not UTF-8" not in call(tmp_path, "sweep", "\udcff", "--dry-run").stderr


def test_a_folder_below_a_file_or_without_a_name_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = _sentence(call(tmp_path, "init", "file/x"))
    assert said == "lsstpipe: file/x cannot be a folder: a file is in its way."
    Butler.create(tmp_path / "repo")
    said = _sentence(call(tmp_path, "export", "main", "", "--repo", "repo"))
    assert "must have a name" in said
