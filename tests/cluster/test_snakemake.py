"""The workflow on elastic nodes of a real Slurm: a Snakemake that is killed, jobs that fail."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.elastic import ElasticCluster
from tests.cluster.slurm_server import wait_until
from tests.workflow.test_workflow import Project

pytestmark = pytest.mark.xdist_group("slurm")

CHUNK = re.compile(r"rule_visit_chunk_wildcards_\w")


def start(cluster: ElasticCluster, project: Project) -> subprocess.Popen[bytes]:
    """Start the workflow up to the stage visit."""
    return cluster.start_snakemake(
        "visit", "--configfile", "campaign.yaml",
        "--default-resources", "slurm_partition=workflow", "mem_mb=500", "runtime=5",
        cwd=project.folder, PATH=f"{project.folder / 'bin'}:{cluster.environment['PATH']}",
    )  # fmt: skip


def runs_of_visit(cluster: ElasticCluster) -> list[dict[str, str]]:
    """Give all runs of jobs of the stage visit, in their order."""
    fields = ("JobIDRaw", "JobName", "State", "ReqMem", "Comment")
    text = cluster.slurm.run(
        "sacct", "-X", "-n", "-P", "--duplicates", f"--format={','.join(fields)}"
    )
    rows = [dict(zip(fields, line.split("|"), strict=True)) for line in text.splitlines()]
    return [row for row in rows if CHUNK.match(row["Comment"])]


def test_a_killed_run_goes_on_alone_and_a_failed_job_runs_again(
    cluster: ElasticCluster, tmp_path: Path, repository: Path
) -> None:
    project = Project(tmp_path, repository)
    cluster.run_lsstpipe("profile", "install", "aws")
    (project.folder / "sleep.txt").write_text("0")
    project.run("calibs")
    (project.folder / "sleep.txt").write_text("300")
    first = start(cluster, project)
    jobs = project.folder / "jobs.txt"
    wait_until(lambda: "run visit" in jobs.read_text(), "a visit runs", 90)
    (queued,) = json.loads(cluster.run("status", "--json"))["jobs"]
    assert (queued["campaign"], queued["stage"]) == ("demo", "visit")
    assert queued["chunk"] in cluster.run("status"), "and a person can read it"
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    (project.folder / "sleep.txt").write_text("0")
    (project.folder / "fails.txt").write_text("0")
    assert start(cluster, project).wait(180) == 0
    killed, failed, done = runs_of_visit(cluster)
    assert [row["State"].split()[0] for row in (killed, failed, done)] == [
        "CANCELLED",
        "FAILED",
        "COMPLETED",
    ]
    # 514 MB of the plan and 200 of the job; it did not fail for want of them.
    assert [row["ReqMem"] for row in (failed, done)] == ["714M", "714M"]
    assert all(row["JobName"].startswith("demo-") for row in (killed, failed, done))
    assert jobs.read_text().count("run visit") == 3
    costs = json.loads(cluster.run("cost", "--json"))
    visit = next(row for row in costs if row["stage"] == "visit")
    assert (visit["n_jobs"], visit["campaign"]) == (3, "demo")
    assert 0 < visit["usd"] < sum(row["usd"] for row in costs)
