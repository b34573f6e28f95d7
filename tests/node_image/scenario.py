"""A head node and a node boot from one root folder, with EC2, S3 and SQS played by moto.

Usage: python -m tests.node_image.scenario ROOT RESULT

It is run by root in namespaces of its own (network, processes, mounts, names), so that it can take
addresses, rules of a firewall and names, and leaves nothing behind. What it finds goes to RESULT as
JSON; `tests.node_image.test_provision` says what it must be.
"""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from tests.cluster.ec2_shim import REGION, Ec2Shim
from tests.cluster.fakes import make_pool, make_settings
from tests.cluster.slurm_server import wait_until
from tests.node_image.campaign import run_campaign
from tests.node_image.head_nodes import replace_head, restore_accounts

REPOSITORY = Path(__file__).parents[2]
BOOT = REPOSITORY / "terraform" / "boot"
SLURM_CONFIG = REPOSITORY / "terraform" / "modules" / "slurm_config"
HEAD = "10.20.0.5"
METADATA = "169.254.169.254"
BUCKET, PREFIX = "survey-config", "clusters/survey"
DISK = "vol-0123"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What a chroot lacks for Slurm as Terraform configures it: systemd, which hands out cgroups.
WITHOUT_CGROUPS = {
    "proctrack/cgroup": "proctrack/linuxproc",
    "task/affinity,task/cgroup": "task/none",
    "jobacct_gather/cgroup": "jobacct_gather/linux",
}
# In place of programs that would need a disk or a host of its own.
STAND_INS = {
    "hostnamectl": 'hostname "$2"',
    "blkid": "exit 0",
    "mount": f'test "$*" = /var/lib/cluster && test -e /dev/disk/by-id/*{DISK.replace("-", "")}',
}
# Mount what a machine has of its own below the root folder, then go on in there.
_MACHINE = """\
set -e
root=$1 etc=$2 disk=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
for folder in run tmp dev var/log var/lib/cluster; do
    mkdir -p "$root/$folder"
    mount -t tmpfs -o mode=755 own "$root/$folder"
done
chmod 1777 "$root/tmp"
[ -z "$disk" ] || mount --bind "$disk" "$root/var/lib/cluster"
mount --bind "$etc" "$root/etc"
for name in null zero random urandom full tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir -p "$root/dev/shm" "$root/dev/disk/by-id" "$root/var/log/lsstpipe" "$root/run/lock"
for owner in slurm munge mysql; do
    chroot "$root" install -d -o "$owner" -g "$owner" -m 700 "/var/log/$owner"
done
chroot "$root" install -d -o mysql -g mysql /run/mysqld
touch "$root/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_DISK"
mount --bind "$root/usr/local/bin/small-systemctl" "$root/bin/systemctl"
exec chroot "$root" "$@"
""".replace("DISK", DISK.replace("-", ""))


class Scenario:
    """The machines, and what was found.

    Parameters
    ----------
    root
        A root folder that `envs/image/provision` has set up.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root.with_name("machines")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.found: dict[str, Any] = {}
        self.ec2 = Ec2Shim(self.folder, self._node_command, Path("/nonexistent"))
        self.settings: dict[str, Any] = {}
        self.n_heads = 0

    def prepare(self) -> None:
        """Make network, AWS and what Terraform would have put there."""
        for command in (
            "link set lo up", f"addr add {HEAD}/24 dev lo", f"addr add {METADATA}/32 dev lo",
        ):  # fmt: skip
            subprocess.run(["ip", *command.split()], check=True)
        network = self.ec2.start()
        metadata = make_server(METADATA, 80, self._answer_metadata, threaded=True)
        threading.Thread(target=metadata.serve_forever, daemon=True).start()
        pool = make_pool(
            "spot", cpus=2, memory_mb=2000, max_nodes=2, subnet_ids=[network["subnet"]],
            launch_template_id=network["template"], launch_template_version="1",
        )  # fmt: skip
        subnets = {network["subnet"]: {"vpc_id": network["vpc"], "zone": "z1"}}
        self.settings = make_settings(pool, name="survey", vpc_id=network["vpc"], subnets=subnets)
        self._install_stand_ins()
        self.s3, self.sqs, self.logs = (self._client(name) for name in ("s3", "sqs", "logs"))
        for kind in ("events", "slurm", "system"):
            self.logs.create_log_group(logGroupName=f"/lsstpipe/survey/{kind}")
        self.s3.create_bucket(Bucket=BUCKET)
        self.queue = self.sqs.create_queue(QueueName="survey-budget-spent")["QueueUrl"]
        self.put_configuration()
        with (self.root / "etc" / "lsstpipe" / "settings").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in self.ec2.environment.items())
        self._copy_etc("node")

    def _copy_etc(self, name: str) -> None:
        own = self.folder / f"{name}-etc"
        subprocess.run(["cp", "-a", str(self.root / "etc"), str(own)], check=True)

    def _client(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service, region_name=REGION, endpoint_url=self.ec2.url,
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="only for a test",
        )  # fmt: skip

    def _install_stand_ins(self) -> None:
        programs = self.root / "usr" / "local" / "bin"
        small_init = (REPOSITORY / "tests" / "node_image" / "small_init.py").read_text()
        for name, text in {
            "small-systemctl": f"#!/usr/bin/python3\n{small_init}",
            **{name: f"#!/bin/sh\n{body}\n" for name, body in STAND_INS.items()},
        }.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)

    def put_configuration(self) -> None:
        """Put into S3 what Terraform renders."""
        conf = (SLURM_CONFIG / "slurm.conf.tftpl").read_text()
        names = {
            "name": "survey", "hostname": f"head({HEAD})", "auth": "munge",
            "default_memory_mb": "500", **WITHOUT_CGROUPS,
        }  # fmt: skip
        for name, value in names.items():
            conf = conf.replace(name if "/" in name else f"${{{name}}}", value)
        contents = {
            "pools.json": json.dumps(self.settings),
            "site.json": "{}",
            "slurm.conf": conf,
            "cgroup.conf": "",
        }
        for name, content in contents.items():
            self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content.encode())

    def _user_data(self, machine: str, name: str, **own: str) -> str:
        """Give what `terraform/cluster/boot.tf` renders."""
        names = {
            "CLUSTER": "survey", "AWS_REGION": REGION, "CONFIG_BUCKET": BUCKET, "MOUNTS": "", **own,
        }  # fmt: skip
        exports = [f"export {key}={shlex.quote(value)}" for key, value in names.items()]
        scripts = [(BOOT / part).read_text() for part in ("mount", name)]
        path = self.folder / f"{machine}-etc" / "user-data"
        path.write_text("\n".join(["#!/bin/sh", *exports, *scripts]))
        path.chmod(0o755)
        return "/etc/user-data"

    def _machine(self, name: str, disk: str, *command: str) -> list[str]:
        etc = str(self.folder / f"{name}-etc")
        return ["sh", "-c", _MACHINE, "machine", str(self.root), etc, disk, *command]

    def _node_command(self, key: str) -> list[str]:
        """What an instance does: its user data; it goes when its service has ended."""
        script = self._user_data("node", "node", HEAD=HEAD)
        mark = "/run/small-init/lsstpipe-node.service"
        ends = f"{script} && tail --pid=$(cat {mark}) -f /dev/null"
        told = f"{ends}; cat /var/log/units/*; cat /var/log/slurm/*"
        return self._machine("node", "", "env", "-i", f"PATH={PATH}", "sh", "-c", told)

    def _answer_metadata(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """The metadata service of the one instance there is."""
        alive = self.ec2.instances()
        key = alive[0].id if alive else "none"
        path = f"/imds/{key}{environ['PATH_INFO']}"
        return self.ec2._answer(environ | {"PATH_INFO": path}, start)

    def make_disk(self) -> Path:
        """Make a disk that outlives head nodes; it is gone with the namespaces."""
        disk = self.folder / f"disk-{self.n_heads}"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "disk", str(disk)], check=True)
        return disk

    def start_head(self, disk: Path) -> str:
        """Boot a new head node on a disk; keep a shell in it. Give what it started."""
        self.n_heads += 1
        self.head = f"head-{self.n_heads}"
        self._copy_etc(self.head)
        script = self._user_data(self.head, "head", STATE_DISK=DISK, BUDGET_QUEUE=self.queue)
        log = (self.folder / f"{self.head}.log").open("wb")
        # Its processes are a namespace, and end with the first of them.
        spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]
        self.shell = subprocess.Popen(
            [*spaces, *self._machine(self.head, str(disk), "sh")],
            stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, bufsize=1,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        self._n_asked = 0
        self.ask("nft -f /etc/nftables.conf")
        return self.ask(script, timeout_s=300)

    def lose_head(self) -> None:
        """End the head node and all that runs on it, as EC2 does: nothing is told before."""
        self.shell.kill()
        self.shell.wait()

    def ask(self, command: str, timeout_s: float = 120.0) -> str:
        """Run a command on the head node as root; give what it printed."""
        self._n_asked += 1
        mark = f"/etc/answer-{self._n_asked}"
        answer = self.folder / f"{self.head}-etc" / f"answer-{self._n_asked}"
        assert self.shell.stdin is not None
        own = f"env -i PATH={PATH} sh -c {shlex.quote(command)} </dev/null"
        self.shell.stdin.write(
            f'{{ {own}; echo "exit $?"; }} >{mark}.part; mv {mark}.part {mark}\n'
        )
        wait_until(lambda: answer.exists() or self.shell.poll() is not None, command, timeout_s)
        if not answer.exists():
            raise RuntimeError(f"{command}: {(self.folder / f'{self.head}.log').read_text()}")
        text, _, status = answer.read_text().rpartition("exit ")
        if int(status) != 0:
            said = (self.folder / f"{self.head}.log").read_text()
            raise RuntimeError(f"{command}: {text}\n{said}")
        return text.strip()

    def look_at_rights(self) -> None:
        """Ask the metadata service as several users."""
        ask = (
            "import urllib.request as u;"
            f"u.urlopen(u.Request('http://{METADATA}/latest/api/token', method='PUT'))"
        )
        for user in ("root", "slurm", "lsstpipe", "nobody"):
            shell = shlex.quote(ask)
            line = f"runuser -u {user} -- python3 -c {shell} 2>/dev/null && echo yes || echo no"
            self.found[f"metadata as {user}"] = self.ask(line)

    def run_job(self) -> None:
        """Submit a job as a person does, and wait for the node that comes for it."""
        self.found["sinfo before"] = self.ask("sinfo --noheader --format='%N %T'")
        script = "echo $SLURMD_NODENAME; lsstpipe --version"
        submit = f"cd && sbatch --parsable --output=job.out --wrap '{script}'"
        job = self.ask(f"su - lsstpipe -c {shlex.quote(submit)}")
        state = f"sacct -X --noheader --parsable2 --jobs={job} --format=State,User,Account"
        wait_until(lambda: self.ask(state).startswith("COMPLETED"), "the job", 240)
        self.found["job"] = self.ask(state)
        self.found["output"] = self.ask("cat /home/lsstpipe/job.out").splitlines()
        self.found["sinfo after"] = self.ask("sinfo --noheader --format='%N %T'")

    def change_pools(self) -> None:
        """Let Terraform change a pool."""
        self.settings["pools"][0]["max_nodes"] = 7
        self.put_configuration()
        self.ask("systemctl start lsstpipe-conf.service")
        known = "scontrol show node spot-7 || true"
        wait_until(lambda: "NodeName=spot-7" in self.ask(known), "the new nodes", 60)
        self.found["nodes after the change"] = self.ask("sinfo --noheader -p spot --format=%D")

    def keep_accounts(self) -> None:
        """Dump the accounts, and see whether the job is in them."""
        self.ask("systemctl start lsstpipe-dump.service")
        listing = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/accounts/")
        (entry,) = listing["Contents"]
        body = self.s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        self.found["dump"] = [entry["Key"], gzip.decompress(body).decode().count("lsstpipe")]

    def spend_budget(self) -> None:
        """Let AWS Budgets say that the budget is spent."""
        self.sqs.send_message(QueueUrl=self.queue, MessageBody="more than 200 USD")
        flag = "/var/lib/cluster/lsstpipe/budget-spent"
        wait_until(lambda: self.ask(f"cat {flag} 2>/dev/null || true"), "the flag", 60)
        self.found["flag"] = self.ask(f"cat {flag}")

    def look_at_logs(self) -> None:
        """Wait until logs of both machines are where they outlive them; see what is there."""

        # What logrotate does at night: the daemon goes on in a new file.
        self.ask("logrotate --force /etc/logrotate.d/slurmctld")
        self.ask("scontrol reconfigure")
        line = "grep -c econfigur /var/log/slurm/slurmctld.log || true"
        wait_until(lambda: int(self.ask(line)) > 0, "a line in the new file", 60)
        n_lines = int(self.ask("grep -c econfigur /var/log/slurm/slurmctld.log.1 || true")) + int(
            self.ask(line)
        )

        def told() -> bool:
            for kind in ("events", "slurm"):
                rows = self.logs.filter_log_events(logGroupName=f"/lsstpipe/survey/{kind}")
                self.found[f"{kind} in CloudWatch"] = [
                    [row["logStreamName"], row["message"]] for row in rows["events"]
                ]
            sent = sum("econfigur" in text for _, text in self.found["slurm in CloudWatch"])
            return sent >= n_lines and "node-ready" in str(self.found["events in CloudWatch"])

        wait_until(told, "the event of the node, and both files of the head node", 60)

    def look_at_state(self) -> None:
        """Look where the head node keeps what must outlive it."""
        self.found["state"] = self.ask("ls /var/lib/cluster/slurm /var/lib/cluster/mysql").split()
        self.found["heartbeat"] = time.time() - float(
            self.ask("cat /var/lib/cluster/lsstpipe/heartbeat")
        )
        shared = self.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/heartbeat")
        self.found["shared heartbeat"] = time.time() - float(shared["Body"].read())
        keys = "/etc/munge/munge.key /var/lib/cluster/munge.key"
        self.ask("systemctl restart lsstpipe-prepare.service")
        self.found["keys"] = len(set(self.ask(f"sha256sum {keys} | cut -d ' ' -f 1").split()))


def main() -> None:
    """Boot, look, tell."""
    root, result = (Path(word) for word in sys.argv[1:])
    scenario = Scenario(root)
    try:
        scenario.prepare()
        disk = scenario.make_disk()
        scenario.found["started"] = scenario.start_head(disk).splitlines()
        for step in (
            scenario.look_at_rights, scenario.run_job, lambda: run_campaign(scenario),
            scenario.change_pools, scenario.look_at_logs, scenario.keep_accounts,
            scenario.look_at_state, lambda: replace_head(scenario, disk),
            # Nothing is launched afterwards.
            scenario.spend_budget, lambda: restore_accounts(scenario),
        ):  # fmt: skip
            step()
    finally:
        result.write_text(json.dumps(scenario.found, indent=1))


if __name__ == "__main__":
    main()
