"""Ask AWS what instances cost: its price list on demand, the market of the last days for Spot."""

from __future__ import annotations

import datetime
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lsstpipe.cluster.prices import Price, PriceTable
from lsstpipe.errors import ConfigError, TemporaryError

PRICING_REGION = "us-east-1"
"""One of the few regions where the price list is served, for all regions
(AWS Billing User Guide, "Price List Query API")."""

SPOT_DAYS = 14

# What distinguishes the plain instance of a type from all else that is sold of it
# (AWS Price List Query API, attributes of AmazonEC2).
_PLAIN = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}


class PriceLists:
    """The two places where AWS says its prices.

    Parameters
    ----------
    pricing, ec2
        Clients of boto3: of the price list, and of EC2 in the region asked about.
    region
        That region.
    """

    def __init__(self, pricing: Any, ec2: Any, region: str) -> None:
        self._pricing, self._ec2, self._region = pricing, ec2, region

    def on_demand(self, instance_type: str, today: datetime.date) -> Price:
        """Ask what an instance costs on demand, US dollars an hour.

        Parameters
        ----------
        instance_type
            Such as ``m7a.xlarge``.
        today
            The date.

        Raises
        ------
        ConfigError
            If the list has no price of it, or several: none is guessed.
        """
        wanted = _PLAIN | {"regionCode": self._region, "instanceType": instance_type}
        answer = self._pricing.get_products(
            ServiceCode="AmazonEC2",
            Filters=[{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()],
        )
        found = {usd for text in answer["PriceList"] for usd in _hourly(json.loads(text))}
        if len(found) != 1:
            raise ConfigError(
                f"AWS's price list has {len(found) or 'no'} prices an hour of {instance_type} in "
                f"{self._region}, where one was expected."
            )
        return Price(found.pop(), "AWS price list", today)

    def spot(self, types: Sequence[str], now: datetime.datetime) -> dict[str, Price]:
        """Ask what instances cost on the Spot market, US dollars an hour.

        Of each zone the median of the last days counts, of all zones the dearest: what is launched
        may land there.

        Parameters
        ----------
        types
            Such as ``m7a.xlarge``.
        now
            The time.

        Raises
        ------
        ConfigError
            If there is no price of one of them.
        """
        pages = self._ec2.get_paginator("describe_spot_price_history").paginate(
            InstanceTypes=list(types),
            ProductDescriptions=["Linux/UNIX"],
            StartTime=now - datetime.timedelta(days=SPOT_DAYS),
        )
        seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for page in pages:
            for row in page["SpotPriceHistory"]:
                seen[row["InstanceType"]][row["AvailabilityZone"]].append(float(row["SpotPrice"]))
        if absent := [name for name in types if name not in seen]:
            raise ConfigError(
                f"The Spot market of {self._region} has no price of {', '.join(absent)} in "
                f"{SPOT_DAYS} days: such instances cannot be had there."
            )
        source = f"Spot price history, {SPOT_DAYS} days, dearest zone"
        return {
            name: Price(max(map(statistics.median, seen[name].values())), source, now.date())
            for name in types
        }


def refresh(
    table: PriceTable, lists: PriceLists, types: Sequence[str], now: datetime.datetime
) -> PriceTable:
    """Replace the prices of instance types by what AWS says now.

    Parameters
    ----------
    table
        The prices so far; those of databases and services stay.
    lists
        Whom to ask.
    types
        Which.
    now
        The time.

    Raises
    ------
    ConfigError
        If a price is absent: nothing is replaced then.
    TemporaryError
        If AWS does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        on_demand = {name: lists.on_demand(name, now.date()) for name in types}
        spot = lists.spot(types, now)
    except (BotoCoreError, ClientError) as error:
        raise TemporaryError(f"AWS does not tell its prices: {error}.") from error
    return replace(table, on_demand={**table.on_demand, **on_demand}, spot={**table.spot, **spot})


def open_price_lists(region: str) -> PriceLists:
    """Connect to AWS's price list and to the Spot market of a region.

    Parameters
    ----------
    region
        The region.
    """
    import boto3

    pricing = boto3.client("pricing", region_name=PRICING_REGION)
    return PriceLists(pricing, boto3.client("ec2", region_name=region), region)


def _hourly(product: Mapping[str, Any]) -> list[float]:
    """Give the prices an hour of a product on demand that are above 0."""
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    tiers = [tier for term in terms for tier in term["priceDimensions"].values()]
    prices = [float(tier["pricePerUnit"]["USD"]) for tier in tiers if tier["unit"] == "Hrs"]
    return [usd for usd in prices if usd > 0]
