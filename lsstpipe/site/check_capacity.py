"""Checks of what can be had: zones, instance types, Spot placement scores, prices, images."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from lsstpipe.errors import ConfigError
from lsstpipe.site.bill import count_nodes
from lsstpipe.site.findings import Finding, Level, Look
from lsstpipe.site.settings import Pool

OLD_IMAGE_DAYS = 90
"""An image of a quarter ago lacks the updates of a quarter."""

LOW_SCORE = 4
"""Of 10: what is asked for is likely to be had in part only (Amazon EC2 User Guide, "Spot placement
score")."""

_USABLE = 0.97
"""Share of a machine's memory that its kernel leaves to Slurm."""

ROOT_DEVICE = "/dev/xvda"
"""The disk that terraform/modules/compute_pool sizes and encrypts."""


def check_zones(look: Look) -> Iterator[Finding]:
    """Look whether the zones are there and work.

    Parameters
    ----------
    look
        The site.
    """
    for zone in look.settings.data.zones():
        row = look.zones.get(zone)
        if row is None:
            there = ", ".join(sorted(look.zones))
            yield Finding("zones", "error", f"There is no zone {zone}; there are {there}.")
        elif row["State"] != "available" or row.get("ZoneType", "") not in (
            "availability-zone",
            "",
        ):
            yield Finding("zones", "error", f"Nodes cannot be in {zone}: it is {row['State']}.")
        else:
            yield Finding("zones", "ok", f"{zone} is available.")


def check_types(look: Look) -> Iterator[Finding]:
    """Look which instance types are offered in which zones, and whether their size is as said.

    Parameters
    ----------
    look
        The site.
    """
    offered: dict[str, set[str]] = {name: set() for name in look.types}
    rows = look.aws.all(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": sorted(look.types) or ["none"]}],
    )
    for row in rows:
        offered[row["InstanceType"]].add(row["Location"])
    head = look.settings.cluster.head.instance_type
    yield _offer("head node", head, [look.settings.head_zone], offered)
    for name, pool in look.settings.cluster.pools.items():
        for kind in pool.instance_types:
            yield _offer(f"pool {name}", kind, look.settings.pool_zones(pool), offered)
            if kind in look.types:
                yield from _size(name, pool, look.types[kind])


def _offer(about: str, kind: str, zones: list[str], offered: dict[str, set[str]]) -> Finding:
    if kind not in offered:
        return Finding(about, "error", f"There is no instance type {kind} in this region.")
    absent = [zone for zone in zones if zone not in offered[kind]]
    if not absent:
        return Finding(about, "ok", f"{kind} is offered in {', '.join(zones)}.")
    level: Level = "error" if len(absent) == len(zones) else "warning"
    return Finding(about, level, f"{kind} is not offered in {', '.join(absent)}.")


def _size(name: str, pool: Pool, kind: dict[str, Any]) -> Iterator[Finding]:
    """Compare a type with what Slurm is told: a node with less is drained when it joins."""
    cpus = kind["VCpuInfo"]["DefaultVCpus"]
    memory_mb = kind["MemoryInfo"]["SizeInMiB"]
    if pool.cpus > cpus:
        yield Finding(
            f"pool {name}",
            "error",
            f"{kind['InstanceType']} has {cpus} CPUs, fewer than the {pool.cpus} of the pool.",
        )
    if pool.memory_mb > _USABLE * memory_mb:
        yield Finding(
            f"pool {name}",
            "error",
            f"{kind['InstanceType']} has {memory_mb} MB, of which {_USABLE * memory_mb:.0f} can be "
            f"used, less than the {pool.memory_mb} of the pool.",
        )


def check_spot(look: Look) -> Iterator[Finding]:
    """Ask how likely it is that the Spot nodes of each pool can be had.

    Parameters
    ----------
    look
        The site.
    """
    nodes = count_nodes(look.settings, look.prices)
    names = {row["ZoneId"]: name for name, row in look.zones.items()}
    for name, pool in look.settings.cluster.pools.items():
        if pool.capacity != "spot":
            continue
        rows = look.aws.client("ec2").get_spot_placement_scores(
            InstanceTypes=list(pool.instance_types),
            TargetCapacity=nodes[name],
            SingleAvailabilityZone=True,
            RegionNames=[look.aws.region],
        )["SpotPlacementScores"]
        scores = {names.get(row["AvailabilityZoneId"], "?"): row["Score"] for row in rows}
        own = {zone: scores.get(zone, 0) for zone in look.settings.pool_zones(pool)}
        said = ", ".join(f"{score} in {zone}" for zone, score in own.items())
        is_low = max(own.values()) < LOW_SCORE
        yield Finding(
            f"pool {name}",
            "warning" if is_low else "ok",
            f"Spot placement scores of 10 for {nodes[name]} nodes: {said}"
            f"{'; more instance types or zones would help' if is_low else ''}.",
        )


def check_prices(look: Look) -> Iterator[Finding]:
    """Look whether all prices are known, recent, and within the limits.

    Parameters
    ----------
    look
        The site.
    """
    try:
        nodes = count_nodes(look.settings, look.prices)
        look.prices.database(look.settings.data.registry.instance_class)
        look.prices.hourly(look.settings.cluster.head.instance_type, "on-demand")
    except ConfigError as error:
        yield Finding("prices", "error", str(error))
        return
    if warning := look.prices.warn(_today()):
        yield Finding("prices", "warning", warning)
    for name, pool in look.settings.cluster.pools.items():
        if nodes[name] < pool.max_nodes:
            yield Finding(
                f"pool {name}",
                "warning",
                f"The limits in USD an hour let {nodes[name]} of {pool.max_nodes} nodes run.",
            )
    yield Finding("prices", "ok", "All prices are known.")


def check_images(look: Look) -> Iterator[Finding]:
    """Look whether the images are there, fit the machines, and are recent.

    Parameters
    ----------
    look
        The site.
    """
    cluster = look.settings.cluster
    wanted = sorted({cluster.images.head, cluster.images.node})
    # By a filter: asking for an image that there is not is an error for all.
    by_id = [{"Name": "image-id", "Values": wanted}]
    images = {
        row["ImageId"]: row
        for row in look.aws.all("ec2", "describe_images", "Images", Filters=by_id)
    }
    node_types = {name for pool in cluster.pools.values() for name in pool.instance_types}
    disk_gib = min(pool.disk_gib for pool in cluster.pools.values())
    head = cluster.head
    for about, key, types, gib in (
        ("image of the head node", cluster.images.head, {head.instance_type}, head.root_gib),
        ("image of nodes", cluster.images.node, node_types, disk_gib),
    ):
        if key not in images:
            yield Finding(about, "error", f"There is no image {key} that this account may use.")
            continue
        faults = list(_image_faults(look, images[key], types, gib))
        yield from (Finding(about, "error", f"{key} {fault}.") for fault in faults)
        if not faults:
            yield _image_age(about, images[key])


def _image_faults(
    look: Look, image: dict[str, Any], types: set[str], disk_gib: float
) -> Iterator[str]:
    if image["State"] != "available":
        yield f"is {image['State']}"
    for name in sorted(types & set(look.types)):
        fitting = look.types[name]["ProcessorInfo"]["SupportedArchitectures"]
        if image["Architecture"] not in fitting:
            yield f"is for {image['Architecture']}, {name} has {', '.join(fitting)}"
    if image.get("RootDeviceName", ROOT_DEVICE) != ROOT_DEVICE:
        yield f"starts from {image['RootDeviceName']}, not from {ROOT_DEVICE}"
    for device in image.get("BlockDeviceMappings", []):
        size = device.get("Ebs", {}).get("VolumeSize", 0)
        if size > disk_gib:
            yield f"needs a disk of {size} GiB, more than the {disk_gib:.0f} that are set"


def _image_age(about: str, image: dict[str, Any]) -> Finding:
    made = datetime.datetime.fromisoformat(image["CreationDate"]).date()
    age = (_today() - made).days
    ends = image.get("DeprecationTime")
    if ends and datetime.datetime.fromisoformat(ends).date() <= _today():
        return Finding(about, "warning", f"{image['ImageId']} is deprecated since {ends[:10]}.")
    if age > OLD_IMAGE_DAYS:
        return Finding(
            about, "warning", f"{image['ImageId']} is {age} days old: bake it anew for its updates."
        )
    return Finding(about, "ok", f"{image['ImageId']} is {age} days old.")


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
