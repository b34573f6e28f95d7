"""A change of settings never replaces what must live: head node, file system, database, buckets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.terraform.stand_in import Roots, copy_roots

pytestmark = pytest.mark.xdist_group("terraform")

# The stand-in plans every change in place. These are the arguments whose change makes a new
# resource, as the source of hashicorp/terraform-provider-aws says: `ForceNew` in
# internal/service/<file>.
REPLACED_BY: dict[str, set[str]] = {
    # ec2/ec2_instance.go; user_data only with user_data_replace_on_change
    "aws_instance": {
        "ami",
        "associate_public_ip_address",
        "availability_zone",
        "cpu_options",
        "ebs_block_device",
        "ebs_optimized",
        "enclave_options",
        "ephemeral_block_device",
        "hibernation",
        "host_id",
        "ipv6_addresses",
        "key_name",
        "launch_template",
        "network_interface",
        "placement_group",
        "primary_network_interface",
        "private_ip",
        "subnet_id",
        "user_data_replace_on_change",
    },
    # ec2/ebs_volume.go
    "aws_ebs_volume": {
        "availability_zone",
        "encrypted",
        "kms_key_id",
        "multi_attach_enabled",
        "outpost_arn",
        "snapshot_id",
    },
    # ec2/vpc_network_interface.go; private_ips where the first address changes
    "aws_network_interface": {"interface_type", "private_ips", "subnet_id"},
    # fsx/lustre_file_system.go; storage_capacity where it shrinks
    "aws_fsx_lustre_file_system": {
        "backup_id",
        "copy_tags_to_backups",
        "deployment_type",
        "drive_cache_type",
        "export_path",
        "file_system_type_version",
        "import_path",
        "imported_file_chunk_size",
        "kms_key_id",
        "per_unit_storage_throughput",
        "security_group_ids",
        "storage_type",
        "subnet_ids",
    },
    # fsx/data_repository_association.go
    "aws_fsx_data_repository_association": {
        "data_repository_path",
        "file_system_id",
        "file_system_path",
    },
    # rds/instance.go
    "aws_db_instance": {
        "availability_zone",
        "character_set_name",
        "db_name",
        "engine",
        "identifier",
        "kms_key_id",
        "nchar_character_set_name",
        "snapshot_identifier",
        "storage_encrypted",
        "timezone",
        "username",
    },
    # s3/bucket.go
    "aws_s3_bucket": {"bucket", "bucket_prefix", "object_lock_enabled"},
    # kms/key.go
    "aws_kms_key": {
        "custom_key_store_id",
        "customer_master_key_spec",
        "key_usage",
        "multi_region",
    },
    # ec2/vpc_security_group.go
    "aws_security_group": {"description", "name", "name_prefix", "vpc_id"},
    # ec2/vpc_.go, ec2/vpc_subnet.go
    "aws_vpc": {"cidr_block"},
    "aws_subnet": {"availability_zone", "cidr_block", "vpc_id"},
}

NODE_POOL = (
    '{instance_types=["m7a.4xlarge"],cpus=16,memory_mb=61000,max_nodes=10,max_hourly_usd=10}'
)
CHANGES = {
    "a new pool": ("cluster", f"pools={{spot={NODE_POOL},more={NODE_POOL}}}"),
    "new images": ("cluster", 'images={head="ami-0b1",node="ami-0b2"}'),
    "a changed tag": ("cluster", 'tags={CostCenter="43"}'),
    "a bigger disk for Slurm": ("cluster", 'head={instance_type="m7a.xlarge",state_gib=200}'),
    "a bigger head node": ("cluster", 'head={instance_type="m7a.4xlarge",state_gib=100}'),
    "a bigger file system": ("cluster", "lustre={storage_gib=14400}"),
    "more money": ("cluster", "max_hourly_usd=500"),
    "a changed tag of the data": ("data", 'tags={CostCenter="43"}'),
    "a bigger database": (
        "data",
        'registry={instance_class="db.m7g.xlarge",storage_gib={first=400,most=4000},multi_az=true}',
    ),
    "frames that move later": ("data", "raw_days={infrequent=120,archive=400}"),
}


def replaced(change: dict[str, Any]) -> set[str]:
    """The arguments in a change that make a new resource of one that must live."""
    before, after = change["change"]["before"] or {}, change["change"]["after"] or {}
    unknown = change["change"]["after_unknown"] or {}
    kind = change["type"]
    # What AWS makes up and is not known before is no change of ours, where nothing was set.
    changed = {key for key in before if key in after and before[key] != after[key]}
    changed |= {key for key, is_unknown in unknown.items() if is_unknown is True and key in before}
    found = changed & REPLACED_BY[kind]
    if kind == "aws_fsx_lustre_file_system" and "storage_capacity" in changed:
        found |= (
            {"storage_capacity"}
            if after["storage_capacity"] < before["storage_capacity"]
            else set()
        )
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_replaces_nothing_that_must_live(complete: Roots, name: str) -> None:
    root, setting = CHANGES[name]
    changes = complete.changes(root, *complete.settings(root, "complete"), f"-var={setting}")
    assert changes, "the setting changes nothing"
    for change in changes:
        if change["type"] in REPLACED_BY:
            assert "delete" not in change["change"]["actions"], change["address"]
            assert not replaced(change), change["address"]


def test_the_table_finds_what_would_be_replaced(complete: Roots) -> None:
    words = [*complete.settings("cluster", "complete"), "lustre={storage_gib=1200}"]
    words[-1] = f"-var={words[-1]}"
    (change,) = [
        row
        for row in complete.changes("cluster", *words)
        if row["type"] == "aws_fsx_lustre_file_system"
    ]
    assert replaced(change) == {"storage_capacity"}


def test_a_new_image_reaches_nodes_by_a_new_version_and_leaves_the_head_node(
    complete: Roots,
) -> None:
    words = [*complete.settings("cluster", "complete"), f"-var={CHANGES['new images'][1]}"]
    kinds = {row["type"] for row in complete.changes("cluster", *words)}
    assert "aws_launch_template" in kinds
    assert "aws_instance" not in kinds


def test_data_are_destroyed_only_with_two_switches(tmp_path: Path) -> None:
    roots = copy_roots(tmp_path)
    lustre = "-var=persistent_lustre={storage_gib=1200,throughput_mbps_per_tib=125}"
    settings = [*roots.settings("data", "minimal"), lustre]
    roots.terraform("data", "apply", "-auto-approve", *settings)
    script = str(roots.folder / "destroy-data")

    refused = roots.terraform("data", "destroy", "-auto-approve", *settings, check=False)
    assert "Instance cannot be destroyed" in refused
    one = roots.run(script, "trial", "-auto-approve", *settings, check=False)
    assert "allow_destroy = true first" in one.stderr

    allowed = [*settings, "-var=allow_destroy=true"]
    roots.terraform("data", "apply", "-auto-approve", *allowed)
    refused = roots.terraform("data", "destroy", "-auto-approve", *allowed, check=False)
    assert "Instance cannot be destroyed" in refused
    other = roots.run(script, "survey", "-auto-approve", *allowed, check=False)
    assert "called trial, not survey" in other.stderr
    assert roots.resources("data")

    ended = roots.run(script, "trial", "-auto-approve", *allowed)
    assert "Destroy complete!" in ended.stdout
