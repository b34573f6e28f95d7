"""A real Slurm of a test's own: controller, accounting and munge below one folder, on own ports."""

from __future__ import annotations

import errno
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "unshare")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_N_PORTS = 64

_BASE = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmctldDebug=verbose
DebugFlags=Power
PlugStackConfig=/dev/null
{memory}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge/socket
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
SlurmctldTimeout=30
SlurmdTimeout=20
SlurmdParameters=config_overrides
MinJobAge=300
MessageTimeout={timeout_s}
KillWait=2
MpiDefault=none
"""

# A job that takes more memory than it asked for is killed by the kernel where it may be told so,
# else by Slurm, which looks once a second.
_WITHOUT_LIMIT = "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none"
_BY_SLURM = f"{_WITHOUT_LIMIT}\nJobAcctGatherParams=OverMemoryKill"
_BY_KERNEL = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup"
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP = f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={_CGROUPS}
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
"""
_CONTROLLERS = ("cpuset", "devices", "freezer", "memory")

_DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""


def free_ports(n: int) -> int:
    """Find the first of some ports in a row that are free now."""
    for _ in range(200):
        first = 20000 + secrets.randbelow(12000)
        try:
            for port in range(first, first + n):
                with socket.socket() as probe:
                    probe.bind(("0.0.0.0", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no ports are free")


def wait_until(
    is_so: Callable[[], Any], what: str, timeout_s: float = 30.0, every_s: float = 0.1
) -> Any:
    """Wait until something is so; give what it gave."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if found := is_so():
            return found
        time.sleep(every_s)
    raise TimeoutError(f"{what}: not within {timeout_s} s")


@dataclass
class SlurmServer:
    """Controller and accounting, started and stopped at will, and gone with their files.

    Attributes
    ----------
    name
        Name of the cluster in the accounting.
    folder
        Where everything is.
    port
        First of its ports; nodes have those from ``port + 2`` on.
    is_limiting
        Whether jobs are killed that take more memory than they asked for.
    timeout_s
        How long commands wait for slurmctld.
    """

    name: str = "test"
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="lsstpipe-slurm-")))
    port: int = field(default_factory=lambda: free_ports(_N_PORTS))
    is_limiting: bool = False
    timeout_s: int = 10
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in ("etc", "log", "run", "state", "spool", "munge", "mysql", "tmp"):
            (self.folder / part).mkdir()
        self.folder.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """What its commands need."""
        return {
            "PATH": _PATH,
            "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"),
            "MYSQL_UNIX_PORT": str(self.folder / "run" / "mysql.sock"),
        }

    def port_ranges(self, sizes: Mapping[str, int]) -> dict[str, str]:
        """Give each pool ports of its own, one a node."""
        first, ranges = self.port + 2, {}
        for name, size in sizes.items():
            ranges[name] = f"[{first}-{first + size - 1}]" if size > 1 else str(first)
            first += size
        assert first <= self.port + _N_PORTS
        return ranges

    def start(self, pools: str) -> None:
        """Start everything; ``pools`` are the lines of nodes and partitions."""
        values = {
            "name": self.name, "host": socket.gethostname(), "folder": self.folder,
            "port": self.port, "dbd_port": self.port + 1,
            "memory": _WITHOUT_LIMIT, "timeout_s": self.timeout_s,
        }  # fmt: skip
        etc = self.folder / "etc"
        if self.is_limiting:
            values["memory"] = _BY_KERNEL if kernel_limits_memory() else _BY_SLURM
            (etc / "cgroup.conf").write_text(_CGROUP if kernel_limits_memory() else "")
        (etc / "slurm.conf").write_text(_BASE.format(**values) + pools)
        (etc / "slurmdbd.conf").write_text(_DBD.format(**values))
        (etc / "slurmdbd.conf").chmod(0o600)
        self._start_munge()
        self._start_database()
        self.start_accounting()
        for record in (
            ("cluster", self.name),
            ("account", "drp", "Description=drp", "Organization=drp"),
            ("user", "root", "account=drp"),
        ):
            self.run("sacctmgr", "-i", "add", *record)
        self.start_controller()

    def _start_munge(self) -> None:
        munge = self.folder / "munge"
        key = munge / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        munge.chmod(0o755)
        self._start_daemon(
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={munge / 'socket'}", f"--pid-file={munge / 'pid'}",
            f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}", "--num-threads=2",
        )  # fmt: skip
        wait_until((munge / "socket").exists, "munged")

    def _start_database(self) -> None:
        own, data = self.folder, self.folder / "mysql"
        self._call(
            "mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",
            "--auth-root-authentication-method=socket", "--skip-test-db",
        )  # fmt: skip
        socket_file = own / "run" / "mysql.sock"
        self._start_daemon(
            "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
            f"--socket={socket_file}", f"--tmpdir={own / 'tmp'}", "--skip-networking",
            "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0",
        )  # fmt: skip
        client = ("mariadb", "--no-defaults", "-uroot", f"-S{socket_file}")
        wait_until(
            lambda: self._try(*client, "-e", "create database slurm_acct_db") is not None,
            "mariadbd",
        )

    def start_accounting(self) -> None:
        """Start slurmdbd, and wait until it answers."""
        self._start_daemon("slurmdbd", "-D")
        wait_until(lambda: self._try("sacctmgr", "-n", "show", "cluster") is not None, "slurmdbd")

    def stop_accounting(self) -> None:
        """Stop slurmdbd; the controller keeps for it what happens."""
        self._stop_daemon("slurmdbd")

    def start_controller(self) -> None:
        """Start slurmctld, and wait until it answers."""
        self._start_daemon("slurmctld", "-D")
        wait_until(lambda: "is UP" in (self._try("scontrol", "ping") or ""), "slurmctld")

    def stop_controller(self) -> None:
        """Stop slurmctld; jobs and nodes go on."""
        self._stop_daemon("slurmctld")

    def _start_daemon(self, name: str, *arguments: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [name, *arguments],
                env=self.environment, cwd=self.folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def _stop_daemon(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _call(self, *command: str) -> str:
        return subprocess.run(
            command,
            env=self.environment, cwd=self.folder, check=True, capture_output=True, text=True,
            timeout=60,
        ).stdout  # fmt: skip

    def run(self, *command: str) -> str:
        """Run a command of Slurm; give what it printed."""
        try:
            return self._call(*command)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{command}: {error.stdout}{error.stderr}") from error

    def _try(self, *command: str) -> str | None:
        try:
            return self._call(*command)
        except subprocess.SubprocessError:
            return None

    def submit(self, script: str, *options: str) -> int:
        """Submit a batch job; give its number."""
        path = self.folder / "tmp" / f"job-{secrets.token_hex(4)}.sh"
        path.write_text(f"#!/bin/bash\n{script}\n")
        output = f"--output={self.folder / 'log' / 'job-%j.out'}"
        return int(self.run("sbatch", "--parsable", output, *options, str(path)))

    def output(self, job: int) -> str:
        """Give what a job printed."""
        return (self.folder / "log" / f"job-{job}.out").read_text()

    def node_of(self, job: int) -> str:
        """Give the node that a job has."""
        return self.run("squeue", "-h", f"--jobs={job}", "--format=%N").strip()

    def job_states(self, job: int) -> list[str]:
        """Give the states of all runs of a job, as the accounting has them."""
        text = self.run(
            "sacct", "-X", "-n", "-P", "--duplicates", f"--jobs={job}", "--format=State"
        )
        return [line.split()[0] for line in text.splitlines() if line]

    def admin_comment(self, job: int) -> str:
        """Give the note that the head node left with a job."""
        text = self.run("scontrol", "show", "job", str(job))
        lines = [line.strip() for line in text.splitlines()]
        return "".join(x.removeprefix("AdminComment=") for x in lines if x.startswith("AdminC"))

    def node_flags(self, node: str) -> set[str]:
        """Give the state of a node."""
        line = self.run("scontrol", "show", "node", node, "--oneliner")
        return set(line.partition(" State=")[2].split()[0].split("+"))

    def _remove_cgroups(self, nodes: Sequence[str]) -> None:
        """Remove the control groups of nodes: machines that were killed have left theirs."""
        for name in nodes:
            for root in _CGROUPS.glob(f"*/slurm_{name}"):
                for folder in sorted({root, *root.glob("**/")}, reverse=True):
                    wait_until(functools.partial(_is_removed, folder), f"{folder} is empty", 5)

    def stop(self, nodes: Sequence[str] = ()) -> None:
        """Stop everything and delete its files, and what nodes have left in the kernel."""
        for name in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
            if name in self._daemons:
                self._stop_daemon(name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._remove_cgroups(nodes)


def kernel_limits_memory() -> bool:
    """Tell whether control groups of version 1 may be made here, which this Slurm knows best."""
    return all(os.access(_CGROUPS / name / "tasks", os.W_OK) for name in _CONTROLLERS)


def _is_removed(folder: Path) -> bool:
    """Remove a control group; its last processes may be about to end."""
    try:
        folder.rmdir()
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


def missing_programs() -> Sequence[str]:
    """Give what is missing: programs that are not installed, root, the right to make namespaces."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if os.geteuid() != 0:
        return [*missing, "root"]
    probe = ["unshare", "--time", "--pid", "--fork", "--mount-proc", "true"]
    if not missing and subprocess.run(probe, check=False, capture_output=True).returncode:
        return ["namespaces"]
    return missing
