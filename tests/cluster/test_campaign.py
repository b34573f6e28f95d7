"""Control of a campaign on a real Slurm: its jobs are held, changed and ended, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.cluster.campaign import Own
from lsstpipe.cluster.lock import find_holder, take_lock
from lsstpipe.cluster.slurm import SlurmCommands
from lsstpipe.errors import ConflictError, LsstpipeError
from tests.cluster.slurm_server import missing_programs, wait_until
from tests.cluster.static_slurm import StaticSlurm
from tests.conftest import IN_CI
from tests.workflow.test_workflow import Project

pytestmark = pytest.mark.xdist_group("slurm")

SETTINGS = """
name: dr1
instrument: st10
raws: ["*.fits"]
repo: {repo}
reference_catalog: {{path: stars.csv}}
skymap:
  name: sky
  pixel_scale_arcsec: 1.0
  patch_inner_y: 100
  patch_inner_x: 100
  tracts: [{{ra_deg: 10.0, dec_deg: 0.0}}]
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[StaticSlurm]:
    """A Slurm for all tests of this module."""
    if missing := missing_programs():
        reason = f"a real Slurm needs {', '.join(missing)}; envs/debian.txt names the packages"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    server = StaticSlurm()
    try:
        server.start_all()
        yield server
    finally:
        server.stop()


@pytest.fixture
def queue(slurm: StaticSlurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCommands]:
    """Its commands, with no job in it."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    slurm.run("scancel", "--user=root")
    wait_until(lambda: not SlurmCommands().queue(), "an empty queue")
    yield SlurmCommands()
    slurm.run("scancel", "--user=root")


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """The file of a campaign."""
    path = tmp_path / "dr1.yaml"
    path.write_text(SETTINGS.format(repo=tmp_path / "repo"))
    return path


def submit(slurm: StaticSlurm, own: Own, stage: str, *options: str) -> int:
    """Submit a job as the workflow does."""
    return slurm.submit(
        "sleep 300", f"--job-name={own.prefix}{uuid.uuid4()}", "--mem=800", "--requeue",
        f"--comment=rule_{stage}_chunk_wildcards_a", *options,
    )  # fmt: skip


def call(*words: str) -> str:
    """Call a command; give what it printed."""
    result = CliRunner().invoke(cli, ["campaign", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*words: str) -> str:
    """Call a command that must be refused; give the sentence."""
    with pytest.raises(LsstpipeError) as caught:
        CliRunner().invoke(cli, ["campaign", *words], catch_exceptions=False)
    return str(caught.value)


def test_jobs_of_a_stage_are_held_changed_and_released(
    slurm: StaticSlurm, queue: SlurmCommands, campaign: Path, tmp_path: Path
) -> None:
    own, other = Own("dr1", tmp_path / "repo"), Own("dr1", tmp_path / "elsewhere")
    running = submit(slurm, own, "visit")
    wait_until(lambda: slurm.node_of(running), "a job runs")
    visit, coadd = submit(slurm, own, "visit"), submit(slurm, own, "coadd")
    foreign = submit(slurm, other, "visit")

    def state(number: int) -> tuple[str, str, float]:
        found = next(job for job in queue.queue() if job.id == number)
        return ("held" if found.is_held else found.state, found.partition, found.memory_mb)

    assert call("pause", str(campaign), "--stage", "visit") == "1 jobs are held.\n"
    assert state(visit)[0] == "held"
    assert {state(number)[0] for number in (coadd, foreign)} == {"PENDING"}
    assert state(running)[0] == "RUNNING", "what runs goes on"
    assert call("pause", str(campaign), "--stage", "visit") == "0 jobs are held.\n"

    limit = "4001 MB, but the largest node of partition big has 4000 MB"
    assert limit in refusal("change", str(campaign), "--memory", "4001", "--pool", "big")
    assert "no partition 'gpu'; it has" in refusal("change", str(campaign), "--pool", "gpu")
    assert state(coadd) == ("PENDING", "work", 800), "a change that is refused changes nothing"
    words = ("--stage", "visit", "--memory", "3000", "--pool", "big")
    assert call("change", str(campaign), *words) == "1 jobs are changed.\n"
    assert state(visit) == ("held", "big", 3000)
    assert state(coadd) == ("PENDING", "work", 800)

    assert call("resume", str(campaign)) == "1 jobs are released.\n"
    wait_until(lambda: state(visit)[0] == "RUNNING", "it runs where it was sent")
    assert slurm.node_of(visit) == "big-1"


def test_a_stop_without_snakemake_ends_what_it_says_and_no_more(
    slurm: StaticSlurm, queue: SlurmCommands, campaign: Path, tmp_path: Path
) -> None:
    own, other = Own("dr1", tmp_path / "repo"), Own("dr2", tmp_path / "repo")
    running = submit(slurm, own, "visit")
    wait_until(lambda: slurm.node_of(running), "a job runs")
    waiting, foreign = submit(slurm, own, "visit"), submit(slurm, other, "visit")
    stages = json.loads(call("status", str(campaign), "--json"))["stages"]
    assert stages["visit"]["jobs"] == {"running": 1, "pending": 1}
    said = call("stop", str(campaign))
    assert said == "No snakemake ran; 1 jobs are cancelled, 1 run to their end.\n"
    assert {job.id for job in queue.queue()} == {running, foreign}
    said = call("stop", str(campaign), "--now")
    assert said == "No snakemake ran; 1 jobs are cancelled, 0 run to their end.\n"
    assert {job.id for job in queue.queue()} == {foreign}
    assert slurm.job_states(waiting) == ["CANCELLED"]


def test_a_constraint_may_be_named_as_a_market(slurm: StaticSlurm, queue: SlurmCommands) -> None:
    job = slurm.submit("true", "--constraint=on-demand", "--partition=big")
    wait_until(lambda: slurm.job_states(job) == ["COMPLETED"], "the job")
    with pytest.raises(RuntimeError, match="onfiguration is not available"):
        slurm.submit("true", "--constraint=on-demand", "--partition=work")


def test_the_lock_is_held_by_one_and_let_go_of_by_death(tmp_path: Path) -> None:
    script = (
        "import sys, time; from lsstpipe.cluster.lock import take_lock\n"
        "file = take_lock(sys.argv[1]); print('held', flush=True); time.sleep(300)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        holder = find_holder(tmp_path)
        assert holder is not None
        assert holder.pid == process.pid
        with pytest.raises(ConflictError, match=f"running on .*, process {process.pid} on"):
            take_lock(tmp_path)
        process.kill()
    assert find_holder(tmp_path) is None
    with take_lock(tmp_path):
        assert find_holder(tmp_path) is not None
    assert find_holder(tmp_path) is None


class Head:
    """A person on the head node, with a campaign whose jobs are played by a stand-in."""

    def __init__(self, slurm: StaticSlurm, project: Project) -> None:
        self._slurm, self._project = slurm, project
        config = project.folder / "config-home" / "snakemake" / "slurm"
        config.mkdir(parents=True)
        source = project.folder / "workflow" / "profiles" / "slurm" / "config.yaml"
        (config / "config.yaml").write_text(source.read_text())

    def call(self, *words: str) -> tuple[int, str]:
        """Call ``lsstpipe campaign``; give exit code and output."""
        main = "from lsstpipe.cli.main import main; main()"
        process = self._slurm.on_head(
            sys.executable, "-c", main, "campaign", *words, cwd=self._project.folder,
            PATH=f"{self._project.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}:"
            + self._slurm.environment["PATH"],
            XDG_CONFIG_HOME=str(self._project.folder / "config-home"),
        )  # fmt: skip
        output, _ = process.communicate()
        return process.returncode, output.decode()

    def start(self, **resources: str) -> tuple[int, str]:
        """Start the campaign up to the stage visit."""
        wanted = {"mem_mb": "500", "runtime": "5"} | resources
        return self.call(
            "start", "campaign.yaml", "--until", "visit", "--", "--default-resources",
            *(f"{name}={value}" for name, value in wanted.items()),
            "--slurm-init-seconds-before-status-checks", "1",
            "--seconds-between-status-checks", "1",
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until no Snakemake runs."""
        wait_until(lambda: find_holder(self._project.folder / "runs" / "demo") is None, "end", 180)


def asked(slurm: StaticSlurm) -> list[str]:
    """Memory that each job of the stage visit asked for, in their order."""
    text = slurm.run("sacct", "-X", "-n", "-P", "--duplicates", "--format=ReqMem,Comment")
    return [
        line.split("|")[0] for line in text.splitlines() if "visit_chunk_wildcards_st10" in line
    ]


def test_a_campaign_is_refused_paused_stopped_and_goes_on(
    slurm: StaticSlurm, queue: SlurmCommands, tmp_path: Path, repository: Path
) -> None:
    project = Project(tmp_path, repository)
    project.run("calibs")
    head = Head(slurm, project)
    log = project.folder / "jobs.txt"
    log.write_text("")

    code, said = head.start(slurm_account="nobodys")
    assert (code, "no account 'nobodys' of user root; there are drp" in said) == (1, True), said
    code, said = head.start(slurm_partition="tiny")
    assert code == 1, said
    assert "MB, but the largest node of partition tiny has 600 MB." in said
    assert queue.queue() == []

    # Paused before there is any job: what is submitted is held.
    assert head.call("pause", "campaign.yaml", "--stage", "visit") == (0, "0 jobs are held.\n")
    code, said = head.start()
    assert code == 0, said
    assert "Paused: visit" in said
    wait_until(lambda: [job.is_held for job in queue.queue()] == [True], "a job that is held", 60)
    code, said = head.start()
    assert (code, "Another snakemake is running on runs/demo, process" in said) == (1, True), said
    state = json.loads(head.call("status", "runs/demo", "--json")[1])
    assert state["holder"]["phase"] == "runs"
    assert state["stages"]["visit"]["jobs"] == {"held": 1}
    assert (state["stages"]["visit"]["n_made"], state["stages"]["calibs"]["n_made"]) == (0, 1)

    code, said = head.call("stop", "campaign.yaml")
    assert (code, "1 jobs are cancelled, 0 run to their end" in said) == (0, True), said
    head.wait()
    assert log.read_text() == "", "nothing has run"

    # It goes on; a job that takes more than it asked for, and fails, gets more the next time.
    (project.folder / "fails.txt").write_text("900")
    assert head.call("resume", "campaign.yaml", "--stage", "visit")[0] == 0
    code, said = head.start()
    assert code == 0, said
    head.wait()
    assert log.read_text().splitlines().count("run visit") == 2
    # The accounts may know the job that was cancelled while it was held, or not.
    assert asked(slurm)[-2:] == ["714M", "1228M"]
    assert head.start()[1].startswith("demo has nothing left to do")


def test_one_stop_is_enough_while_some_jobs_run_and_others_are_held(
    slurm: StaticSlurm, queue: SlurmCommands, tmp_path: Path, repository: Path
) -> None:
    project = Project(tmp_path, repository)
    other = Path("data") / "tres1" / "tres1-051.fits.fz"
    (project.folder / other).write_bytes((repository / other).read_bytes())
    project.write(project.settings | {"visits_per_chunk": 1})
    project.run("calibs")
    head = Head(slurm, project)
    log = project.folder / "jobs.txt"
    log.write_text("")
    (project.folder / "wait.txt").touch()
    assert head.call("pause", "campaign.yaml", "--stage", "visit")[0] == 0
    code, said = head.start()
    assert code == 0, said
    wait_until(lambda: [job.is_held for job in queue.queue()] == [True, True], "held jobs", 60)
    first = queue.queue()[0].id
    slurm.run("scontrol", "release", str(first))
    wait_until(lambda: "run visit" in log.read_text(), "the first works", 60)
    code, said = head.call("stop", "campaign.yaml")
    assert (code, "1 jobs are cancelled, 1 run to their end" in said) == (0, True), said
    (project.folder / "wait.txt").unlink()
    head.wait()
    assert log.read_text().count("run visit") == 1, "the other has not begun"
    assert slurm.job_states(first) == ["COMPLETED"]
    assert queue.queue() == []
