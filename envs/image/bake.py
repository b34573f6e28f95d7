"""Bake an image for EC2: start a plain Debian, let it set itself up, keep its disk as an image.

The machine needs no rights and no shell: it gets the sources by one signed URL, and gives back its
log and its bill of materials by two more. It stops itself when it is done; its log says how
it went.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DEBIAN = "136693071363"  # the account of Debian (wiki.debian.org/Cloud/AmazonEC2Image/Bookworm)
DEBIAN_NAME = "debian-12-amd64-*"
PACK, LOG, BILL = "sources.tar.gz", "log", "bill.json"
DONE = "baked: done"
_URL_S = 6 * 3600
_POLL_S = 15.0

# cloud-init runs it; whatever happens the log goes out and the machine stops.
USER_DATA = """\
#!/bin/bash
exec >/var/log/bake.log 2>&1
tell() {{ curl --silent --show-error --fail --retry 5 --upload-file "$1" "$2"; }}
trap 'tell /var/log/bake.log "{log}"; shutdown -h now' EXIT
set -eux
command -v curl || {{ apt-get -qq update; apt-get -qq -y install curl; }}
mkdir -p /usr/src/lsstpipe
curl --silent --show-error --fail --retry 5 --output /tmp/sources.tar.gz "{pack}"
tar -C /usr/src/lsstpipe -xzf /tmp/sources.tar.gz
/usr/src/lsstpipe/envs/image/provision {options}
tell /usr/share/lsstpipe/bill.json "{bill}"
rm -rf /usr/src/lsstpipe /tmp/sources.tar.gz /etc/ssh/ssh_host_*
cloud-init clean --logs --machine-id
echo "{done}"
"""


class BakeError(Exception):
    """The image was not made; the message says why."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is baked, and where.

    Attributes
    ----------
    name
        Of the image.
    region, subnet
        Where the machine runs; from there it must reach Debian, PyPI and S3.
    bucket
        Where sources, log and bill of materials go, below ``images/<name>/``.
    extra
        Folder with what Debian does not have; None for nothing.
    instance_type
        Of the machine.
    kms_key
        Of the image's disk; the account's own where it is empty.
    timeout_s
        How long it may take.
    """

    name: str
    region: str
    subnet: str
    bucket: str
    extra: Path | None = None
    instance_type: str = "m7a.xlarge"
    kms_key: str = ""
    timeout_s: float = 3600.0


def bake(recipe: Recipe, sleep: Callable[[float], None] = time.sleep) -> str:
    """Bake an image; give its id.

    Parameters
    ----------
    recipe
        What and where.
    sleep
        Waits.

    Raises
    ------
    BakeError
        If the machine did not set itself up in time; it is ended in any case.
    """
    import boto3
    from botocore.config import Config

    ec2: Any = boto3.client("ec2", region_name=recipe.region)
    s3: Any = boto3.client("s3", region_name=recipe.region, config=Config(signature_version="s3v4"))
    prefix = f"images/{recipe.name}"
    with tempfile.TemporaryDirectory() as folder:
        pack = pack_sources(Path(folder), recipe.extra)
        s3.upload_file(str(pack), recipe.bucket, f"{prefix}/{PACK}")
    script = write_user_data(s3, recipe, prefix)
    source = newest_debian(ec2)
    instance = start_machine(ec2, recipe, source, script)
    try:
        wait_until_stopped(ec2, instance, recipe.timeout_s, sleep)
        log = read_log(s3, recipe.bucket, f"{prefix}/{LOG}")
        if DONE not in log.splitlines():
            end = "\n".join(log.splitlines()[-20:])
            raise BakeError(f"{instance} did not set itself up; its log ends:\n{end}")
        return make_image(ec2, recipe, instance, source, sleep)
    finally:
        ec2.terminate_instances(InstanceIds=[instance])


def pack_sources(folder: Path, extra: Path | None) -> Path:
    """Pack what git has of this project, and what Debian does not have, into a folder."""
    pack = folder / PACK
    plain = folder / "sources.tar"
    subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", f"--output={plain}", "HEAD"], check=True
    )
    with tarfile.open(plain, "a") as tar:
        if extra is not None:
            tar.add(extra, arcname="extra")
    with tarfile.open(plain) as tar, tarfile.open(pack, "w:gz") as packed:
        for member in tar:
            packed.addfile(member, tar.extractfile(member) if member.isfile() else None)
    return pack


def write_user_data(s3: Any, recipe: Recipe, prefix: str) -> str:
    """Write what the machine does, with URLs that are signed for some hours."""

    def sign(method: str, name: str) -> str:
        what = {"Bucket": recipe.bucket, "Key": f"{prefix}/{name}"}
        return str(s3.generate_presigned_url(method, Params=what, ExpiresIn=_URL_S))

    return USER_DATA.format(
        pack=sign("get_object", PACK),
        log=sign("put_object", LOG),
        bill=sign("put_object", BILL),
        options="" if recipe.extra is None else "--extra /usr/src/lsstpipe/extra",
        done=DONE,
    )


def newest_debian(ec2: Any) -> str:
    """Give the id of Debian's newest image."""
    found = ec2.describe_images(
        Owners=[DEBIAN], Filters=[{"Name": "name", "Values": [DEBIAN_NAME]}]
    )["Images"]
    if not found:
        raise BakeError(f"Debian has no image {DEBIAN_NAME} in this region.")
    return str(max(found, key=lambda image: image["CreationDate"])["ImageId"])


def start_machine(ec2: Any, recipe: Recipe, source: str, script: str) -> str:
    """Start the machine that becomes the image; give its id."""
    disk: dict[str, Any] = {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}
    if recipe.kms_key:
        disk["KmsKeyId"] = recipe.kms_key
    tags = [{"Key": "Name", "Value": f"bake-{recipe.name}"}]
    answer = ec2.run_instances(
        ImageId=source,
        InstanceType=recipe.instance_type,
        MinCount=1,
        MaxCount=1,
        SubnetId=recipe.subnet,
        UserData=script,
        InstanceInitiatedShutdownBehavior="stop",
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": disk}],
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    )
    return str(answer["Instances"][0]["InstanceId"])


def wait_until_stopped(
    ec2: Any, instance: str, timeout_s: float, sleep: Callable[[float], None]
) -> None:
    """Wait until the machine has stopped itself."""
    waited = 0.0
    while True:
        answer = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])
        states = [
            item["State"]["Name"]
            for reservation in answer["Reservations"]
            for item in reservation["Instances"]
        ]
        if states == ["stopped"]:
            return
        if states and states[0] in ("shutting-down", "terminated"):
            raise BakeError(f"{instance} was ended before it was done.")
        if waited >= timeout_s:
            raise BakeError(f"{instance} was not done after {waited:.0f} s.")
        sleep(_POLL_S)
        waited += _POLL_S


def read_log(s3: Any, bucket: str, key: str) -> str:
    """Give what the machine wrote about itself."""
    from botocore.exceptions import ClientError

    try:
        return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
    except ClientError as error:
        raise BakeError(f"The machine left no log at s3://{bucket}/{key}.") from error


def make_image(
    ec2: Any, recipe: Recipe, instance: str, source: str, sleep: Callable[[float], None]
) -> str:
    """Keep the disk of a stopped machine as an image; wait until it can be used."""
    head = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    names = {"Name": recipe.name, "lsstpipe:commit": commit, "lsstpipe:source": source}
    tags = [{"Key": key, "Value": value} for key, value in names.items()]
    image = ec2.create_image(
        InstanceId=instance,
        Name=recipe.name,
        Description=f"lsstpipe on Debian 12; bill: s3://{recipe.bucket}/images/{recipe.name}/{BILL}",
        TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
    )["ImageId"]
    waited = 0.0
    while waited < recipe.timeout_s:
        found = ec2.describe_images(ImageIds=[image])["Images"]
        state = found[0]["State"] if found else "pending"
        if state == "available":
            disks = [item["Ebs"] for item in found[0]["BlockDeviceMappings"] if "Ebs" in item]
            snapshots = [disk["SnapshotId"] for disk in disks if "SnapshotId" in disk]
            ec2.create_tags(Resources=snapshots, Tags=tags)
            return str(image)
        if state != "pending":
            raise BakeError(f"The image {image} is {state}.")
        sleep(_POLL_S)
        waited += _POLL_S
    raise BakeError(f"The image {image} was not there after {waited:.0f} s.")


def read_arguments() -> Recipe:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("name", help="of the image, such as lsstpipe-2026-11-26")
    for name, text in (
        ("region", "AWS region"),
        ("subnet", "subnet from which Debian, PyPI and S3 are reached"),
        ("bucket", "bucket for sources, log and bill of materials"),
    ):
        parser.add_argument(f"--{name}", required=True, help=text)
    parser.add_argument("--extra", type=Path, help="folder with what Debian does not have")
    parser.add_argument(
        "--instance-type", default=Recipe.__dataclass_fields__["instance_type"].default
    )
    parser.add_argument("--kms-key", default="", help="of the image's disk")
    return Recipe(**vars(parser.parse_args()))


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps({"image": bake(read_arguments())}) + "\n")
    except BakeError as error:
        sys.exit(f"bake: {error}")
