"""Everything that goes wrong, at the same time: a pool, a job and a repository for each fault.

Slurm 22.05 takes half a minute to see that a node has booted, so the faults of nodes happen side
by side; those of the head node come one after the other, on a node of their own, meanwhile.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.ec2_shim import PoolFaults
from tests.cluster.elastic import BIN, REPOSITORY, ElasticCluster
from tests.cluster.fakes import make_pool
from tests.cluster.production import THREADS, Production
from tests.cluster.slurm_server import SlurmServer, wait_until

NO_CAPACITY = "InsufficientInstanceCapacity"
# What a slurmd does that never speaks to its head.
_MUTE = """\
printf '#!/bin/sh\\nexec sleep 1000\\n' >/run/slurmd
chmod +x /run/slurmd
mount --bind /run/slurmd "$(readlink -f /usr/sbin/slurmd)"
"""
_SILENT = "sleep 1000\n"
_SLOW = "sleep 8\n"
# Room for slurmd, none for the script of a job.
_FULL = "mount -t tmpfs -o size=256k none {spool}\n"
_N_LARGE = 1_000_000

# Only one process at a time may be at work on a repository; who comes second says so.
_SCRIPT = """\
export {exports}
cd {folder}
exec 9>>alone
flock --nonblock 9 || {{ echo twice >>runs; exit 9; }}
echo "$SLURMD_NODENAME" >>runs
exec {command}
"""

NODE_FAULTS = (
    "lost", "noticed", "dear", "iced", "quota", "throttled", "fatal",
    "dead", "mute", "late", "full", "hidden", "stuck",
)  # fmt: skip
HEAD_FAULTS = ("restarted", "reconfigured", "unaccounted", "unwatched")

# Memory that a chunk takes (more than is asked for first), how long another hangs, and a third that
# waits until it may go on.
_WORKFLOW = """\
#!/bin/bash
case "$*" in
*{hungry}*) {python} -c "import time; x = b'x' * (700 << 20); time.sleep(3)" || exit ;;
*{slow}*) [ -e slow ] || {{ touch slow; sleep 600; }} ;;
*{waiting}*) touch waits; until [ -e go ]; do sleep 0.2; done ;;
esac
exec {lsstpipe} "$@"
"""


def make_cluster(**settings: float) -> ElasticCluster:
    """Make a cluster with a pool for each fault, whose jobs are held to their memory."""
    names = (*NODE_FAULTS, "other", "unwatched", "steady", "workflow")
    return ElasticCluster(
        *(make_pool(name, cpus=2, memory_mb=2000, max_nodes=2) for name in names),
        idle_s=30,
        silence_s=90,
        every_s=1.0,
        # All at once is much for a small host.
        slurm=SlurmServer(is_limiting=True, timeout_s=30),
        **{
            "boot_timeout_s": 60,
            "orphan_grace_s": 45,  # longer than an instance is hidden and looked for
            "capacity_cooldown_s": 20,
            "quota_cooldown_s": 20,
            "heartbeat_timeout_s": 20,
        }
        | settings,
    )


@dataclass
class Row:
    """A job of a fault, and the repository that it works on."""

    production: Production
    job: int

    @property
    def chunk(self) -> str:
        """The chunk that it runs."""
        return self.production.chunks()[0]

    def runs(self) -> list[str]:
        """Give the nodes that it began on, in their order."""
        return (self.production.folder / "runs").read_text().split()


class Storm:
    """What happened to a cluster when everything went wrong.

    Parameters
    ----------
    cluster
        The cluster, at rest.
    base
        What all repositories are copies of.
    folder
        Where they are.
    """

    def __init__(self, cluster: ElasticCluster, base: Production, folder: Path) -> None:
        self.cluster, self._base, self._folder = cluster, base, folder
        self.rows: dict[str, Row] = {}
        self.workflow = base.copy(folder / "workflow")
        self.instances_unwatched: list[str] = []
        self.launches_while_broken = 0
        self._snakemakes: list[subprocess.Popen[bytes]] = []

    def rage(self) -> None:
        """Let everything go wrong; wait until all is over."""
        self._plan()
        for name in NODE_FAULTS:
            self._submit(name)
        first = self._start_workflow()
        self._take_back()
        self._disturb_head()
        self._let_return()
        self._kill_workflow(first)
        (self.workflow.folder / "go").touch()
        assert self._start_workflow().wait(300) == 0
        for name, row in self.rows.items():
            self._wait(name, row)
        self.cluster.wait_for_rest(120)

    def _plan(self) -> None:
        """Say what goes wrong with which pool."""
        spool = self.cluster.folder / "spool"
        self.cluster.ec2.faults |= {
            "dear": PoolFaults(code=NO_CAPACITY, markets=("spot",)),
            # One of two pools is without capacity: the one that Slurm tries first.
            "iced": PoolFaults(code=NO_CAPACITY, spared="other"),
            "other": PoolFaults(code=NO_CAPACITY, spared="iced"),
            "quota": PoolFaults(code="VcpuLimitExceeded"),
            "throttled": PoolFaults(n_throttled=3),
            "fatal": PoolFaults(code="InvalidAMIID.NotFound"),
            "dead": PoolFaults(machines=[_SILENT]),
            "mute": PoolFaults(machines=[_MUTE]),
            "late": PoolFaults(machines=[_SLOW]),
            "full": PoolFaults(machines=[_FULL.format(spool=spool)]),
            "hidden": PoolFaults(hidden_s=20),
            "stuck": PoolFaults(n_stuck=3),
        }

    def _submit(self, name: str, partition: str = "") -> Row:
        """Submit the job of a fault."""
        production = self._base.copy(self._folder / name)
        chunk = production.chunks()[0]
        exports = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **THREADS}
        script = _SCRIPT.format(
            exports=" ".join(f"{key}={value}" for key, value in exports.items()),
            folder=production.folder,
            command=" ".join(production.command(chunk)),
        )
        if name == "full":
            script += f"# {'.' * _N_LARGE}\n"
        pools = "iced,other" if name == "iced" else partition or name
        job = self.cluster.slurm.submit(script, f"--partition={pools}")
        self.rows[name] = Row(production, job)
        return self.rows[name]

    def _take_back(self) -> None:
        """Let the Spot market take two nodes back while they work, one with notice."""
        left = {"lost": self.cluster.ec2.lose, "noticed": self.cluster.ec2.give_notice}

        def take() -> bool:
            for name in list(left):
                row = self.rows[name]
                if row.production.has_begun(row.chunk):
                    left.pop(name)(self.cluster.ec2.of_pool(name)[0])
            return not left

        wait_until(take, "both are at work", 300)

    def _disturb_head(self) -> None:
        """Let the daemons of the head node fail in turn, with a job at work each time."""
        slurm = self.cluster.slurm
        row = self._begin("restarted")
        slurm.stop_controller()
        wait_until(lambda: row.production.has_ended(row.chunk), "it ends meanwhile", 120)
        slurm.start_controller()
        self._wait("restarted", row)
        row = self._begin("reconfigured")
        slurm.run("scontrol", "reconfigure")
        self._wait("reconfigured", row)
        slurm.stop_accounting()
        row = self._begin("unaccounted")
        wait_until(lambda: row.production.has_ended(row.chunk), "it ends meanwhile", 120)
        slurm.start_accounting()
        self._wait("unaccounted", row)

    def _begin(self, name: str) -> Row:
        """Submit a job to the node for faults of the head; wait until it is at work."""
        row = self._submit(name, "steady")
        wait_until(lambda: row.production.has_begun(row.chunk), f"{name} is at work", 300)
        return row

    def _let_return(self) -> None:
        """Give capacity back, and the quota; see what is broken launch nothing, then mend it."""
        cluster = self.cluster
        self._wait("iced", self.rows["iced"])
        for name in ("iced", "other", "quota"):
            cluster.ec2.faults[name].code = ""
        self.launches_while_broken = cluster.ec2.launches.count(("fatal", "spot"))
        cluster.ec2.faults["fatal"].code = ""
        cluster.run("close-breaker", "fatal")
        self._fall_silent()

    def _fall_silent(self) -> None:
        """Let nobody look after the nodes, and ask for one."""
        cluster = self.cluster
        cluster.stop_reaper()
        wait_until(lambda: cluster.silence_of_reaper_s() > 21, "silence")
        self._submit("unwatched")
        told = functools.partial(cluster.events, "reaper-silent")
        wait_until(lambda: any("unwatched-1" in e["nodes"] for e in told()), "nothing is launched")
        self.instances_unwatched = cluster.ec2.of_pool("unwatched")
        cluster.start_reaper()

    def _start_workflow(self) -> subprocess.Popen[bytes]:
        """Start Snakemake on the stage visit."""
        cluster, folder = self.cluster, self.workflow.folder
        program = folder / "bin" / "lsstpipe"
        if not program.exists():
            self._write_stand_in(program)
            cluster.run_lsstpipe("profile", "install", "aws")
        process = cluster.start_on_head(
            str(BIN / "snakemake"), "visit", "--profile", "aws",
            "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "campaign.yaml",
            "--workflow-profile", str(REPOSITORY / "profiles" / "default"),
            "--default-resources", "slurm_partition=workflow", "mem_mb=500", "runtime=5",
            "--slurm-init-seconds-before-status-checks", "1",
            "--seconds-between-status-checks", "1",
            cwd=folder, PATH=f"{program.parent}:{cluster.environment['PATH']}", **THREADS,
        )  # fmt: skip
        self._snakemakes.append(process)
        return process

    def _write_stand_in(self, program: Path) -> None:
        """Put a command before lsstpipe that makes one chunk hungry, one slow and one wait."""
        hungry, slow, waiting = self.workflow.chunks()
        program.parent.mkdir()
        program.write_text(
            _WORKFLOW.format(
                hungry=hungry,
                slow=slow,
                waiting=waiting,
                python=BIN / "python",
                lsstpipe=BIN / "lsstpipe",
            )
        )
        program.chmod(0o755)
        # The slow one may take a minute.
        plan = self.workflow.repo / "plan" / "chunks.tsv"
        rows = [row.split("\t") for row in plan.read_text().splitlines()]
        column = rows[0].index("runtime")
        for row in rows:
            if row[1] == slow and row[0] == "visit":
                row[column] = "1"
        plan.write_text("\n".join("\t".join(row) for row in rows) + "\n")

    def _kill_workflow(self, process: subprocess.Popen[bytes]) -> None:
        """Kill Snakemake while a job of its runs, once the others have ended."""
        hungry, slow, _ = self.workflow.chunks()
        wait_until(
            lambda: self.workflow.has_ended(hungry) and self.workflow.has_ended(slow),
            "two chunks end in the end",
            400,
        )
        wait_until((self.workflow.folder / "waits").exists, "the third is at work", 60)
        assert process.poll() is None
        self.stop()

    def stop(self) -> None:
        """Kill each Snakemake that runs."""
        for process in self._snakemakes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _wait(self, name: str, row: Row) -> None:
        wait_until(
            lambda: self.cluster.slurm.job_states(row.job)[-1:] == ["COMPLETED"],
            f"job {row.job} of {name}",
            300,
        )
