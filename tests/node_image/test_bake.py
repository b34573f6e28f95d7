"""Baking an image, up to the wire: EC2 and S3 are moto's, the machine runs what it is given."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.s3_server import S3Server

pytestmark = pytest.mark.xdist_group("bake")

REGION, ACCOUNT = "us-east-1", "123456789012"
BILL = '{"debian": {}}'
# Folders of the machine that the script writes into.
_FOLDERS = re.compile(r"(?<![\w:/.])/(?=(?:var/log|usr/src|usr/share|tmp|etc/ssh)/)")


@pytest.fixture(scope="module")
def bake() -> Iterator[ModuleType]:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("bake", REPOSITORY / "envs/image/bake.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bake"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bake"]


@pytest.fixture
def ec2(s3: S3Server) -> Iterator[Any]:
    import boto3

    client = boto3.client("ec2", region_name=REGION)
    yield client
    client.close()


class Machine:
    """The instance that is baked: runs its user data in a folder, then stops, as EC2 would."""

    def __init__(self, ec2: Any, folder: Path, provision: str) -> None:
        self.ec2, self.folder, self.provision = ec2, folder, provision
        self.id, self.script = "", ""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> Machine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def describe(self) -> dict[str, Any]:
        """What EC2 says of it."""
        answer = self.ec2.describe_instances(InstanceIds=[self.id])
        description: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return description

    def _live(self) -> None:
        named = [{"Name": "tag:Name", "Values": ["bake-trial"]},
                 {"Name": "instance-state-name", "Values": ["running"]}]  # fmt: skip
        while not self.id and not self._is_over.wait(0.1):
            for reservation in self.ec2.describe_instances(Filters=named)["Reservations"]:
                self.id = reservation["Instances"][0]["InstanceId"]
        if self.id:
            asked = {"InstanceId": self.id, "Attribute": "userData"}
            answer = self.ec2.describe_instance_attribute(**asked)
            self.script = base64.b64decode(answer["UserData"]["Value"]).decode()
            self._run()
            self.ec2.stop_instances(InstanceIds=[self.id])

    def _run(self) -> None:
        for name in ("bin", "var/log", "usr/src", "usr/share/lsstpipe", "tmp", "etc/ssh"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "etc/ssh/ssh_host_rsa_key").touch()
        for name, body in {
            "shutdown": "", "cloud-init": "", "provision": self.provision,
        }.items():  # fmt: skip
            program = self.folder / "bin" / name
            program.write_text(
                f'#!/bin/sh\ncd {self.folder}\necho "{name} $*" >>calls\nset -e\n{body}\n'
            )
            program.chmod(0o755)
        # On this host the script that sets up a machine must not run.
        called = "/usr/src/lsstpipe/envs/image/provision "
        assert called in self.script
        own = self.script.replace(called, "provision ")
        own = _FOLDERS.sub(f"{self.folder}/", own)
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        subprocess.run(["bash", "-c", own], check=False, env={"PATH": path}, timeout=300)


@pytest.fixture
def recipe(bake: ModuleType, ec2: Any, bucket: str, tmp_path: Path) -> Any:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "rds-bundle.pem").write_text("whom to trust")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    name = bucket.removeprefix("s3://")
    return bake.Recipe("trial", REGION, subnet, name, extra, timeout_s=9000)


@pytest.fixture
def debian(bake: ModuleType, ec2: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two images in place of Debian's, which moto does not have; give the newer one."""
    monkeypatch.setattr(bake, "DEBIAN", ACCOUNT)
    source = ec2.describe_images()["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=source, MinCount=1, MaxCount=1)["Instances"][0]
    made = []
    for day in ("20260101", "20260202"):
        name = f"debian-12-amd64-{day}"
        made.append(ec2.create_image(InstanceId=instance["InstanceId"], Name=name)["ImageId"])
        time.sleep(1.1)  # EC2 gives dates in seconds
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    return str(made[-1])


def nap(_seconds: float) -> None:
    time.sleep(0.2)


CHECK = f"""\
test -x usr/src/lsstpipe/envs/image/provision
test -e usr/src/lsstpipe/envs/requirements.lock
grep -q 'whom to trust' usr/src/lsstpipe/extra/rds-bundle.pem
echo '{BILL}' >usr/share/lsstpipe/bill.json"""


def test_an_image_is_made_of_a_machine_that_has_set_itself_up(
    bake: ModuleType, recipe: Any, debian: str, ec2: Any, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    with Machine(ec2, tmp_path / "machine", CHECK) as machine:
        image = bake.bake(recipe, nap)
    (made,) = ec2.describe_images(ImageIds=[image])["Images"]
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert (made["Name"], tags["lsstpipe:source"]) == ("trial", debian)
    assert re.fullmatch(r"[0-9a-f]{40}", tags["lsstpipe:commit"])
    snapshot = made["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (kept,) = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert kept["Tags"] == made["Tags"]
    described = machine.describe()
    assert described["ImageId"] == debian
    assert described["State"]["Name"] == "terminated", "nothing goes on to cost money"
    objects = s3.objects(bucket)
    assert objects["images/trial/bill.json"].decode().strip() == BILL
    assert bake.DONE in objects["images/trial/log"].decode().splitlines()
    calls = (machine.folder / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["provision", "cloud-init", "shutdown"]
    assert not list((machine.folder / "etc/ssh").iterdir()), "keys of hosts are not shared"
    assert not (machine.folder / "usr/src/lsstpipe").exists()
    assert len(machine.script) < 16384, "EC2 User Guide: what user data may have"


def test_a_machine_that_fails_makes_no_image_and_its_log_is_shown(
    bake: ModuleType, recipe: Any, debian: str, ec2: Any, tmp_path: Path
) -> None:
    before = {image["ImageId"] for image in ec2.describe_images()["Images"]}
    broken = "echo 'E: Unable to locate package slurmctld' >&2; exit 100"
    with (
        Machine(ec2, tmp_path / "machine", broken) as machine,
        pytest.raises(bake.BakeError, match="Unable to locate package slurmctld"),
    ):
        bake.bake(recipe, nap)
    assert {image["ImageId"] for image in ec2.describe_images()["Images"]} == before
    assert machine.describe()["State"]["Name"] == "terminated"


def test_a_machine_that_never_stops_is_ended(
    bake: ModuleType, recipe: Any, debian: str, ec2: Any
) -> None:
    with pytest.raises(bake.BakeError, match=r"was not done after 60 s"):
        bake.bake(replace(recipe, timeout_s=60), lambda _seconds: None)
    named = [{"Name": "tag:Name", "Values": ["bake-trial"]}]
    states = {
        instance["State"]["Name"]
        for reservation in ec2.describe_instances(Filters=named)["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states == {"terminated"}
