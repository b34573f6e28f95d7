"""What a check has found, and whom it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from lsstpipe.cluster.prices import PriceTable
from lsstpipe.site.settings import Settings

Level = Literal["ok", "unknown", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found.

    Attributes
    ----------
    about
        What was looked at.
    level
        ``ok``; ``unknown``, where AWS does not tell; ``warning``, where it may go wrong; ``error``,
        where it will.
    says
        A sentence: what is wrong, and what can be done.
    """

    about: str
    level: Level
    says: str


@dataclass
class Aws:
    """Clients of boto3 in a region, one a service.

    Attributes
    ----------
    region
        The region.
    clients
        Those that are there already.
    """

    region: str
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Give the client of a service.

        Parameters
        ----------
        service
            As boto3 calls it.
        """
        if service not in self.clients:
            import boto3
            from botocore.config import Config

            config = Config(retries={"mode": "standard", "total_max_attempts": 3})
            self.clients[service] = boto3.client(service, region_name=self.region, config=config)
        return self.clients[service]

    def all(self, service: str, call: str, key: str, **asked: Any) -> list[Any]:
        """Give all rows of an answer that comes in pages.

        Parameters
        ----------
        service, call
            Whom and what to ask, such as ``ec2`` and ``describe_images``.
        key
            Where the rows are in the answer.
        asked
            Arguments of the call.
        """
        pages = self.client(service).get_paginator(call).paginate(**asked)
        return [row for page in pages for row in page[key]]


@dataclass
class Look:
    """What the checks look at.

    Attributes
    ----------
    settings
        Of the site.
    prices
        Of its region.
    aws
        Whom to ask.
    account
        Number of the account.
    """

    settings: Settings
    prices: PriceTable
    aws: Aws
    account: str

    @cached_property
    def zones(self) -> dict[str, dict[str, Any]]:
        """The availability zones of the region, by name."""
        rows = self.aws.client("ec2").describe_availability_zones()["AvailabilityZones"]
        return {row["ZoneName"]: row for row in rows}

    @cached_property
    def types(self) -> dict[str, dict[str, Any]]:
        """What EC2 says of the instance types that the settings name; unknown ones are absent."""
        pools = self.settings.cluster.pools.values()
        names = {name for pool in pools for name in pool.instance_types}
        names.add(self.settings.cluster.head.instance_type)
        # By a filter: asking for a type that there is not is an error for all.
        wanted = [{"Name": "instance-type", "Values": sorted(names)}]
        rows = self.aws.all("ec2", "describe_instance_types", "InstanceTypes", Filters=wanted)
        return {row["InstanceType"]: row for row in rows}

    def quota(self, service: str, code: str) -> float:
        """Give how much of something the account may have.

        Parameters
        ----------
        service, code
            As Service Quotas names them.
        """
        client = self.aws.client("service-quotas")
        answer = client.get_service_quota(ServiceCode=service, QuotaCode=code)
        return float(answer["Quota"]["Value"])


def code_of(error: Any) -> str:
    """Give the code of an error of boto3.

    Parameters
    ----------
    error
        A ``ClientError``.
    """
    return str(error.response.get("Error", {}).get("Code", ""))


def tags_of(rows: list[Mapping[str, str]]) -> dict[str, str]:
    """Give tags as a table.

    Parameters
    ----------
    rows
        As AWS writes them.
    """
    return {row["Key"]: row["Value"] for row in rows}
