"""Checks of the account: roles that services make for themselves, quotas, names that are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsstpipe.site.bill import count_nodes
from lsstpipe.site.findings import Finding, Level, Look, code_of, tags_of

_STANDARD = re.compile(r"(a|c|d|h|i|im|is|m|r|t|z)\d")
"""Families that the quotas below are for (Amazon EC2 User Guide, "On-Demand Instance quotas")."""

SPOT_QUOTA, ON_DEMAND_QUOTA, VPC_QUOTA, ADDRESS_QUOTA = (
    "L-34B43A08",  # All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests, vCPUs
    "L-1216C47A",  # Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances, vCPUs
    "L-F678F1CE",  # VPCs per Region
    "L-0263D0A3",  # EC2-VPC Elastic IPs
)


def check_roles(look: Look) -> Iterator[Finding]:
    """Look for the roles that services make for themselves.

    The head node may not make them, so those of its launches must be there before.

    Parameters
    ----------
    look
        The site.
    """
    markets = {market for pool in look.settings.cluster.pools.values() for market in pool.markets()}
    wanted = {"EC2Fleet": "ec2fleet.amazonaws.com", "RDS": "rds.amazonaws.com"}
    if "spot" in markets:
        wanted["EC2Spot"] = "spot.amazonaws.com"
    if look.settings.cluster.lustre or look.settings.data.persistent_lustre:
        wanted["AmazonFSx"] = "fsx.amazonaws.com"
    for name, service in wanted.items():
        yield _check_role(look, f"AWSServiceRoleFor{name}", service)


def _check_role(look: Look, role: str, service: str) -> Finding:
    from botocore.exceptions import ClientError

    try:
        look.aws.client("iam").get_role(RoleName=role)
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        return Finding(
            "roles",
            "error" if "EC2" in role else "warning",
            f"The role {role} is absent: aws iam create-service-linked-role --aws-service-name "
            f"{service} makes it.",
        )
    return Finding("roles", "ok", f"{role} is there.")


def check_quotas(look: Look) -> Iterator[Finding]:
    """Compare the quotas of CPUs with what the head node and the pools take.

    Parameters
    ----------
    look
        The site.
    """
    cluster = look.settings.cluster
    nodes = count_nodes(look.settings, look.prices)
    for market, code in (("spot", SPOT_QUOTA), ("on-demand", ON_DEMAND_QUOTA)):
        own = {name: pool for name, pool in cluster.pools.items() if pool.capacity == market}
        cpus = {name: max(_cpus(look, kind) for kind in own[name].instance_types) for name in own}
        head = _cpus(look, cluster.head.instance_type) if market == "on-demand" else 0
        least = head + max(cpus.values(), default=0)
        if least == 0:
            continue
        full = head + sum(cpus[name] * nodes[name] for name in own)
        quota = look.quota("ec2", code)
        about = f"quota of CPUs, {market}"
        ask = f"ask for more: quota {code} of ec2 in {look.aws.region}"
        if quota < least:
            has_other = market == "spot" and all(p.fallback == "on-demand" for p in own.values())
            yield Finding(
                about,
                "warning" if has_other else "error",
                f"{quota:.0f} are allowed, one node takes {least}"
                f"{', so all will be bought on demand' if has_other else ''}; {ask}.",
            )
        elif quota < full:
            yield Finding(
                about, "warning", f"{quota:.0f} are allowed, all nodes take {full}; {ask}."
            )
        else:
            yield Finding(about, "ok", f"{quota:.0f} are allowed, all nodes take {full}.")


def check_network_quotas(look: Look) -> Iterator[Finding]:
    """Compare the quotas of networks and of public addresses with what is there already.

    Parameters
    ----------
    look
        The site.
    """
    network, ec2 = look.settings.data.network, look.aws.client("ec2")
    if network is None:
        return
    used = {"networks": len(look.aws.all("ec2", "describe_vpcs", "Vpcs"))}
    quotas = {"networks": ("vpc", VPC_QUOTA)}
    if network.nat == "one":
        used["public addresses"] = len(ec2.describe_addresses()["Addresses"])
        quotas["public addresses"] = ("ec2", ADDRESS_QUOTA)
    for what, (service, code) in quotas.items():
        quota = look.quota(service, code)
        is_ours = _is_made(look)
        level: Level = "ok" if used[what] < quota or is_ours else "error"
        yield Finding(
            f"quota of {what}",
            level,
            f"{quota:.0f} are allowed in {look.aws.region}, {used[what]} are there"
            f"{'' if level == 'ok' else f'; ask for more: quota {code} of {service}'}.",
        )


def _is_made(look: Look) -> bool:
    """Tell whether the network of these data is there already, so that none is made."""
    wanted = [{"Name": "tag:lsstpipe:data", "Values": [look.settings.data.name]}]
    return bool(look.aws.all("ec2", "describe_vpcs", "Vpcs", Filters=wanted))


def _cpus(look: Look, name: str) -> int:
    """Count the CPUs of a type for the quotas looked at; 0 where others hold."""
    kind = look.types.get(name)
    return int(kind["VCpuInfo"]["DefaultVCpus"]) if kind and _STANDARD.match(name) else 0


def check_names(look: Look) -> Iterator[Finding]:
    """Look whether the names of buckets and database are free, or ours.

    Parameters
    ----------
    look
        The site.
    """
    name = look.settings.data.name
    for kind in ("raw", "products", "config", "logs"):
        yield _check_bucket(look, f"{name}-{look.account}-{kind}", "lsstpipe:data")
    yield _check_bucket(look, f"{name}-{look.account}-state", "lsstpipe:bootstrap")
    database = f"{name}-registry"
    for row in look.aws.all("rds", "describe_db_instances", "DBInstances"):
        if row["DBInstanceIdentifier"] == database:
            is_ours = tags_of(row.get("TagList", [])).get("lsstpipe:data") == name
            yield _judge_name("database", database, is_ours)
    last = f"{database}-last"
    snapshots = look.aws.all("rds", "describe_db_snapshots", "DBSnapshots")
    if last in [row["DBSnapshotIdentifier"] for row in snapshots]:
        yield Finding(
            "database",
            "warning",
            f"A snapshot {last} of an earlier database is there, so that the next one cannot be "
            "ended: copy it to another name and delete it.",
        )


def _check_bucket(look: Look, bucket: str, tag: str) -> Finding:
    from botocore.exceptions import ClientError

    s3 = look.aws.client("s3")
    try:
        s3.head_bucket(Bucket=bucket)
        tags = tags_of(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        code = code_of(error)
        if code in ("404", "NoSuchBucket"):
            return Finding("bucket", "ok", f"The name {bucket} is free.")
        if code not in ("403", "AccessDenied", "NoSuchTagSet"):
            raise
        return _judge_name("bucket", bucket, is_ours=False)
    return _judge_name("bucket", bucket, tags.get(tag) == look.settings.data.name)


def _judge_name(about: str, name: str, is_ours: bool) -> Finding:
    if is_ours:
        return Finding(about, "ok", f"{name} is there, and ours.")
    return Finding(
        about, "error", f"The name {name} is taken, not by these data: choose another name."
    )
