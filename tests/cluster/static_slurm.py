"""A Slurm whose nodes are always there: for tests of jobs, not of where nodes come from."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.slurm_server import SlurmServer, wait_until

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

# Name, processors, memory (MB), feature; the last one is never up.
NODES = (("work-1", 1, 2000, "spot"), ("big-1", 1, 4000, "on-demand"), ("tiny-1", 1, 600, "spot"))
PARTITIONS = {"work": "work-1", "big": "big-1", "tiny": "tiny-1"}


@dataclass
class StaticSlurm(SlurmServer):
    """A Slurm with one node a partition; ``work`` is the default one."""

    _nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_all(self) -> None:
        """Start controller, accounting and nodes."""
        lines = ["AccountingStoreFlags=job_comment", "JobRequeue=1", "ReturnToService=2"]
        host = socket.gethostname()
        for port, (name, cpus, memory_mb, feature) in enumerate(NODES, self.port + 2):
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} "
                f"RealMemory={memory_mb} Feature={feature} State=UNKNOWN"
            )
        for name, nodes in PARTITIONS.items():
            default = " Default=YES" if name == "work" else ""
            lines.append(f"PartitionName={name} Nodes={nodes}{default} MaxTime=INFINITE State=UP")
        self.start("\n".join(lines) + "\n")
        for name, *_ in NODES[:-1]:
            node = self.on_head("slurmd", "-D", "-N", name, stdout=subprocess.DEVNULL)
            self._nodes.append(node)
        wait_until(
            lambda: all("IDLE" in self.node_flags(name) for name, *_ in NODES[:-1]), "nodes", 60
        )

    @property
    def _path(self) -> str:
        return f"{BIN}:{self.environment['PATH']}"

    def on_head(
        self,
        *command: str,
        cwd: Path = REPOSITORY,
        stdout: int = subprocess.PIPE,
        **more: str,
    ) -> subprocess.Popen[bytes]:
        """Start a command that finds the settings in ``/etc/slurm``, as jobs do too."""
        script = 'mount --bind "$0" /etc/slurm && exec "$@"'
        measured = {k: v for k, v in os.environ.items() if k.startswith("COVERAGE")}
        own = {"PATH": self._path, "PYTHONPATH": str(REPOSITORY), "HOME": str(self.folder)}
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, str(self.folder / "etc"), *command],
            env=own | measured | more, cwd=cwd, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop everything and delete its files."""
        for node in self._nodes:
            node.terminate()
            node.wait()
        super().stop()
