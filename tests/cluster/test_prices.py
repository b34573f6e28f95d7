"""Prices are asked for, dated and never guessed."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.cluster import price_refresh
from lsstpipe.cluster.price_refresh import PriceLists, refresh
from lsstpipe.cluster.prices import read_prices, write_prices
from lsstpipe.errors import ConfigError, TemporaryError
from tests.cluster.fakes import make_pool, make_settings

NOW = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)
KEYS = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
FILTERS = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "regionCode": "us-east-1",
}


def product(usd: str, unit: str = "Hrs") -> str:
    """A product as the price list has it: text of JSON within JSON."""
    tier = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return json.dumps({"terms": {"OnDemand": {"SKU.TERM": {"priceDimensions": {"RATE": tier}}}}})


class Aws:
    """Clients of boto3 that answer what a test says, and check what they are asked."""

    def __init__(self) -> None:
        self.pricing = boto3.client("pricing", region_name="us-east-1", **KEYS)
        self.ec2 = boto3.client("ec2", region_name="us-east-1", **KEYS)
        self.stubs = [Stubber(self.pricing), Stubber(self.ec2)]
        for stub in self.stubs:
            stub.activate()

    def lists(self, name: str, *products: str) -> None:
        """The price list answers to a question about a type."""
        wanted = FILTERS | {"instanceType": name}
        filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
        asked = {"ServiceCode": "AmazonEC2", "Filters": filters}
        self.stubs[0].add_response("get_products", {"PriceList": list(products)}, asked)

    def sells(
        self,
        types: list[str],
        *rows: tuple[str, str, str],
        token: str = "",
        start: object = NOW - datetime.timedelta(days=14),
    ) -> None:
        """The Spot market answers with type, zone and price, and maybe a further page."""
        asked: dict[str, Any] = {
            "InstanceTypes": types,
            "ProductDescriptions": ["Linux/UNIX"],
            "StartTime": start,
        }
        history = [
            {"InstanceType": name, "AvailabilityZone": zone, "SpotPrice": usd}
            for name, zone, usd in rows
        ]
        if token == "last":
            asked["NextToken"] = "more"
        answer = {"SpotPriceHistory": history, "NextToken": "more" if token == "first" else ""}
        self.stubs[1].add_response("describe_spot_price_history", answer, asked)

    @property
    def price_lists(self) -> PriceLists:
        return PriceLists(self.pricing, self.ec2, "us-east-1")


@pytest.fixture
def aws() -> Iterator[Aws]:
    aws = Aws()
    yield aws
    for stub in aws.stubs:
        stub.assert_no_pending_responses()


def test_prices_are_replaced_by_what_aws_says(aws: Aws) -> None:
    types = ["m7a.xlarge", "x9z.huge"]
    aws.lists("m7a.xlarge", product("0.25"), product("0.0"))
    aws.lists("x9z.huge", product("12.5"), product("4", unit="Quantity"))
    # Zone a: median 0.10, its dear moment does not count. Zone b: one price, dearer.
    zone_a = [("m7a.xlarge", "us-east-1a", usd) for usd in ("0.09", "0.10", "0.70")]
    aws.sells(types, *zone_a, token="first")
    aws.sells(
        types, ("m7a.xlarge", "us-east-1b", "0.12"), ("x9z.huge", "us-east-1b", "5"), token="last"
    )
    before = read_prices("us-east-1")
    after = refresh(before, aws.price_lists, types, NOW)
    assert after.hourly("m7a.xlarge", "on-demand") == 0.25
    assert after.hourly("m7a.xlarge", "spot") == 0.12
    assert after.hourly("x9z.huge", "spot") == 5
    assert after.spot["x9z.huge"].date == NOW.date()
    # All else is as it was, dates included.
    assert after.on_demand["m7i.xlarge"] == before.on_demand["m7i.xlarge"]
    assert after.services == before.services


@pytest.mark.parametrize(
    ("products", "says"),
    [([], "has no prices"), (["0.0"], "has no prices"), (["0.2", "0.3"], "has 2 prices")],
)
def test_a_price_that_is_absent_or_not_one_is_an_error(
    aws: Aws, products: list[str], says: str
) -> None:
    aws.lists("m7a.xlarge", *map(product, products))
    with pytest.raises(ConfigError, match=f"{says} an hour of m7a.xlarge"):
        refresh(read_prices("us-east-1"), aws.price_lists, ["m7a.xlarge"], NOW)


def test_a_type_that_is_not_sold_on_the_market_is_an_error(aws: Aws) -> None:
    aws.lists("m7a.xlarge", product("0.25"))
    aws.sells(["m7a.xlarge"])
    with pytest.raises(ConfigError, match=r"Spot market of us-east-1 has no price of m7a\.xlarge"):
        refresh(read_prices("us-east-1"), aws.price_lists, ["m7a.xlarge"], NOW)


def test_when_aws_does_not_answer_it_may_later(aws: Aws) -> None:
    aws.stubs[0].add_client_error("get_products", "ThrottlingException")
    with pytest.raises(TemporaryError, match="does not tell its prices"):
        refresh(read_prices("us-east-1"), aws.price_lists, ["m7a.xlarge"], NOW)


def test_prices_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = read_prices("us-east-1")
    path = tmp_path / "prices.json"
    path.write_text(write_prices(table))
    assert read_prices("us-east-1", path) == table


def test_every_price_that_comes_along_is_above_0_and_dated() -> None:
    table = read_prices("us-east-1")
    groups = [table.on_demand, table.databases, table.services]
    prices = [price for group in groups for price in group.values()]
    assert min(price.usd for price in prices) > 0
    assert all(price.source for price in prices)
    assert (min(p.date for p in prices), max(p.date for p in prices)) == table.dates()
    # Instances are sold in proportion to their size.
    for family in ("m7a", "r7i", "c8g"):
        ratio = table.on_demand[f"{family}.16xlarge"].usd / table.on_demand[f"{family}.xlarge"].usd
        assert ratio == pytest.approx(16, rel=1e-3)


@pytest.mark.parametrize("usd", [0, -1, "nan", "cheap"])
def test_a_price_of_nothing_is_not_read(tmp_path: Path, usd: object) -> None:
    content = json.loads(write_prices(read_prices("us-east-1")))
    content["regions"]["us-east-1"]["on_demand"]["m7a.xlarge"]["usd"] = usd
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"prices\.json cannot be read"):
        read_prices("us-east-1", path)


def test_services_and_databases_without_a_price_are_named() -> None:
    table = read_prices("us-east-1")
    with pytest.raises(ConfigError, match=r"no price of db\.x9\.huge in us-east-1"):
        table.database("db.x9.huge")
    with pytest.raises(ConfigError, match="no price of moon_hour in us-east-1"):
        table.service("moon_hour")


@pytest.fixture
def head(tmp_path: Path) -> list[str]:
    """Options of a head node with one pool."""
    pools = tmp_path / "pools.json"
    pools.write_text(json.dumps(make_settings(make_pool(instance_types=["m7a.xlarge"]))))
    return ["--config", str(pools), "--state", str(tmp_path)]


def test_refreshed_prices_are_those_that_launches_are_judged_by(
    head: list[str], tmp_path: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_refresh, "open_price_lists", lambda region: aws.price_lists)
    for _ in range(2):
        aws.lists("m7a.xlarge", product("0.25"))
        aws.sells(["m7a.xlarge"], ("m7a.xlarge", "us-east-1a", "0.07"), start=ANY)
    command = ["cluster", "prices", *head, "--json"]
    tried = CliRunner().invoke(cli, [*command, "--refresh", "--dry-run"], catch_exceptions=False)
    assert json.loads(tried.stdout)[0]["on_demand_usd"] == 0.25
    assert not (tmp_path / "prices.json").exists()
    CliRunner().invoke(cli, [*command, "--refresh"], catch_exceptions=False)
    (shown,) = json.loads(CliRunner().invoke(cli, command, catch_exceptions=False).stdout)
    assert (shown["type"], shown["on_demand_usd"], shown["spot_usd"]) == ("m7a.xlarge", 0.25, 0.07)


def test_old_prices_are_said_to_be_old(head: list[str], tmp_path: Path) -> None:
    content = json.loads(write_prices(read_prices("us-east-1")))
    content["regions"]["us-east-1"]["on_demand"]["m7a.xlarge"]["date"] = "2020-01-01"
    (tmp_path / "prices.json").write_text(json.dumps(content))
    result = CliRunner().invoke(cli, ["cluster", "prices", *head], catch_exceptions=False)
    assert "are of 2020-01-01" in result.stderr
    assert "m7a.xlarge" in result.stdout
