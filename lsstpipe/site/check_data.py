"""Checks of the network and of the database."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from typing import Any

from lsstpipe.site.bill import count_nodes
from lsstpipe.site.findings import Finding, Level, Look

NEEDED_ENDPOINTS = (
    "ec2", "ec2messages", "kms", "logs", "monitoring", "secretsmanager", "sqs", "ssm",
    "ssmmessages", "sts",
)  # fmt: skip
"""What head node and nodes call: `needed_endpoints` in terraform/data."""

CERTIFICATE = "rds-ca-rsa2048-g1"
"""The authority that signs the database's certificate: terraform/modules/registry_db."""

_CERTIFICATE_DAYS = 365

_TAKEN = 5
"""Addresses of each subnet that AWS keeps (Amazon VPC User Guide, "Subnet CIDR blocks")."""

_OTHERS = 20
"""Addresses for what is no node: head node, database, endpoints, Lustre."""


def check_new_network(look: Look) -> Iterator[Finding]:
    """Look whether the network that is made has addresses for all nodes.

    Parameters
    ----------
    look
        The site.
    """
    network = look.settings.data.network
    if network is None:
        return
    # Four parts: three for nodes at most, one for the NAT gateway.
    size = ipaddress.ip_network(network.cidr).num_addresses // 4 - _TAKEN - _OTHERS
    yield from _compare_addresses(look, dict.fromkeys(network.zones, size), network.cidr)


def check_existing_network(look: Look) -> Iterator[Finding]:
    """Look whether the network that is used has names, subnets, addresses, and a way to AWS.

    Parameters
    ----------
    look
        The site.
    """
    network = look.settings.data.existing_network
    if network is None:
        return
    by_id = [{"Name": "vpc-id", "Values": [network.vpc_id]}]
    if not look.aws.all("ec2", "describe_vpcs", "Vpcs", Filters=by_id):
        yield Finding(
            "network", "error", f"There is no network {network.vpc_id} in {look.aws.region}."
        )
        return
    for what, key in (
        ("DNS support", "EnableDnsSupport"),
        ("DNS host names", "EnableDnsHostnames"),
    ):
        attribute = key[0].lower() + key[1:]
        answer = look.aws.client("ec2").describe_vpc_attribute(
            VpcId=network.vpc_id, Attribute=attribute
        )
        if not answer[key]["Value"]:
            yield Finding("network", "error", f"{network.vpc_id} has no {what}: switch it on.")
    rows = look.aws.all("ec2", "describe_subnets", "Subnets", Filters=by_id)
    subnets = {row["SubnetId"]: row for row in rows}
    free = {}
    for zone, subnet in network.subnets.items():
        yield from _check_subnet(network.vpc_id, zone, subnet, subnets.get(subnet))
        free[zone] = subnets.get(subnet, {}).get("AvailableIpAddressCount", 0)
    yield from _compare_addresses(look, free, network.vpc_id)
    yield from _check_ways(look, by_id, sorted(network.subnets.values()))


def _check_subnet(
    vpc: str, zone: str, subnet: str, row: dict[str, Any] | None
) -> Iterator[Finding]:
    if row is None:
        yield Finding("network", "error", f"There is no subnet {subnet} in {vpc}.")
    elif row["AvailabilityZone"] != zone:
        yield Finding(
            "network", "error", f"{subnet} is in {row['AvailabilityZone']}, not in {zone}."
        )
    elif row["MapPublicIpOnLaunch"]:
        yield Finding(
            "network", "warning", f"{subnet} gives public addresses: a private subnet is meant."
        )
    else:
        yield Finding("network", "ok", f"{subnet} is in {zone}.")


def _compare_addresses(look: Look, free: dict[str, int], where: str) -> Iterator[Finding]:
    nodes = count_nodes(look.settings, look.prices)
    pools = look.settings.cluster.pools
    wanted, there = sum(nodes.values()), sum(free.values())
    level: Level = "ok" if there >= wanted else "error"
    yield Finding(
        "addresses",
        level,
        f"{where} has {there} free addresses for nodes, all nodes take {wanted}.",
    )
    for name, pool in pools.items():
        own = sum(free.get(zone, 0) for zone in look.settings.pool_zones(pool))
        if own < nodes[name] and there >= wanted:
            yield Finding(
                f"pool {name}",
                "error",
                f"Its zones have {own} free addresses, its nodes take {nodes[name]}.",
            )


def _check_ways(look: Look, by_id: list[dict[str, Any]], subnets: list[str]) -> Iterator[Finding]:
    """Look how the subnets reach S3 and AWS: by endpoints, or by a route to the internet."""
    tables = look.aws.all("ec2", "describe_route_tables", "RouteTables", Filters=by_id)
    rows = look.aws.all("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=by_id)
    # Those that were deleted are shown for a while.
    endpoints = [row for row in rows if row["State"].lower() in ("available", "pending")]
    gateways = {
        table
        for row in endpoints
        if row["VpcEndpointType"] == "Gateway" and row["ServiceName"].endswith(".s3")
        for table in row["RouteTableIds"]
    }
    there = {row["ServiceName"].rpartition(".")[2] for row in endpoints}
    absent = [name for name in NEEDED_ENDPOINTS if name not in there]
    for subnet in subnets:
        table = _route_table(tables, subnet)
        key = table.get("RouteTableId", "none")
        if key not in gateways:
            yield Finding(
                "network",
                "error",
                f"{subnet} has no gateway endpoint for S3 in its route table {key}: each frame "
                "would pass a NAT gateway, which costs by the byte, or reach nothing.",
            )
        has_way = any(
            route.get("DestinationCidrBlock") == "0.0.0.0/0" for route in table.get("Routes", [])
        )
        if absent and not has_way:
            yield Finding(
                "network",
                "error",
                f"{subnet} has no way to AWS: neither a default route nor endpoints for "
                f"{', '.join(absent)}.",
            )


def _route_table(tables: list[dict[str, Any]], subnet: str) -> dict[str, Any]:
    """Find the route table of a subnet: its own, or the main one of its network."""
    main: dict[str, Any] = {}
    for table in tables:
        for link in table.get("Associations", []):
            if link.get("SubnetId") == subnet:
                return table
            if link.get("Main"):
                main = table
    return main


def check_database(look: Look) -> Iterator[Finding]:
    """Look whether the database can be had in the zones, and how long its certificate holds.

    Parameters
    ----------
    look
        The site.
    """
    registry = look.settings.data.registry
    rows = look.aws.all(
        "rds",
        "describe_orderable_db_instance_options",
        "OrderableDBInstanceOptions",
        Engine="postgres",
        DBInstanceClass=registry.instance_class,
    )
    fitting = [row for row in rows if row["EngineVersion"].split(".")[0] == registry.engine_version]
    there = {zone["Name"] for row in fitting for zone in row["AvailabilityZones"]}
    zones = [zone for zone in look.settings.data.zones() if zone in there]
    what = f"PostgreSQL {registry.engine_version} on {registry.instance_class}"
    least = 2 if registry.multi_az else 1
    if len(zones) >= least:
        yield Finding("database", "ok", f"{what} is offered in {', '.join(zones)}.")
    else:
        yield Finding(
            "database",
            "error",
            f"{what} is offered in {len(zones)} of the zones of the site, {least} are needed.",
        )


def check_certificate(look: Look) -> Iterator[Finding]:
    """Look how long the certificate holds that the database's own is signed with.

    Parameters
    ----------
    look
        The site.
    """
    rows = look.aws.all("rds", "describe_certificates", "Certificates")
    own = [row for row in rows if row["CertificateIdentifier"] == CERTIFICATE]
    if not own:
        there = ", ".join(row["CertificateIdentifier"] for row in rows)
        yield Finding("certificate", "error", f"RDS has no {CERTIFICATE} here; it has {there}.")
        return
    ends = own[0]["ValidTill"]
    left = (ends - datetime.datetime.now(datetime.UTC)).days
    level: Level = "ok" if left >= _CERTIFICATE_DAYS else "warning"
    yield Finding("certificate", level, f"{CERTIFICATE} holds until {ends.date()}.")
