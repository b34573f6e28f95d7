"""What Slurm, Snakemake and the start of lsstpipe add to a job, beside its quanta.

Chunks of 1, 5 and 24 visits of the demo's night (two quanta each) run on a real Slurm by
``snakemake --profile aws``. Of each job the accounting has the CPU time of all its processes, and
the manifest that of its quanta; the rest is overhead. A line through it tells what 1, 10 and 100
quanta a chunk would bear.

With ``--survey`` the simulated survey ``ci_small`` runs from raws to the report, and the processors
that its jobs used are compared with those that they had.

Prints tables and writes ``runs/bench/cluster_overhead.json``. It fails above 0.1 CPU s a quantum at
100 quanta a chunk, and where less than 85 % of the processors was used for ``ci_small``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.cluster.elastic import BIN, ElasticCluster  # noqa: E402
from tests.cluster.fakes import make_pool  # noqa: E402
from tests.cluster.production import FRAMES, THREADS, Production  # noqa: E402
from tests.cluster.slurm_server import missing_programs  # noqa: E402

RESULT = ROOT / "runs" / "bench" / "cluster_overhead.json"
VISITS = (1, 5, 24)
QUANTA = (1, 10, 100)
MOST_CPU_S, LEAST_USED = 0.1, 0.85

_COUNT = re.compile(r"^\s*((?:REQUEST|MESSAGE)_\w+)\s+\(\s*\d+\)\s+count:(\d+)", re.MULTILINE)
_OF_NODES = {
    *("REQUEST_NODE_INFO", "REQUEST_NODE_INFO_SINGLE", "REQUEST_PING", "REQUEST_STATS_INFO"),
    "MESSAGE_NODE_REGISTRATION_STATUS",
}
"""What agents, the reaper and this benchmark ask, whether jobs run or not."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job: its quanta, their CPU seconds, all of its CPU seconds and its wall time."""

    n_quanta: int
    quanta_cpu_s: float
    cpu_s: float
    quanta_wall_s: float
    wall_s: float


@contextmanager
def running_cluster() -> Iterator[ElasticCluster]:
    """Start a cluster with one node that is up and stays so.

    It has one processor: a small host has another one, for what the head node does.
    """
    cluster = ElasticCluster(
        make_pool("steady", cpus=1, memory_mb=8000, max_nodes=1),
        idle_s=3600, silence_s=3600, every_s=5.0, boot_timeout_s=300, heartbeat_timeout_s=300,
    )  # fmt: skip
    try:
        cluster.start()
        cluster.wait_for_job(cluster.slurm.submit("true"), timeout_s=300)
        cluster.run_lsstpipe("profile", "install", "aws")
        yield cluster
    finally:
        cluster.stop()


def run_workflow(cluster: ElasticCluster, folder: Path, campaign: str, *targets: str) -> None:
    """Run Snakemake on the cluster, to its good end."""
    log = folder / "snakemake.log"
    process = cluster.start_snakemake(
        *targets, "--configfile", campaign, cwd=folder, log=log, **THREADS
    )
    if process.wait():
        sys.exit(f"snakemake ended with exit code {process.returncode}:\n{log.read_text()}")


def account(cluster: ElasticCluster, *fields: str) -> list[list[str]]:
    """Give columns of the accounting, a row each job."""
    # With -X it would leave out the steps, and with them the CPU time of the jobs.
    text = cluster.slurm.run("sacct", "-n", "-P", f"--format=JobIDRaw,{','.join(fields)}")
    rows = [line.split("|") for line in text.splitlines()]
    return [row[1:] for row in rows if "." not in row[0]]


def seconds(text: str) -> float:
    """Read a time of Slurm, such as ``1-02:03:04`` or ``02:03.456``."""
    days, _, rest = text.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = 60 * total + float(part)
    return total + 86400 * float(days or 0)


def measure(cluster: ElasticCluster, base: Production, folder: Path, n_visits: int) -> Job:
    """Run a chunk of so many visits as a job."""
    production = base.copy(folder)
    path = folder / "campaign.yaml"
    settings = yaml.safe_load(path.read_text()) | {"visits_per_chunk": n_visits}
    path.write_text(yaml.safe_dump(settings))
    run_workflow(cluster, folder, "campaign.yaml", "calibs")  # plans anew
    chunk = max(production.chunks(), key=lambda name: name)
    run_workflow(cluster, folder, "campaign.yaml", f"repo/manifests/visit/{chunk}.json")
    time.sleep(3)  # until the accounting has the job
    cpu, wall, comment = account(cluster, "TotalCPU", "ElapsedRaw", "Comment")[-1]
    assert chunk in comment, comment
    quanta = production.quanta(chunk)
    return Job(
        len(quanta),
        sum(quantum["cpu_s"] for quantum in quanta),
        seconds(cpu),
        sum(quantum["wall_s"] for quantum in quanta),
        float(wall),
    )


def count_requests(cluster: ElasticCluster) -> int:
    """Give how many requests slurmctld has had, but for those that tell of nodes."""
    text = cluster.slurm.run("sdiag", "--all")
    counts = {name: int(n) for name, n in _COUNT.findall(text)}
    return sum(n for name, n in counts.items() if name not in _OF_NODES)


def measure_overhead(cluster: ElasticCluster, folder: Path) -> dict[str, Any]:
    """Run chunks of several sizes; print and give what they bear."""
    base = Production(folder / "base")
    darks = [name for name in FRAMES if name.endswith("d")]
    lights = sorted(path.name[6:9] for path in (ROOT / "data" / "tres1").glob("tres1-???.fits.fz"))
    base.prepare([*darks, *lights])
    jobs = [measure(cluster, base, folder / f"visits{n}", n) for n in VISITS]
    print("quanta   CPU s: job, quanta, overhead, a quantum   wall s: job, quanta")
    for job in jobs:
        over = job.cpu_s - job.quanta_cpu_s
        print(
            f"{job.n_quanta:6d} {job.cpu_s:12.1f} {job.quanta_cpu_s:7.1f} {over:9.2f}"
            f" {over / job.n_quanta:10.3f} {job.wall_s:14.0f} {job.quanta_wall_s:7.1f}"
        )
    numbers = np.array([job.n_quanta for job in jobs], dtype=float)
    slope, start = np.polyfit(numbers, [job.cpu_s - job.quanta_cpu_s for job in jobs], 1)
    law = {n: float(start / n + slope) for n in QUANTA}
    print(f"a job bears {start:.1f} CPU s and {slope:.3f} for each quantum:")
    for n, value in law.items():
        print(f"{n:6d} quanta a chunk: {value:.3f} CPU s a quantum")
    return {"jobs": [asdict(job) for job in jobs], "job_cpu_s": start, "a_quantum_cpu_s": law}


def measure_survey(cluster: ElasticCluster, folder: Path) -> dict[str, float]:
    """Run ci_small; give what of the processors that its jobs had was used."""
    command = [str(BIN / "lsstpipe"), "simulate", "ci_small", "--to", "survey", "--jobs", "2"]
    subprocess.run(command, cwd=folder, check=True)
    n_before, n_asked = len(account(cluster, "State")), count_requests(cluster)
    begun = time.monotonic()
    run_workflow(cluster, folder, "survey/campaign.yaml")
    wall_s = time.monotonic() - begun
    time.sleep(3)
    rows = account(cluster, "TotalCPU", "ElapsedRaw", "AllocCPUS")[n_before:]
    used = sum(seconds(cpu) for cpu, _, _ in rows)
    had = sum(float(wall) * int(n) for _, wall, n in rows)
    asked = (count_requests(cluster) - n_asked) / len(rows)
    print(f"ci_small: {len(rows)} jobs in {wall_s:.0f} s, {used:.0f} of {had:.0f} core s used")
    print(f"({used / had:.0%}), {asked:.1f} requests to slurmctld a job")
    return {"jobs": len(rows), "used_s": used, "had_s": had, "requests_a_job": asked}


@click.command()
@click.option("--survey", is_flag=True, help="Run ci_small too (10 min).")
def main(survey: bool) -> None:
    """Start a cluster, measure, judge."""
    if missing := missing_programs():
        sys.exit(f"This needs {', '.join(missing)}; see envs/debian.txt.")
    folder = Path(tempfile.mkdtemp(prefix="lsstpipe-overhead-"))
    try:
        with running_cluster() as cluster:
            result = measure_overhead(cluster, folder)
            if survey:
                result["ci_small"] = measure_survey(cluster, folder)
    finally:
        shutil.rmtree(folder)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    is_good = result["a_quantum_cpu_s"][100] <= MOST_CPU_S
    if survey:
        is_good &= result["ci_small"]["used_s"] >= LEAST_USED * result["ci_small"]["had_s"]
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
