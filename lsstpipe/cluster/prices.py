"""What an instance costs an hour: a table with dates and sources, never a guess of 0."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lsstpipe.cluster.config import Market, Pool
from lsstpipe.errors import ConfigError

_OLD_DAYS = 180


@dataclass(frozen=True, slots=True)
class Price:
    """A price: US dollars an hour, where it is from, when it held."""

    usd: float
    source: str
    date: datetime.date


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices of one region.

    Attributes
    ----------
    region
        The region.
    on_demand
        Price of each instance type.
    spot
        The same on the Spot market, where it was asked for.
    spot_share
        What Spot is taken for where it was not: a share of the price on demand.
    """

    region: str
    on_demand: Mapping[str, Price]
    spot: Mapping[str, Price]
    spot_share: Price

    def hourly(self, instance_type: str, market: Market) -> float:
        """Give the price of an instance, US dollars an hour.

        Parameters
        ----------
        instance_type
            Such as ``m7a.xlarge``.
        market
            ``spot`` or ``on-demand``.

        Raises
        ------
        ConfigError
            If the table has no price of that type.
        """
        if instance_type not in self.on_demand:
            raise ConfigError(
                f"There is no price of {instance_type} in {self.region} in the table of "
                f"{len(self.on_demand)} types; give it in prices.json beside the state file."
            )
        if market == "spot" and instance_type in self.spot:
            return self.spot[instance_type].usd
        share = self.spot_share.usd if market == "spot" else 1.0
        return share * self.on_demand[instance_type].usd

    def dearest(self, pool: Pool, market: Market) -> float:
        """Give the most that a node of a pool costs an hour, whatever type it becomes.

        Parameters
        ----------
        pool
            The pool.
        market
            Where it is bought.
        """
        return max(self.hourly(name, market) for name in pool.instance_types)

    def warn(self, today: datetime.date) -> str:
        """Say how old the oldest price is; nothing where all are recent.

        Parameters
        ----------
        today
            The date.
        """
        oldest = min(price.date for price in self.on_demand.values())
        age = (today - oldest).days
        if age <= _OLD_DAYS:
            return ""
        return f"Prices of {self.region} are of {oldest}, {age} days old: refresh them."


def read_prices(region: str, path: Path | None = None) -> PriceTable:
    """Read the prices of a region.

    Parameters
    ----------
    region
        The region.
    path
        A table that was refreshed; the one that comes with lsstpipe where it is None.

    Raises
    ------
    ConfigError
        If the table has no prices of the region.
    """
    table = resources.files("lsstpipe.cluster") / "prices.json" if path is None else path
    content = json.loads(table.read_text())
    if region not in content["regions"]:
        known = ", ".join(content["regions"])
        raise ConfigError(f"There are no prices of {region}; there are those of {known}.")
    own = content["regions"][region]

    def price(row: dict[str, object]) -> Price:
        date = datetime.date.fromisoformat(str(row["date"]))
        return Price(float(str(row["usd"])), str(row["source"]), date)

    return PriceTable(
        region,
        {name: price(row) for name, row in own["on_demand"].items()},
        {name: price(row) for name, row in own.get("spot", {}).items()},
        price(own["spot_share"]),
    )
