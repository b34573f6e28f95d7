"""Checks of the quotas of what keeps data: Lustre and databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lsstpipe.site.findings import Finding, Look, tags_of

# Codes of rds are in the table of "Quotas and constraints for Amazon RDS" (Amazon RDS User Guide),
# those of fsx in what `aws service-quotas list-service-quotas --service-code fsx` prints.
LUSTRE_COUNT_QUOTA, LUSTRE_GIB_QUOTA = (
    "L-C48231E5",  # Lustre Scratch file systems
    "L-AD2FC696",  # Lustre Scratch storage capacity, GiB
)
PERSISTENT_COUNT_QUOTA, PERSISTENT_GIB_QUOTA = (
    "L-FD6F2F22",  # Lustre Persistent_2 file systems
    "L-8F1B9C74",  # Lustre Persistent_2 storage capacity, GiB
)
DATABASE_COUNT_QUOTA, DATABASE_GB_QUOTA = (
    "L-7B6409FD",  # DB instances: those of RDS, Aurora, Neptune and DocumentDB
    "L-7ADDB58A",  # Total storage for all DB instances, GB; not that of Aurora
)

SCRATCH, PERSISTENT = "SCRATCH_", "PERSISTENT_2"
"""How types of deployment begin that these quotas are for; terraform/modules/lustre has both."""


@dataclass(frozen=True, slots=True)
class _Need:
    """What is there of something that has a quota, and what will be with this site."""

    what: str
    service: str
    code: str
    there: float
    wanted: float
    grows_to: float = 0.0


def check_lustre_quotas(look: Look) -> Iterator[Finding]:
    """Compare the quotas of file systems with those that are there and the one that comes.

    It is the cluster's own, or that of the data; a site has one at most.

    Parameters
    ----------
    look
        The site.
    """
    data, cluster = look.settings.data, look.settings.cluster
    if cluster.lustre:
        gib = cluster.lustre.storage_gib
        sizes = _sizes_of_others(look, SCRATCH, "lsstpipe:cluster", cluster.name)
        yield _judge(look, _Need("file systems", "fsx", LUSTRE_COUNT_QUOTA, len(sizes), 1))
        yield _judge(look, _Need("GiB of Lustre", "fsx", LUSTRE_GIB_QUOTA, sum(sizes), gib))
    if data.persistent_lustre:
        gib = data.persistent_lustre.storage_gib
        sizes = _sizes_of_others(look, PERSISTENT, "lsstpipe:data", data.name)
        what = "persistent file systems", "GiB of persistent Lustre"
        yield _judge(look, _Need(what[0], "fsx", PERSISTENT_COUNT_QUOTA, len(sizes), 1))
        yield _judge(look, _Need(what[1], "fsx", PERSISTENT_GIB_QUOTA, sum(sizes), gib))


def _sizes_of_others(look: Look, kind: str, tag: str, name: str) -> list[float]:
    """List the sizes of the file systems of a kind, GiB, but for one that is ours."""
    return [
        row["StorageCapacity"]
        for row in look.aws.all("fsx", "describe_file_systems", "FileSystems")
        if row.get("LustreConfiguration", {}).get("DeploymentType", "").startswith(kind)
        and tags_of(row.get("Tags", [])).get(tag) != name
    ]


def check_database_quotas(look: Look) -> Iterator[Finding]:
    """Compare the quotas of databases with those that are there and the one that comes.

    Parameters
    ----------
    look
        The site.
    """
    own, storage = f"{look.settings.data.name}-registry", look.settings.data.registry.storage_gib
    rows = look.aws.all("rds", "describe_db_instances", "DBInstances")
    others = [row for row in rows if row["DBInstanceIdentifier"] != own]
    on_disks = [row for row in others if not row["Engine"].startswith("aurora")]
    stored = sum(row.get("AllocatedStorage", 0) for row in on_disks)
    yield _judge(look, _Need("databases", "rds", DATABASE_COUNT_QUOTA, len(others), 1))
    yield _judge(
        look,
        _Need("GB of databases", "rds", DATABASE_GB_QUOTA, stored, storage.first, storage.most),
    )


def _judge(look: Look, need: _Need) -> Finding:
    quota = look.quota(need.service, need.code)
    about = f"quota of {need.what}"
    ask = f"ask for more: quota {need.code} of {need.service} in {look.aws.region}"
    told = f"{quota:.0f} are allowed, others have {need.there:.0f}, the site takes "
    if need.there + need.wanted > quota:
        return Finding(about, "error", f"{told}{need.wanted:.0f}; {ask}.")
    if need.there + need.grows_to > quota:
        return Finding(
            about, "warning", f"{told}{need.wanted:.0f} and grows to {need.grows_to:.0f}; {ask}."
        )
    return Finding(about, "ok", f"{told}{need.wanted:.0f}.")
