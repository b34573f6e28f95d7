"""2,000 nodes and 30,000 jobs through the code that launches and ends nodes, on a simulated clock.

Measures the CPU time of each decision, counts the requests to EC2 against its published limits and
those to slurmctld, and tells how long 600 cores take from no node under published launch times.

Prints a table and writes ``runs/bench/cluster_scale.json``. It fails if decisions of a loop take
over a second, or if requests to EC2 that are repeated (to look) had to wait.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from snakemake.settings.types import RemoteExecutionSettings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from lsstpipe.cluster.node_agent import NodeSettings  # noqa: E402
from lsstpipe.cluster.polling import LONGEST_INTERVAL  # noqa: E402
from lsstpipe.cluster.slurm import parse_nodes  # noqa: E402
from tests.cluster.scale import BUCKETS, Campaign, Outcome  # noqa: E402

RESULT = ROOT / "runs" / "bench" / "cluster_scale.json"
LONGEST_LOOP_S = 1.0
N_JOBS = 30_000

# What the profile aws, the plugin of Snakemake and the node agent do, each by its settings.
QUEUED_AT_ONCE = 2000  # jobs
SUBMITTED_PER_S = 100  # max-jobs-per-timespan
# One command for all jobs: as often as Snakemake is told while jobs end, else ever more rarely.
FIRST_POLL_S = RemoteExecutionSettings().seconds_between_status_checks
LAST_POLL_S = LONGEST_INTERVAL * FIRST_POLL_S
AGENT_LISTENS_S: float = inspect.signature(NodeSettings).parameters["listen_s"].default

_NODE = (
    "NodeName=pool{}-{} Arch=x86_64 CoresPerSocket=1 CPUAlloc=8 CPUTot=8 CPULoad=7.93 "
    "AvailableFeatures=spot ActiveFeatures=spot Gres=(null) NodeAddr=10.0.{}.{} "
    "NodeHostName=pool{} Version=22.05.8 OS=Linux 6.1.0 #1 SMP RealMemory=15000 AllocMem=15000 "
    "FreeMem=312 Sockets=8 Boards=1 State=ALLOCATED+CLOUD ThreadsPerCore=1 TmpDisk=0 Weight=1000 "
    "Owner=N/A MCS_label=N/A Partitions=pool,all BootTime=1800000000 SlurmdStartTime=1800000030 "
    "LastBusyTime=1800000300 CfgTRES=cpu=8,mem=15000M,billing=8 AllocTRES=cpu=8,mem=15000M "
    "CapWatts=n/a CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s ExtSensorsWatts=0"
)


def read_nodes_s(n: int = 2000) -> float:
    """Measure the CPU seconds of reading what `scontrol` says of so many nodes."""
    text = "\n".join(_NODE.format(i % 4, i, i // 250, i % 250, i) for i in range(1, n + 1))
    begun = time.process_time()
    assert len(parse_nodes(text)) == n
    return time.process_time() - begun


def read_instances_s(n: int = 2000) -> float:
    """Measure the CPU seconds of boto3 reading what EC2 says of so many instances."""
    import boto3
    from botocore.parsers import EC2QueryParser
    from botocore.session import get_session
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("ec2", region_name="us-east-1")
        image = client.describe_images()["Images"][0]["ImageId"]
        client.run_instances(ImageId=image, MinCount=1, MaxCount=1)
        bodies: list[bytes] = []
        client.meta.events.register(
            "before-parse.ec2.DescribeInstances",
            lambda response_dict, **_: bodies.append(response_dict["body"]),
        )
        client.describe_instances()
    head, one, tail = _split(bodies[0])
    body = head + one * n + tail
    shape = get_session().get_service_model("ec2").operation_model("DescribeInstances").output_shape
    begun = time.process_time()
    answer = EC2QueryParser().parse({"body": body, "headers": {}, "status_code": 200}, shape)
    assert len(answer["Reservations"]) == n
    return time.process_time() - begun


def _split(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut an answer with one reservation before and after that."""
    begin, end = body.index(b"<item>"), body.index(b"</reservationSet>")
    return body[:begin], body[begin:end], body[end:]


def simulate(**size: int) -> Outcome:
    """Run a campaign to its end."""
    with tempfile.TemporaryDirectory() as folder:
        return Campaign(Path(folder), **size).run(reach=(600,))


def count_slurm(outcome: Outcome) -> dict[str, float]:
    """Count the requests that slurmctld gets a minute, as far as they are known."""
    minutes = outcome.wall_s / 60
    return {
        "sbatch, while the queue fills": 60.0 * SUBMITTED_PER_S,
        "sbatch, on the mean": outcome.n_jobs / minutes,
        "polls (slurmdbd), while jobs end": 60.0 / FIRST_POLL_S,
        "polls (slurmdbd), at the least": 60.0 / LAST_POLL_S,
        "agents of nodes": outcome.peak_nodes * 60.0 / AGENT_LISTENS_S,
        "reconcile and resume": sum(
            n for name, n in outcome.slurm.items() if "job" not in name or name == "show jobs"
        )
        / minutes,
        "start and end of jobs": 2.0 * outcome.slurm["start and end of a job"] / minutes,
    }


def report(large: Outcome, quick: Outcome) -> dict[str, Any]:
    """Print tables; give what they say."""
    print(f"{large.n_nodes} nodes, {large.n_jobs} jobs: {large.wall_s / 60:.0f} min simulated")
    print("\nprogram        calls   CPU s, mean   at most")
    cpu_s = {}
    for name, times in large.cpu_s.items():
        cpu_s[name] = {"n": len(times), "mean": float(np.mean(times)), "max": max(times)}
        print(f"{name:12} {len(times):7d} {np.mean(times):13.3f} {max(times):9.3f}")
    reading = {"scontrol": read_nodes_s(), "DescribeInstances": read_instances_s()}
    for name, seconds in reading.items():
        print(f"reading what {name} says of 2000: {seconds:.3f} CPU s")
    print("\nEC2                    asked   bucket   a second   longest wait, s")
    for name, (size, rate) in BUCKETS.items():
        n, wait_s = large.requests[name], large.longest_wait_s[name]
        print(f"{name:20} {n:7d} {size:8d} {rate:10.0f} {wait_s:17.0f}")
    per_minute = count_slurm(large)
    print("\nslurmctld, requests a minute")
    for name, rate in per_minute.items():
        print(f"{name:32} {rate:8.1f}")
    print(f"\n600 cores work {quick.reach_s[600]:.0f} s after they were asked for (75 nodes),")
    print(f"{large.reach_s[600]:.0f} s where all {large.n_nodes} nodes are asked for at once")
    return {
        "cpu_s": cpu_s,
        "reading_cpu_s": reading,
        "ec2": {"asked": large.requests, "longest_wait_s": large.longest_wait_s},
        "slurmctld_per_minute": per_minute,
        "reach_600_s": {"alone": quick.reach_s[600], "at once": large.reach_s[600]},
        "campaign": {k: v for k, v in asdict(large).items() if k not in ("cpu_s", "requests")},
    }


def main() -> int:
    """Simulate, tell, and judge."""
    large = simulate(n_pools=4, n_nodes=500, cores=8, n_jobs=N_JOBS)
    quick = simulate(n_pools=1, n_nodes=75, cores=8, n_jobs=600)
    result = report(large, quick)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    longest = {name: row["max"] for name, row in result["cpu_s"].items()}
    slow = {name: seconds for name, seconds in longest.items() if seconds > LONGEST_LOOP_S}
    if slow:
        print(f"too slow: {slow}")
    looks = large.longest_wait_s["DescribeInstances"]
    return 1 if slow or looks > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
