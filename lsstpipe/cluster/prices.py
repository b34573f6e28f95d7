"""What instances and services cost: a table with dates and sources, never a guess of 0."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from lsstpipe.cluster.config import Market, Pool
from lsstpipe.errors import ConfigError

_OLD_DAYS = 180


@dataclass(frozen=True, slots=True)
class Price:
    """A price: US dollars, where it is from, when it held or was read."""

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
        Price of each instance type, an hour.
    spot
        The same on the Spot market, where it was asked for.
    spot_share
        What Spot is taken for where it was not: a share of the price on demand.
    databases
        Price of PostgreSQL on each class of machine of RDS, in one zone, an hour.
    services
        Price of everything else; its name ends with the unit, such as ``nat_gateway_hour``.
    """

    region: str
    on_demand: Mapping[str, Price]
    spot: Mapping[str, Price]
    spot_share: Price
    databases: Mapping[str, Price]
    services: Mapping[str, Price]

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
        if market == "spot" and instance_type in self.spot:
            return self.spot[instance_type].usd
        share = self.spot_share.usd if market == "spot" else 1.0
        return share * self._find(self.on_demand, instance_type, "instance types")

    def database(self, instance_class: str) -> float:
        """Give the price of a database, US dollars an hour.

        Parameters
        ----------
        instance_class
            Such as ``db.t4g.micro``.

        Raises
        ------
        ConfigError
            If the table has no price of that class.
        """
        return self._find(self.databases, instance_class, "databases")

    def service(self, name: str) -> float:
        """Give the price of a unit of a service, US dollars.

        Parameters
        ----------
        name
            Such as ``nat_gateway_hour``.

        Raises
        ------
        ConfigError
            If the table has no price of it.
        """
        return self._find(self.services, name, "services")

    def _find(self, prices: Mapping[str, Price], name: str, kind: str) -> float:
        if name not in prices:
            raise ConfigError(
                f"There is no price of {name} in {self.region} in the table of {len(prices)} "
                f"{kind}; give it in prices.json beside the state file, or with --prices."
            )
        return prices[name].usd

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
        oldest = min(price.date for price in self._all())
        age = (today - oldest).days
        if age <= _OLD_DAYS:
            return ""
        return f"Prices of {self.region} are of {oldest}, {age} days old: refresh them."

    def dates(self) -> tuple[datetime.date, datetime.date]:
        """Give the dates of the oldest and the newest price."""
        dates = [price.date for price in self._all()]
        return min(dates), max(dates)

    def _all(self) -> list[Price]:
        groups = (self.on_demand, self.spot, self.databases, self.services)
        return [self.spot_share, *(price for group in groups for price in group.values())]


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
        If the table is absent, cannot be read, or has no prices of the region.
    """
    table = resources.files("lsstpipe.cluster") / "prices.json" if path is None else path
    try:
        regions = json.loads(table.read_text())["regions"]
        own = regions.get(region)
        if own is not None:
            groups = ("on_demand", "spot", "databases", "services")
            on_demand, spot, databases, services = (
                {item: _price(row) for item, row in own.get(group, {}).items()} for group in groups
            )
            share = _price(own["spot_share"])
            return PriceTable(region, on_demand, spot, share, databases, services)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"The table of prices {table} cannot be read: {error!r}.") from error
    raise ConfigError(f"There are no prices of {region}; there are those of {', '.join(regions)}.")


def _price(row: Mapping[str, object]) -> Price:
    usd = float(str(row["usd"]))
    if not usd > 0:
        raise ValueError(f"a price is above 0, not {usd}")
    return Price(usd, str(row["source"]), datetime.date.fromisoformat(str(row["date"])))


def write_prices(table: PriceTable) -> str:
    """Write prices as :func:`read_prices` reads them.

    Parameters
    ----------
    table
        The prices.
    """
    own = asdict(table)
    return json.dumps({"regions": {own.pop("region"): own}}, indent=1, default=str)
