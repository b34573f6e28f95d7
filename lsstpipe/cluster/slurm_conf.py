"""The part of ``slurm.conf`` that follows from ``pools.json``: nodes, partitions, power saving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lsstpipe.cluster.config import ALL_POOLS, Cluster, Pool

NOWHERE = "127.0.0.1"
"""Address of a node until it is told. Without one slurmctld looks up its name, which is in no
DNS, ten times in ten seconds, and answers nobody meanwhile; here nobody listens, and it goes on at
once. To the node itself it is right."""


@dataclass(frozen=True, slots=True)
class PowerSaving:
    """When nodes come and go.

    Attributes
    ----------
    programs
        Folder of the programs ``resume`` and ``suspend``.
    idle_s
        How long a node without work stays. Slurm 22.05 looks every 30 s whether a node has booted,
        and takes it for one without work until then.
    ending_s
        How long an instance may take to end, before its node may be launched anew; longer than a
        requeued job waits (``cred_expire``), which else meets its own last end on that node.
    boot_margin_s
        How long after `reconcile` Slurm gives up a node that does not join: `reconcile` is to be
        first, because it counts such nodes.
    check_s
        How often Slurm looks which nodes must come or go.
    """

    programs: Path
    idle_s: int = 300
    ending_s: int = 120
    boot_margin_s: int = 120
    check_s: int = 10


def render_pools(
    cluster: Cluster, saving: PowerSaving, ports: Mapping[str, str] | None = None
) -> str:
    """Write the lines of nodes, partitions and power saving; ``slurm.conf`` includes them.

    Parameters
    ----------
    cluster
        The pools.
    saving
        When nodes come and go.
    ports
        Ports of the nodes of each pool, such as ``[7001-7004]``, where all are on one host; the
        port of every slurmd is the usual one where it is None.
    """
    static = [f"{pool.name}-[1-{pool.min_nodes}]" for pool in cluster.pools if pool.min_nodes]
    lines = [
        f"ResumeProgram={saving.programs / 'resume'}",
        f"SuspendProgram={saving.programs / 'suspend'}",
        # What Slurm gave up may still have an instance.
        f"ResumeFailProgram={saving.programs / 'suspend'}",
        f"ResumeTimeout={int(cluster.boot_timeout_s) + saving.boot_margin_s}",
        f"SuspendTimeout={saving.ending_s}",
        f"SuspendTime={saving.idle_s}",
        # The programs ask for all nodes at once; a rate would make many requests of one.
        "ResumeRate=0",
        "SuspendRate=0",
        *([f"SuspendExcNodes={','.join(static)}"] if static else []),
        "SlurmctldParameters=enable_configless,idle_on_node_suspend,"
        f"power_save_interval={saving.check_s},power_save_min_interval=0",
        # Nodes have no name in any DNS: slurmctld speaks to each of them by its address.
        "TreeWidth=65533",
        "PrivateData=cloud",
        # A node that is set down by reconcile must not come back by itself.
        "ReturnToService=1",
        "JobRequeue=1",
        # By it the accounting knows of which stage and chunk a job was.
        "AccountingStoreFlags=job_comment",
    ]
    ordered = sorted(cluster.pools, key=lambda pool: pool.memory_mb)
    for rank, pool in enumerate(ordered, 1):
        lines.append(_node_line(pool, rank, (ports or {}).get(pool.name)))
    for pool in cluster.pools:
        lines.append(f"PartitionName={pool.name} Nodes={_names(pool)} MaxTime=INFINITE State=UP")
    nodes = ",".join(_names(pool) for pool in ordered)
    lines.append(f"PartitionName={ALL_POOLS} Nodes={nodes} Default=YES MaxTime=INFINITE State=UP")
    return "\n".join(lines) + "\n"


def _names(pool: Pool) -> str:
    return f"{pool.name}-[1-{pool.max_nodes}]"


def _node_line(pool: Pool, rank: int, ports: str | None) -> str:
    """Write a pool's nodes; large ones weigh more, so that small jobs leave them alone."""
    port = f" Port={ports}" if ports else ""
    return (
        f"NodeName={_names(pool)} NodeAddr={NOWHERE} CPUs={pool.cpus} "
        f"RealMemory={pool.memory_mb} State=CLOUD Weight={1000 * rank} "
        f"Feature={pool.capacity}{port}"
    )
