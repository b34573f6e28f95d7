"""``make demo-cluster``: the demo's night on an elastic cluster on this host, from no node to none.

Slurm, slurmdbd and every slurmd are the real ones; EC2 is moto's server, whose instances are
processes. What it costs is what the same nodes would cost at list prices.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import click

from tests.cluster.elastic import BIN, ElasticCluster, keep_logs
from tests.cluster.fakes import make_pool
from tests.cluster.slurm_server import missing_programs

REPO = Path("runs/demo-cluster")
LOGS = Path("runs/demo-cluster-logs")
# One processor a node: two nodes keep the two cores of a small host busy.
POOL = {
    "instance_types": ["m7a.large"],
    "max_nodes": 2,
    "cpus": 1,
    "memory_mb": 7600,
}


def run_on_head(cluster: ElasticCluster, *command: str) -> int:
    """Run a command on the head node; give its exit code."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "NUMBA")}
    terminal = os.environ.get("TERM", "dumb")
    return cluster.start_on_head(*command, TERM=terminal, **threads).wait()


def process(cluster: ElasticCluster) -> int:
    """Process the night; print what it cost."""
    lsstpipe = str(BIN / "lsstpipe")
    status = run_on_head(cluster, lsstpipe, "profile", "install", "aws")
    status = status or run_on_head(
        cluster, str(BIN / "snakemake"), "--profile", "aws",
        "--configfile", "config/campaigns/demo.yaml", "--config", f"repo={REPO}",
        # A cluster of this size answers at once.
        "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2",
    )  # fmt: skip
    if status:
        return status
    click.echo("waiting until the nodes have gone")
    cluster.wait_for_rest(120)
    run_on_head(cluster, lsstpipe, "report", "--summary", str(REPO))
    return run_on_head(cluster, lsstpipe, "cluster", "cost", "--repo", str(REPO))


def main() -> int:
    """Start everything, process, stop everything."""
    if missing := missing_programs():
        sys.exit(f"The demo of a cluster needs {', '.join(missing)}; see envs/debian.txt.")
    begun = time.monotonic()
    shutil.rmtree(REPO, ignore_errors=True)
    cluster = ElasticCluster(
        make_pool(**POOL), idle_s=35, silence_s=120, boot_timeout_s=60, heartbeat_timeout_s=60
    )
    try:
        cluster.start()
        status = process(cluster)
    finally:
        if cluster.state.exists():
            keep_logs(cluster, LOGS)
        cluster.stop()
    click.echo(f"{time.monotonic() - begun:.0f} s in all; logs are in {LOGS}")
    return status


if __name__ == "__main__":
    sys.exit(main())
