"""What machines do when they start, run as Terraform renders it, with programs that do nothing."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.terraform.stand_in import Resource

pytestmark = pytest.mark.xdist_group("terraform")

PROGRAMS = ("blkid", "hostnamectl", "mkfs.ext4", "mount", "shutdown", "systemctl")


@dataclass(frozen=True)
class Machine:
    """A folder in place of `/`, and programs in place of those that would change this machine."""

    root: Path

    def program(self, name: str, body: str = "") -> None:
        """Let a program write down its arguments, then do something."""
        path = self.root / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.root}/calls\n{body}\n')
        path.chmod(0o755)

    def start(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as cloud-init does."""
        path = self.root / "user-data"
        path.write_text(script)
        path.chmod(0o755)
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "ROOT": str(self.root),
            "PAUSE_S": "0",
        }
        return subprocess.run(
            [str(path)], env=environment, check=False, capture_output=True, text=True
        )

    def calls(self) -> list[str]:
        """What was called, in order."""
        return (self.root / "calls").read_text().splitlines()

    def read(self, path: str) -> str:
        """A file of the machine."""
        return (self.root / path).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for folder in ("bin", "etc", "dev/disk/by-id"):
        (tmp_path / folder).mkdir(parents=True)
    made = Machine(tmp_path)
    for name in PROGRAMS:
        made.program(name)
    return made


@pytest.fixture(scope="session")
def node_script(resources: list[Resource]) -> str:
    templates = [item for item in resources if item.type == "aws_launch_template"]
    return base64.b64decode(templates[0].values["user_data"]).decode()


@pytest.fixture(scope="session")
def head_script(resources: list[Resource]) -> str:
    (head,) = [item for item in resources if item.type == "aws_instance"]
    return str(head.values["user_data"])


def attach_disk(machine: Machine, resources: list[Resource]) -> str:
    (volume,) = [item for item in resources if item.type == "aws_ebs_volume"]
    name = "nvme-Amazon_Elastic_Block_Store_" + volume.values["id"].replace("-", "")
    (machine.root / "dev/disk/by-id" / name).touch()
    return f"{machine.root}/dev/disk/by-id/{name}"


def test_a_node_mounts_and_starts(machine: Machine, node_script: str) -> None:
    result = machine.start(node_script)
    assert result.returncode == 0, result.stderr
    assert machine.calls() == ["mount /lustre", "systemctl enable --now lsstpipe-node.service"]
    assert "/lustre lustre noatime,flock" in machine.read("etc/fstab")
    assert "CLUSTER=survey\nAWS_REGION=us-east-1\nHEAD=" in machine.read("etc/lsstpipe/environment")


def test_a_node_waits_for_lustre(machine: Machine, node_script: str) -> None:
    machine.program(
        "mount", f"test -e {machine.root}/up || {{ touch {machine.root}/up; exit 32; }}"
    )
    result = machine.start(node_script)
    assert result.returncode == 0, result.stderr
    assert machine.calls()[:2] == ["mount /lustre", "mount /lustre"]


def test_a_node_that_cannot_start_ends_itself(machine: Machine, node_script: str) -> None:
    machine.program("mount", "exit 32")
    assert machine.start(node_script).returncode != 0
    assert machine.calls() == ["mount /lustre"] * 10 + ["shutdown -h now"]


def test_a_new_head_node_makes_a_file_system_on_a_blank_disk(
    machine: Machine, head_script: str, resources: list[Resource]
) -> None:
    disk = attach_disk(machine, resources)
    machine.program("blkid", "exit 2")
    result = machine.start(head_script)
    assert result.returncode == 0, result.stderr
    assert machine.calls() == [
        "hostnamectl set-hostname head",
        f"blkid -p {disk}",
        f"mkfs.ext4 -q {disk}",
        "mount /var/lib/cluster",
        "mount /lustre",
        "systemctl enable --now nftables.service",
        "systemctl enable --now lsstpipe-head.target",
    ]
    assert "CONFIG=s3://survey-123456789012-config/clusters/survey" in machine.read(
        "etc/lsstpipe/environment"
    )
    assert f"{disk} /var/lib/cluster ext4" in machine.read("etc/fstab")


@pytest.mark.parametrize(("answer", "is_started"), [(0, True), (4, False), (8, False)])
def test_a_disk_that_is_not_blank_is_never_made_anew(
    machine: Machine,
    head_script: str,
    resources: list[Resource],
    answer: int,
    is_started: bool,
) -> None:
    attach_disk(machine, resources)
    machine.program("blkid", f"exit {answer}")
    assert (machine.start(head_script).returncode == 0) is is_started
    assert not [call for call in machine.calls() if call.startswith("mkfs")]


def test_a_head_node_without_its_disk_does_not_start(machine: Machine, head_script: str) -> None:
    assert machine.start(head_script).returncode != 0
    assert machine.calls() == ["hostnamectl set-hostname head"]


def test_users_of_the_head_node_do_not_reach_its_rights(
    machine: Machine, head_script: str, resources: list[Resource]
) -> None:
    attach_disk(machine, resources)
    machine.start(head_script)
    rules = machine.read("etc/nftables.conf")
    assert "ip daddr 169.254.169.254 meta skuid != { root, slurm, lsstpipe } reject" in rules
