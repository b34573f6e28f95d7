"""``make demo-cluster``: the demo's night and ci_small on an elastic cluster on this host.

Both productions share the nodes, from none to none.

Slurm, slurmdbd and every slurmd are the real ones; EC2 is moto's server, whose instances are
processes. What it costs is what the same nodes would cost at list prices.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from subprocess import Popen
from typing import Any

import click

from tests.cluster.elastic import BIN, REPOSITORY, ElasticCluster, keep_logs
from tests.cluster.fakes import make_pool
from tests.cluster.production import THREADS
from tests.cluster.slurm_server import missing_programs

FOLDER = Path("runs/demo-cluster")  # below the root of the project, where all of it runs
LOGS = Path("runs/demo-cluster-logs")
NIGHT, SURVEY = FOLDER / "night", FOLDER / "survey"
REPORT_S = 30
# One processor a node: two nodes keep the two cores of a small host busy.
POOL = {
    "instance_types": ["m7a.medium"],
    "max_nodes": 2,
    "cpus": 1,
    "memory_mb": 3700,
}


def start_on_head(cluster: ElasticCluster, *command: str, **options: Any) -> Popen[bytes]:
    """Start a command on the head node."""
    terminal = os.environ.get("TERM", "dumb")
    return cluster.start_on_head(*command, TERM=terminal, **THREADS, **options)


def watch(productions: dict[str, Popen[bytes]], begun: float) -> int:
    """Say how far productions are until they have ended; give the first exit code that is not 0."""
    told = begun
    while any(process.poll() is None for process in productions.values()):
        time.sleep(1)
        if time.monotonic() - told > REPORT_S:
            told = time.monotonic()
            done = {
                name: len(list((FOLDER / name / "repo" / "manifests").glob("*/*.json")))
                for name in productions
            }
            states = ", ".join(f"{name} {n} chunks" for name, n in done.items())
            click.echo(f"{told - begun:4.0f} s: {states}")
    return next((code for p in productions.values() if (code := p.returncode)), 0)


def process(cluster: ElasticCluster, simulation: Popen[bytes], begun: float) -> int:
    """Process the night, and the survey as soon as it is simulated; print what both cost."""
    lsstpipe = str(BIN / "lsstpipe")
    if status := start_on_head(cluster, lsstpipe, "profile", "install", "aws").wait():
        return status
    night = cluster.start_snakemake(
        "--configfile", "config/campaigns/demo.yaml", "--config", f"repo={NIGHT / 'repo'}",
        cwd=REPOSITORY, log=NIGHT / "snakemake.log", **THREADS,
    )  # fmt: skip
    productions = {"night": night}
    try:
        if status := simulation.wait():
            return status
        productions["survey"] = cluster.start_snakemake(
            # As many chunks as keep the nodes busy, of a job's start each.
            "--configfile", str(SURVEY / "campaign.yaml"), "--config", "visits_per_chunk=2",
            cwd=REPOSITORY, log=SURVEY / "snakemake.log", **THREADS,
        )  # fmt: skip
        if status := watch(productions, begun):
            return status
    finally:
        for started in productions.values():
            if started.poll() is None:  # its jobs end with the cluster
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()
    click.echo("waiting until the nodes have gone")
    cluster.wait_for_rest(120)
    repos = [str(FOLDER / name / "repo") for name in productions]
    for where in repos:
        start_on_head(cluster, lsstpipe, "report", "--summary", where).wait()
    named = [word for where in repos for word in ("--repo", where)]
    return start_on_head(cluster, lsstpipe, "cluster", "cost", *named).wait()


def main() -> int:
    """Start everything, process, stop everything."""
    if missing := missing_programs():
        sys.exit(f"The demo of a cluster needs {', '.join(missing)}; see envs/debian.txt.")
    begun = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for folder in (NIGHT, SURVEY):
        folder.mkdir(parents=True)
    click.echo(f"productions and their logs: {FOLDER}/{{night,survey}}/snakemake.log")
    cluster = ElasticCluster(
        make_pool(**POOL), idle_s=35, silence_s=120, every_s=2.0, boot_timeout_s=60,
        heartbeat_timeout_s=60,
    )  # fmt: skip
    simulation = Popen(
        [str(BIN / "lsstpipe"), "simulate", "ci_small", "--to", str(SURVEY)],
        cwd=REPOSITORY, env=os.environ | THREADS,
    )  # fmt: skip
    try:
        cluster.start()
        status = process(cluster, simulation, begun)
    finally:
        simulation.kill()
        simulation.wait()
        if cluster.state.exists():
            keep_logs(cluster, LOGS)
        cluster.stop()
    click.echo(f"{time.monotonic() - begun:.0f} s in all; logs are in {LOGS}")
    return status


if __name__ == "__main__":
    sys.exit(main())
