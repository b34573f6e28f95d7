"""Everything that goes wrong, at the same time: a pool, a job and a repository for each fault.

Slurm 22.05 takes half a minute to see that a node has booted, so the faults happen side by side;
those of the head node come one after the other, on a node of their own, meanwhile.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.ec2_shim import PoolFaults
from tests.cluster.elastic import BIN, REPOSITORY, ElasticCluster
from tests.cluster.fakes import make_pool
from tests.cluster.production import THREADS, Production
from tests.cluster.slurm_server import SlurmServer, wait_until

NO_CAPACITY = "InsufficientInstanceCapacity"
HIDDEN_S = 60.0
"""How long EC2 does not show an instance."""

_HEARTBEAT_S = 15.0
# What a slurmd does that never speaks to its head.
_MUTE = """\
printf '#!/bin/sh\\nexec sleep 1000\\n' >/run/slurmd
chmod +x /run/slurmd
mount --bind /run/slurmd "$(readlink -f /usr/sbin/slurmd)"
"""
_SILENT = "sleep 1000\n"
_SLOW = "sleep 30\n"
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
until [ -e go ]; do sleep 0.2; done
exec flock {turn} {command}
"""
_N_AT_ONCE = 2
"""How many of the jobs that are only to be done are at work at the same time."""

NODE_FAULTS = (
    "lost", "noticed", "dear", "iced", "quota", "throttled", "fatal",
    "dead", "mute", "late", "full", "hidden", "stuck",
)  # fmt: skip
HEAD_FAULTS = ("restarted", "reconfigured", "unaccounted", "unwatched")

# Memory that a chunk takes (more than is asked for first), how long another hangs, and a third that
# waits until it may go on; two at a time on one chunk are told of.
_WORKFLOW = """\
#!/bin/bash
exec 9>>"alone-$6"
flock --nonblock 9 || {{ echo "$6" >>twice; exit 9; }}
case "$*" in
*{hungry}*) {python} -c "import time; x = b'x' * (800 << 20); time.sleep(3)" || exit ;;
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
        idle_s=35,
        silence_s=90,
        every_s=1.0,
        # As on a site: commands outlast a restart of slurmctld.
        slurm=SlurmServer(is_limiting=True, timeout_s=60),
        **{
            "boot_timeout_s": HIDDEN_S + 30,
            "orphan_grace_s": HIDDEN_S + 30,
            "capacity_cooldown_s": 20,
            "quota_cooldown_s": 20,
            "heartbeat_timeout_s": _HEARTBEAT_S,
        }
        | settings,
    )


@dataclass
class Row:
    """A job of a fault, the repository that it works on, and the chunk that it runs."""

    production: Production
    chunk: str
    job: int = 0

    def runs(self) -> list[str]:
        """Give the nodes that it began on, in their order."""
        told = self.production.folder / "runs"
        return told.read_text().split() if told.exists() else []

    def let_go(self) -> None:
        """Let it go to work once it has begun."""
        (self.production.folder / "go").touch()

    def has_begun(self) -> bool:
        """Tell whether some of its quanta are recorded, but no manifest."""
        return self.production.has_begun(self.chunk)

    def has_ended(self) -> bool:
        """Tell whether its chunk is finished."""
        return self.production.has_ended(self.chunk)


class Storm:
    """What happened to a cluster when everything went wrong.

    Parameters
    ----------
    cluster
        The cluster; its `reconcile` is dead.
    base
        What all repositories are copies of.
    folder
        Where they are.
    """

    def __init__(self, cluster: ElasticCluster, base: Production, folder: Path) -> None:
        self.cluster, self._base, self._folder = cluster, base, folder
        self.rows: dict[str, Row] = {}
        self.workflow = base.copy(folder / "workflow")
        self.undisturbed = base.copy(folder / "undisturbed")
        self.instances_unwatched: list[str] = []
        self.launches_while_broken = 0
        self._begun = time.monotonic()
        self._snakemakes: list[subprocess.Popen[bytes]] = []
        self._is_taken_back = threading.Event()
        self._has_failed = threading.Event()

    def rage(self) -> None:
        """Let everything go wrong; wait until all is over."""
        self._go_unwatched()
        self._plan()
        for name in NODE_FAULTS:
            self._submit(name)
        self._tell("all faults are submitted")
        plays = (
            self._run_undisturbed,
            self._take_back,
            self._disturb_head,
            self._let_return,
            self._disturb_workflow,
        )
        with ThreadPoolExecutor(len(plays)) as pool:
            for future in [self._begin(pool, play) for play in plays]:
                future.result()
        for name in self.rows:
            self._wait(name)
        self.cluster.wait_for_rest(120)
        self._tell("all is at rest")

    def _begin(self, pool: ThreadPoolExecutor, play: Callable[[], None]) -> Future[None]:
        """Begin a play; where one fails, the others do not wait any more."""

        def run() -> None:
            try:
                play()
            except BaseException:
                self._has_failed.set()
                raise

        return pool.submit(run)

    def _until(
        self, is_so: Callable[[], Any], what: str, timeout_s: float = 240.0, every_s: float = 0.1
    ) -> None:
        """Wait until something is so, as long as all plays go on."""

        def look() -> bool:
            assert not self._has_failed.is_set(), f"{what}: given up, for another play failed"
            return bool(is_so())

        wait_until(look, what, timeout_s, every_s)
        self._tell(what)

    def _tell(self, what: str) -> None:
        """Note what has come to pass, and when, for a person who looks why it took so long."""
        with (self.cluster.state / "storm.log").open("a") as log:
            log.write(f"{time.monotonic() - self._begun:6.1f} s  {what}\n")

    def _go_unwatched(self) -> None:
        """Ask for a node while nobody looks after the nodes; then let somebody."""
        cluster = self.cluster
        wait_until(lambda: cluster.silence_of_reaper_s() > _HEARTBEAT_S + 1, "silence")
        self._submit("unwatched")
        told = functools.partial(cluster.events, "reaper-silent")
        wait_until(lambda: any("unwatched-1" in e["nodes"] for e in told()), "nothing is launched")
        self.instances_unwatched = cluster.ec2.of_pool("unwatched")
        cluster.start_reaper()

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
            "hidden": PoolFaults(hidden_s=HIDDEN_S),
            "stuck": PoolFaults(n_stuck=3),
        }

    def _submit(self, name: str, partition: str = "") -> Row:
        """Submit the job of a fault; those of the head node wait for a word before they work."""
        production = self._base.copy(self._folder / name)
        # A job that is to be lost at work has something to lose; the others are short.
        chunks = production.chunks()
        row = Row(production, chunks[0 if name in ("lost", "noticed") else -1])
        is_disturbed = name in ("lost", "noticed", *HEAD_FAULTS)
        if partition == "":
            row.let_go()
        exports = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **THREADS}
        script = _SCRIPT.format(
            exports=" ".join(f"{key}={value}" for key, value in exports.items()),
            folder=production.folder,
            # Jobs that are disturbed at work wait for nobody.
            turn=self._folder / f"turn-{name if is_disturbed else len(self.rows) % _N_AT_ONCE}",
            command=" ".join(production.command(row.chunk)),
        )
        if name == "full":
            script += f"# {'.' * _N_LARGE}\n"
        pools = "iced,other" if name == "iced" else partition or name
        row.job = self.cluster.slurm.submit(script, f"--partition={pools}")
        self.rows[name] = row
        return row

    def _run_undisturbed(self) -> None:
        """Run all chunks here, without a Slurm."""
        for chunk in self.undisturbed.chunks():
            self.undisturbed.run(chunk)
        self._tell("the undisturbed run has ended")

    def _take_back(self) -> None:
        """Let the Spot market take two nodes back while they work, one with notice."""
        lost, noticed = self.rows["lost"], self.rows["noticed"]
        ec2 = self.cluster.ec2
        left: dict[Callable[[], Any], Callable[[], None]] = {
            lost.has_begun: lambda: ec2.lose(ec2.of_pool("lost")[0]),
            noticed.runs: lambda: ec2.give_notice(ec2.of_pool("noticed")[0]),
        }

        def take() -> bool:
            for is_at_work in list(left):
                if is_at_work():
                    left.pop(is_at_work)()
            return not left

        self._until(take, "both are at work")
        for name, state in (("lost", "NODE_FAIL"), ("noticed", "REQUEUED")):
            self._until(
                functools.partial(self._has_been, name, state), f"{name}: {state}", every_s=1.0
            )
        # Their next launches may be cut in two by the restart of slurmctld: it asks again.
        self._is_taken_back.set()

    def _disturb_head(self) -> None:
        """Let the daemons of the head node fail in turn, with a job at work each time."""
        slurm = self.cluster.slurm
        row = self._submit("restarted", "steady")
        self._until(row.runs, "restarted has begun")
        self._until(self._is_taken_back.is_set, "the market has taken what it takes")
        slurm.stop_controller()
        row.let_go()
        self._until(row.has_ended, "it ends meanwhile")
        slurm.start_controller()
        self._wait("restarted")
        row = self._submit("reconfigured", "steady")
        self._until(row.runs, "reconfigured has begun")
        slurm.run("scontrol", "reconfigure")
        row.let_go()
        self._wait("reconfigured")
        slurm.stop_accounting()
        row = self._submit("unaccounted", "steady")
        row.let_go()
        self._until(row.has_ended, "it ends meanwhile")
        slurm.start_accounting()
        self._wait("unaccounted")

    def _let_return(self) -> None:
        """Give capacity back, and the quota; see what is broken launch nothing, then mend it."""
        cluster = self.cluster
        self._wait("iced")
        for name in ("iced", "other", "quota"):
            cluster.ec2.faults[name].code = ""
        self.launches_while_broken = cluster.ec2.launches.count(("fatal", "spot"))
        cluster.ec2.faults["fatal"].code = ""
        cluster.run("close-breaker", "fatal")

    def _disturb_workflow(self) -> None:
        """Let a Snakemake run into hunger and time, and kill it; let another go on."""
        self._write_stand_in()
        self.cluster.run_lsstpipe("profile", "install", "aws")
        first = self._start_workflow()
        hungry, slow, _ = self.workflow.chunks()
        for chunk in (hungry, slow):
            self._until(functools.partial(self.workflow.has_ended, chunk), f"{chunk} ends", 300)
        self._until((self.workflow.folder / "waits").exists, "the third is at work")
        assert first.poll() is None
        self.stop()
        (self.workflow.folder / "go").touch()
        second = self._start_workflow()
        self._until(lambda: second.poll() is not None, "the second Snakemake ends")
        assert second.returncode == 0

    def _start_workflow(self) -> subprocess.Popen[bytes]:
        """Start Snakemake on the stage visit."""
        cluster, folder = self.cluster, self.workflow.folder
        path = f"{folder / 'bin'}:{cluster.environment['PATH']}"
        process = cluster.start_snakemake(
            "visit", "--configfile", "campaign.yaml",
            "--default-resources", "slurm_partition=workflow", "mem_mb=500", "runtime=5",
            cwd=folder, PATH=path, **THREADS,
        )  # fmt: skip
        self._snakemakes.append(process)
        return process

    def _write_stand_in(self) -> None:
        """Put a command before lsstpipe that makes one chunk hungry, one slow and one wait."""
        hungry, slow, waiting = self.workflow.chunks()
        program = self.workflow.folder / "bin" / "lsstpipe"
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

    def stop(self) -> None:
        """Kill each Snakemake that runs."""
        for process in self._snakemakes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _wait(self, name: str) -> None:
        """Wait until the job of a fault is done."""
        is_done = functools.partial(self._has_been, name, "COMPLETED")
        self._until(is_done, f"{name} is done", every_s=1.0)

    def _has_been(self, name: str, state: str) -> bool:
        """Tell whether a run of a job has come to a state; no, where the accounting is away."""
        try:
            return state in self.cluster.slurm.job_states(self.rows[name].job)
        except RuntimeError:
            return False
