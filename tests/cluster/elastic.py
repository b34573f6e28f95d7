"""A whole elastic cluster on one host: Slurm, EC2, and between them what is tested."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.ec2 import Ec2Client
from lsstpipe.cluster.slurm import parse_nodes
from lsstpipe.cluster.slurm_conf import PowerSaving, render_pools
from tests.cluster.ec2_shim import REGION, Ec2Shim
from tests.cluster.fakes import make_pool, make_settings
from tests.cluster.slurm_server import SlurmServer, wait_until

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = REPOSITORY / "lsstpipe" / "cluster" / "programs"
BIN = Path(sys.executable).parent


class ElasticCluster:
    """Slurm and EC2, joined by the commands of lsstpipe as they run in production.

    Parameters
    ----------
    pools
        Settings of the pools; their network and template are filled in.
    idle_s
        How long a node without work stays.
    silence_s
        How long a node bears the silence of its head.
    every_s
        How often nodes look for a notice; `reconcile` looks half as often.
    slurm
        Its Slurm; a usual one where it is None.
    settings
        Of the cluster.
    """

    def __init__(
        self,
        *pools: dict[str, Any],
        idle_s: int = 4,
        silence_s: int = 15,
        every_s: float = 0.5,
        slurm: SlurmServer | None = None,
        **settings: Any,
    ) -> None:
        self._idle_s, self._silence_s, self._every_s = idle_s, silence_s, every_s
        self.slurm = slurm or SlurmServer()
        self.folder = self.slurm.folder
        self.state = self.folder / "cluster"
        munge = self.folder / "munge" / "socket"
        self.ec2 = Ec2Shim(self.folder / "machines", self._node_command, munge)
        self._pools, self._settings = pools, settings
        self._since = ""
        self._reaper: subprocess.Popen[bytes] | None = None

    def _node_command(self, key: str) -> list[str]:
        """What runs on an instance: everything that a boot script would start."""
        own = [f"{name}={value}" for name, value in self._node_environment.items()]
        return [
            "env", "-i", *own, str(BIN / "lsstpipe"), "cluster", "node",
            "--conf-server", f"127.0.0.1:{self.slurm.port}",
            "--imds-url", f"{self.ec2.url}/imds/{key}",
            "--events", str(self.state / "nodes.jsonl"),
            "--heartbeat", str(self.state / "shared-heartbeat"),
            "--shutdown", "true",
            "--on-notice", f"touch {self.folder}/machines/{key}/unmounted",
            "--poll", str(self._every_s), "--listen", str(4 * self._every_s),
            "--silence", str(self._silence_s),
        ]  # fmt: skip

    @property
    def _node_environment(self) -> dict[str, str]:
        path = f"{BIN}:{self.slurm.environment['PATH']}"
        # The commands of a test that is measured are measured too.
        measured = {k: v for k, v in os.environ.items() if k.startswith("COVERAGE")}
        own = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "HOME": str(self.folder)}
        return own | measured

    @property
    def environment(self) -> dict[str, str]:
        """What a person on the head node has."""
        return {
            **self._node_environment,
            **self.ec2.environment,
            "SLURM_CONF": self.slurm.environment["SLURM_CONF"],
            "LSSTPIPE_CLUSTER_CONFIG": str(self.folder / "etc" / "pools.json"),
            "LSSTPIPE_CLUSTER_STATE": str(self.state),
        }

    def start(self) -> None:
        """Start everything, with no node."""
        network = self.ec2.start()
        subnet = network["subnet"]
        pools = [
            pool | {"subnet_ids": [subnet], "launch_template_id": network["template"],
                    "launch_template_version": "1"}
            for pool in self._pools or (make_pool(),)
        ]  # fmt: skip
        settings = make_settings(*pools, **self._settings) | {
            "vpc_id": network["vpc"],
            "region": REGION,
            "subnets": {subnet: {"vpc_id": network["vpc"], "zone": "z1"}},
        }
        self.start_as(settings)

    def start_as(self, settings: dict[str, Any]) -> None:
        """Start everything but EC2, which serves already, with the settings of a cluster."""
        self.cluster = Cluster.model_validate(settings)
        self.state.mkdir()
        (self.folder / "etc" / "pools.json").write_text(json.dumps(settings))
        self._install_programs()
        ports = self.slurm.port_ranges({pool.name: pool.max_nodes for pool in self.cluster.pools})
        # `reconcile` gives up a node that does not boot before Slurm does, on a busy machine too.
        margin_s = max(10, round(self.cluster.boot_timeout_s / 3))
        saving = PowerSaving(
            self.folder / "etc", idle_s=self._idle_s, ending_s=12, boot_margin_s=margin_s, check_s=1
        )
        self.slurm.start(render_pools(self.cluster, saving, ports))
        self.start_reaper()

    def _install_programs(self) -> None:
        """Put ResumeProgram and SuspendProgram where Slurm calls them."""
        for name in ("resume", "suspend"):
            shutil.copy(PROGRAMS / name, self.folder / "etc" / name)
        lines = [f"export {name}='{value}'\n" for name, value in self.environment.items()]
        (self.folder / "etc" / "environment").write_text("".join(lines))

    def start_reaper(self) -> None:
        """Start ``reconcile``; wait for its sign of life."""
        with (self.state / "reconcile.log").open("ab") as log:
            self._reaper = subprocess.Popen(
                self._command(
                    "reconcile", "--every", str(2 * self._every_s),
                    "--share", str(self.state / "shared-heartbeat"), "--share-every", "0",
                ),
                env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        before = self._beat()
        wait_until(lambda: self._beat() != before, "reconcile")

    def _beat(self) -> str:
        file = self.state / "heartbeat"
        return file.read_text() if file.exists() else ""

    def stop_reaper(self) -> None:
        """Kill ``reconcile``."""
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper.wait()
            self._reaper = None

    def _command(self, *arguments: str) -> list[str]:
        return [str(BIN / "lsstpipe"), "cluster", *arguments]

    def run(self, *arguments: str) -> str:
        """Run a command of ``lsstpipe cluster``; give what it printed."""
        return self.run_lsstpipe("cluster", *arguments)

    def run_lsstpipe(self, *arguments: str) -> str:
        """Run a command of lsstpipe; give what it printed."""
        own = self.environment | {"XDG_CONFIG_HOME": str(self.folder / "config")}
        return subprocess.run(
            [str(BIN / "lsstpipe"), *arguments],
            env=own, check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    def start_on_head(
        self, *command: str, cwd: Path = REPOSITORY, log: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a command as a person on the head node does: ``/etc/slurm`` has the settings.

        Parameters
        ----------
        command
            The command.
        cwd
            Where it runs.
        log
            Where its output goes; here, where there is none.
        environment
            Variables besides those that a person on the head node has.
        """
        script = 'mount --bind "$0" /etc/slurm && exec "$@"'
        own = self.environment | {"XDG_CONFIG_HOME": str(self.folder / "config")} | environment
        del own["SLURM_CONF"]
        etc = str(self.folder / "etc")
        with ExitStack() as stack:
            output = None if log is None else stack.enter_context(log.open("wb"))
            return subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, etc, *command],
                env=own, cwd=cwd, start_new_session=True, stdout=output, stderr=output,
            )  # fmt: skip

    def start_snakemake(
        self, *arguments: str, cwd: Path, log: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start the workflow on the head node; parameters are those of `start_on_head`."""
        command = self.snakemake(*arguments, cwd=cwd)
        return self.start_on_head(*command, cwd=cwd, log=log, **environment)

    def snakemake(self, *arguments: str, cwd: Path) -> list[str]:
        """Give the command that runs the workflow, in a folder with a Snakefile or without."""
        elsewhere = [
            "--snakefile", str(REPOSITORY / "Snakefile"),
            "--workflow-profile", str(REPOSITORY / "profiles" / "default"),
        ]  # fmt: skip
        return [
            str(BIN / "snakemake"), *arguments, "--profile", "aws",
            *([] if (cwd / "Snakefile").exists() else elsewhere),
            # A cluster of this size answers at once.
            "--slurm-init-seconds-before-status-checks", "1",
            "--seconds-between-status-checks", "1",
        ]  # fmt: skip

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Give what has happened, all of it or of one kind."""
        rows = [
            json.loads(line)
            for file in ("events.jsonl", "nodes.jsonl")
            if (self.state / file).exists()
            for line in (self.state / file).read_text().splitlines()
        ]
        rows = [row for row in rows if row["time"] >= self._since]
        return [row for row in rows if not name or row["event"] == name]

    def boot_failures(self) -> list[dict[str, Any]]:
        """Give what was done to nodes that did not boot."""
        return [e for e in self.events("node-action") if "did not join" in e["reason"]]

    def silence_of_reaper_s(self) -> float:
        """Give how long ago ``reconcile`` gave its sign of life, seconds."""
        return time.time() - float(self._beat())

    def ec2_client(self) -> Ec2Client:
        """Give EC2 as the head node sees it."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.ec2.environment.items():
                patch.setenv(name, value)
            return Ec2Client(self.cluster.name, REGION)

    def alive(self) -> list[str]:
        """Give the ids of the instances that run."""
        return [item.id for item in self.ec2.instances()]

    def wait_for_job(self, job: int, state: str = "COMPLETED", timeout_s: float = 60.0) -> None:
        """Wait until the last run of a job has a state."""
        wait_until(
            lambda: self.slurm.job_states(job)[-1:] == [state], f"job {job} {state}", timeout_s
        )

    def wait_for_rest(self, timeout_s: float = 30.0) -> None:
        """Wait until no instance runs and every node can be launched again."""
        try:
            wait_until(lambda: not self.alive() and not self.restless(), "zero nodes", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; there are {self.alive()} {self.restless()}") from None

    def restless(self) -> dict[str, str]:
        """Give the states of nodes that cannot be launched, or need not."""
        nodes = parse_nodes(self.slurm.run("scontrol", "show", "nodes", "--oneliner", "--all"))
        at_rest = {"IDLE", "CLOUD", "POWERED_DOWN"}
        return {node.name: "+".join(node.flags) for node in nodes if node.flags != at_rest}

    def clear(self) -> None:
        """Cancel all jobs, end all nodes, and pass over what has happened so far."""
        self.slurm.run("scancel", "--user=root")
        powered = [n for n in self._names() if "POWERED_DOWN" not in self.slurm.node_flags(n)]
        for name in powered:
            self.slurm.run("scontrol", "update", f"nodename={name}", "state=power_down_force")
        wait_until(lambda: not self.alive(), "no instances")
        self._since = datetime.datetime.now(datetime.UTC).isoformat()

    def _names(self) -> list[str]:
        return [name for pool in self.cluster.pools for name in pool.node_names()]

    def stop(self) -> None:
        """Stop everything."""
        self.stop_reaper()
        self.ec2.stop()
        self.slurm.stop(self._names() if hasattr(self, "cluster") else ())


def keep_logs(cluster: ElasticCluster, target: Path) -> None:
    """Copy the logs of a cluster, for a person to read."""
    shutil.copytree(cluster.folder / "log", target / "log", dirs_exist_ok=True)
    shutil.copytree(cluster.state, target / "state", dirs_exist_ok=True)
    if (machines := cluster.folder / "machines").exists():
        for console in machines.glob("*/console"):
            shutil.copy(console, target / f"console-{console.parent.name}")
