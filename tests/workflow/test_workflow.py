"""The workflow over a finished campaign: what runs again, and what does not.

The jobs themselves are played by a stand-in for the command line that writes the files that the
real one would; the plan is real.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lsstpipe.butler import Butler

_STAND_IN = """#!{python}
import sys, time, pathlib
sys.path.insert(0, {root!r})
arguments = sys.argv[1:]
if arguments[0] in ("plan", "ingest"):
    from lsstpipe.cli.main import main
    main()
with open("jobs.txt", "a") as file:
    file.write(" ".join(arguments[:2]) + "\\n")
fails = pathlib.Path("fails.txt")
if arguments[:2] == ["run", "visit"] and fails.exists():
    # As many MB as it says; then long enough that somebody sees it.
    n_mb = int(fails.read_text())
    fails.unlink()
    taken = b"x" * (n_mb << 20)
    time.sleep(3 if taken else 0)
    sys.exit(1)
if arguments[0] == "run":
    time.sleep(float(pathlib.Path("sleep.txt").read_text()))
    while pathlib.Path("wait.txt").exists():
        time.sleep(0.1)
    pathlib.Path(arguments[arguments.index("--manifest") + 1]).write_text("{{}}")
elif arguments[0] == "report":
    for name in ("report.html", "lightcurve.csv"):
        (pathlib.Path(arguments[1]) / name).write_text("")
elif arguments[0] == "publish":
    import json
    record = pathlib.Path(arguments[arguments.index("--record") + 1])
    record.write_text(json.dumps(arguments))
"""


class Project:
    """A folder with a few raws of the demo, and the workflow over it."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        (folder / "data" / "tres1").mkdir(parents=True)
        for name in ("tres1-001d.fits.fz", "tres1-024.fits.fz", "tycho2_tres1.csv"):
            source = repository / "data" / "tres1" / name
            (folder / "data" / "tres1" / name).write_bytes(source.read_bytes())
        settings = yaml.safe_load((repository / "config/campaigns/demo.yaml").read_text())
        self.write(settings)
        for name in ("Snakefile", "workflow", "profiles", "lsstpipe", "config", "envs"):
            (folder / name).symlink_to(repository / name)
        program = folder / "bin" / "lsstpipe"
        program.parent.mkdir()
        program.write_text(_STAND_IN.format(python=sys.executable, root=str(repository)))
        program.chmod(0o755)
        (folder / "sleep.txt").write_text("0")

    def write(self, settings: dict[str, object]) -> None:
        self.settings = settings
        (self.folder / "campaign.yaml").write_text(yaml.safe_dump(settings))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [*command, "--configfile", "campaign.yaml"],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> list[str]:
        """Run the workflow; give the stages and commands whose jobs ran, but ingest and plan."""
        log = self.folder / "jobs.txt"
        log.write_text("")
        process = self.start(*arguments)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        lines = log.read_text().splitlines()
        return sorted({line.removeprefix("run ").split()[0] for line in lines} - {"ingest", "plan"})


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Project:
    return Project(tmp_path, repository)


def test_targets_staleness_and_restart(project: Project) -> None:
    assert project.run("visit") == ["calibs", "visit"]
    rest = ["coadd", "collect", "forced", "object", "report", "tables", "visit_summary"]
    assert project.run() == rest
    assert project.run() == [], "nothing changed, so nothing runs"
    project.write(project.settings | {"coadd": {"assemble": {}}})
    assert project.run() == [], "a default that is written down changes nothing"
    project.write(project.settings | {"coadd": {"max_flagged": 0.25}})
    assert project.run() == [], "a policy makes no product"
    target = "s3://products/releases/dp1"
    project.write(project.settings | {"publish": target})
    assert project.run() == ["publish"], "where to publish changes no product"
    repo = Path("runs/demo")
    words = ["publish", "demo", target, "--repo", str(repo), "--record"]
    record = repo / "published.json"
    assert json.loads((project.folder / record).read_text()) == [*words, str(record)]
    assert project.run("publish") == [], "it was published"
    project.write(project.settings | {"retain": ["direct_warp"]})
    after = ["coadd", "collect", "forced", "object", "publish", "report", "tables"]
    assert project.run() == after, "what makes warps, and what follows"
    project.write(project.settings | {"publish": target.replace("dp1", "dp2")})
    assert project.run() == ["publish"], "it goes to another place too"


def test_a_job_that_fails_over_an_older_manifest_runs_again(project: Project) -> None:
    project.run("visit")
    settings = {**project.settings, "visit": {"isr": {"max_noise_ratio": 3.0}}}
    project.write(settings)
    (project.folder / "fails.txt").write_text("0")
    process = project.start("visit")
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert "Restored previous version" in output
    assert project.run("visit") == ["visit"]
    assert project.run("visit") == []


def test_publishing_without_a_target_says_what_to_set(project: Project) -> None:
    process = project.start("publish")
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "does not say where to publish: set publish to s3://BUCKET/releases/RIGHT" in output
    assert not (project.folder / "jobs.txt").exists(), "nothing was begun"


def test_killed_run_goes_on_without_unlocking(project: Project) -> None:
    project.run("calibs")
    (project.folder / "sleep.txt").write_text("60")
    process = project.start("visit")
    jobs = project.folder / "jobs.txt"
    while "run visit" not in jobs.read_text() and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (project.folder / "sleep.txt").write_text("0")
    assert project.run("visit") == ["visit"]


def test_second_run_at_the_same_time_is_refused(project: Project) -> None:
    (project.folder / "runs").mkdir()
    (project.folder / "runs" / "demo").mkdir()
    with (project.folder / "runs" / "demo" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = project.start("calibs")
        output, _ = process.communicate()
    assert process.returncode == 1
    assert "Another snakemake is running on runs/demo" in output
    assert project.run("calibs") == ["calibs"]


def test_a_frozen_run_keeps_its_plan_however_often_another_is_asked_for(project: Project) -> None:
    project.run("plan")
    with Butler(project.folder / "runs" / "demo", run="demo") as butler:
        butler.registry.freeze("demo")
    plan = project.folder / "runs" / "demo" / "plan"
    before = {path.name: path.read_bytes() for path in plan.iterdir() if path.name != "planned"}
    settings = project.settings
    project.write(settings | {"retain": ["direct_warp"]})
    for _ in range(2):  # that it was refused must not be noted as done
        process = project.start("plan")
        output, _ = process.communicate()
        assert process.returncode == 1
        assert "'demo' is frozen" in output
        assert {path.name: path.read_bytes() for path in plan.iterdir()} == before
    project.write(settings)
    project.run("plan")  # it is the one that is there
    assert (plan / "planned").exists()
    assert all((plan / name).read_bytes() == content for name, content in before.items())


def test_paths_may_hold_what_a_shell_takes_for_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pilot calls the program snakemake.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    repo = "runs/my répo; touch 'it'"
    project.write(project.settings | {"repo": repo, "submission": {"pilot_stages": ["visit"]}})
    before = {path.name for path in project.folder.iterdir()}
    stages = ["calibs", "coadd", "collect", "forced", "object", "report", "tables"]
    assert project.run() == [*stages, "visit", "visit_summary"]
    new = {path.name for path in project.folder.iterdir()} - before
    assert new == {".snakemake", "jobs.txt", "runs"}
    assert [path.name for path in (project.folder / "runs").iterdir()] == [Path(repo).name]
    assert (project.folder / repo / "logs" / "ingest" / "all.log").exists()
    assert list((project.folder / repo / "pilots" / "visit").glob("*.done"))


def test_commands_quote_what_they_insert(repository: Path) -> None:
    inserted = []
    for path in sorted((repository / "workflow" / "rules").glob("*.smk")):
        for command in re.findall(r"^ +shell:\n((?: +\".*\"\n)+)", path.read_text(), re.MULTILINE):
            inserted += re.findall(r"\{([^}]+)\}", command)
    assert "output:q" in inserted
    assert {name for name in inserted if not name.endswith(":q")} == {"threads"}
