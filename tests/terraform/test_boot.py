"""What machines do when they start, run as Terraform renders it, with programs that do nothing."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.terraform.module_tables import TERRAFORM
from tests.terraform.stand_in import Resource

pytestmark = pytest.mark.xdist_group("terraform")

IMAGE = TERRAFORM.parent / "envs" / "image" / "root"
LOGS = "systemctl enable --now lsstpipe-logs.service"
COMMON = {"CLUSTER", "CLUSTER_ROLE", "AWS_REGION", "AWS_DEFAULT_REGION", "CONFIG"}
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


def environment(machine: Machine) -> dict[str, str]:
    """What services of the image are told."""
    lines = machine.read("etc/lsstpipe/environment").splitlines()
    return dict(line.split("=", 1) for line in lines)


def settings() -> set[str]:
    """Names that services of the image know of any machine."""
    lines = (IMAGE / "etc" / "lsstpipe" / "settings").read_text().splitlines()
    return {line.partition("=")[0] for line in lines if not line.startswith("#")}


def attach_disk(machine: Machine, resources: list[Resource]) -> str:
    (volume,) = [item for item in resources if item.type == "aws_ebs_volume"]
    name = "nvme-Amazon_Elastic_Block_Store_" + volume.values["id"].replace("-", "")
    (machine.root / "dev/disk/by-id" / name).touch()
    return f"{machine.root}/dev/disk/by-id/{name}"


def test_a_node_mounts_and_starts(machine: Machine, node_script: str) -> None:
    result = machine.start(node_script)
    assert result.returncode == 0, result.stderr
    assert machine.calls() == [
        LOGS, "mount /lustre", "systemctl enable --now lsstpipe-node.service",
    ]  # fmt: skip
    assert "/lustre lustre noatime,flock" in machine.read("etc/fstab")
    told = environment(machine)
    assert told["CONFIG"] == "s3://survey-123456789012-config/clusters/survey"
    assert set(told) == COMMON | {"HEAD"}
    assert told["CLUSTER_ROLE"] == "compute"


def test_a_node_waits_for_lustre(machine: Machine, node_script: str) -> None:
    machine.program(
        "mount", f"test -e {machine.root}/up || {{ touch {machine.root}/up; exit 32; }}"
    )
    result = machine.start(node_script)
    assert result.returncode == 0, result.stderr
    assert machine.calls()[1:3] == ["mount /lustre", "mount /lustre"]


def test_a_node_that_cannot_start_ends_itself(machine: Machine, node_script: str) -> None:
    machine.program("mount", "exit 32")
    assert machine.start(node_script).returncode != 0
    assert machine.calls() == [LOGS] + ["mount /lustre"] * 10 + ["shutdown -h now"]


def test_a_node_whose_logs_stay_on_it_starts(machine: Machine, node_script: str) -> None:
    machine.program("systemctl", 'case "$*" in *logs*) exit 1 ;; esac')
    result = machine.start(node_script)
    assert result.returncode == 0
    assert "the logs of this machine stay on it" in result.stderr
    assert machine.calls()[-1] == "systemctl enable --now lsstpipe-node.service"


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
        LOGS,
        "mount /lustre",
        "systemctl enable --now lsstpipe-head.target",
    ]
    told = environment(machine)
    assert (told["CLUSTER"], told["AWS_REGION"]) == ("survey", "us-east-1")
    assert set(told) == COMMON | {"BUDGET_QUEUE"}
    assert told["CLUSTER_ROLE"] == "head"
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


def test_the_services_of_the_image_are_told_all_that_they_ask_for(
    machine: Machine, node_script: str, head_script: str, resources: list[Resource]
) -> None:
    attach_disk(machine, resources)
    for script, is_node in ((node_script, True), (head_script, False)):
        machine.start(script)
        known = set(environment(machine)) | settings()
        asked = {
            name
            for path in (IMAGE / "etc" / "systemd" / "system").glob("lsstpipe-*.service")
            if path.stem == "lsstpipe-logs" or (path.stem == "lsstpipe-node") is is_node
            for name in re.findall(r"\$\{(\w+)\}", path.read_text())
        }
        assert asked
        assert asked <= known
