"""What a site costs is the sum of what is made, at the prices of the table."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.cluster.head_files import FILES, configure
from lsstpipe.cluster.node_agent import NodeSettings
from lsstpipe.cluster.prices import PriceTable, read_prices
from lsstpipe.datastore.files import files_of
from lsstpipe.errors import ConfigError
from lsstpipe.site.bill import (
    CONFIGURATION_READS,
    HOURS_A_MONTH,
    Line,
    Work,
    count_nodes,
    dominating,
    price_site,
    total,
)
from lsstpipe.site.settings import Lustre, PersistentLustre, Settings
from tests.s3_server import S3Server
from tests.site.conftest import CODE, settings_of


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return read_prices("us-east-1")


@pytest.fixture(scope="module")
def complete() -> Settings:
    return settings_of("complete")


def usd(lines: tuple[Line, ...], item: str) -> float:
    (line,) = [line for line in lines if line.item == item]
    return line.usd


def with_cluster(settings: Settings, **changes: Any) -> Settings:
    return Settings(settings.data, settings.cluster.model_copy(update=changes))


def test_an_idle_day_of_the_minimal_site_costs_3_dollars_at_most(
    minimal: Settings, prices: PriceTable
) -> None:
    idle = price_site(minimal, prices).idle
    assert 2 < 24 * total(idle) <= 3
    assert 0 < 24 * usd(idle, "signs of life") < 0.01
    assert dominating(idle)[0].item == "NAT gateway"


def test_each_line_is_price_times_number(complete: Settings, prices: PriceTable) -> None:
    idle = price_site(complete, prices).idle
    assert usd(idle, "database") == pytest.approx(2 * 0.168)
    assert usd(idle, "disk of the database") == pytest.approx(2 * 200 * 0.115 / HOURS_A_MONTH)
    assert usd(idle, "endpoints") == pytest.approx(3 * 10 * 0.01)
    assert usd(idle, "head node") == pytest.approx(0.23184)
    assert usd(idle, "Lustre") == pytest.approx(12000 * 0.14 / HOURS_A_MONTH)
    # A sign each two minutes; two requests for each of four files, and one of a node, each minute.
    assert usd(idle, "signs of life") == pytest.approx(30 * 5e-6 + 60 * (8 + 1) * 4e-7)
    steady = prices.hourly("m7a.4xlarge", "on-demand") + 50 * 0.08 / HOURS_A_MONTH
    assert usd(idle, "nodes of steady") == pytest.approx(steady)
    assert not [line for line in idle if line.item == "NAT gateway"]


def test_requests_are_counted_as_programs_make_them(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    place = s3_server.make_bucket(f"config-{uuid.uuid4()}") + "/clusters/survey"
    for name in FILES:
        files_of(place).write(f"{place}/{name}", b"{}")
    s3_server.plan.clear()
    with pytest.raises(ConfigError):  # that there are no pools is seen when all is read
        configure(tmp_path, place)
    assert len(s3_server.plan.requests) == CONFIGURATION_READS
    units = CODE.parent / "envs" / "image" / "root" / "etc" / "systemd" / "system"
    assert "OnUnitInactiveSec=60\n" in (units / "lsstpipe-conf.timer").read_text()
    assert NodeSettings("head", Path("events")).listen_s == 60
    assert "--share-every" not in (units / "lsstpipe-reconcile.service").read_text()


def test_full_size_counts_what_is_always_there_once(complete: Settings, prices: PriceTable) -> None:
    bill = price_site(complete, prices)
    assert bill.nodes == {"memory": 40, "spot": 300, "steady": 10}
    idle, full = usd(bill.idle, "nodes of steady"), usd(bill.full, "nodes of steady")
    assert full == pytest.approx(9 * idle)


def test_lustre_of_a_month_costs_what_its_list_price_says(
    minimal: Settings, prices: PriceTable
) -> None:
    larger = with_cluster(minimal, lustre=Lustre(storage_gib=1200))
    added = total(price_site(larger, prices).idle) - total(price_site(minimal, prices).idle)
    assert HOURS_A_MONTH * added == pytest.approx(168)


@pytest.mark.parametrize(("throughput", "usd_a_month"), [(125, 174), (250, 252), (1000, 720)])
def test_persistent_lustre_costs_more_the_faster_it_is(
    minimal: Settings, prices: PriceTable, throughput: int, usd_a_month: float
) -> None:
    kept = PersistentLustre(storage_gib=1200, throughput_mbps_per_tib=throughput)
    larger = Settings(minimal.data.model_copy(update={"persistent_lustre": kept}), minimal.cluster)
    line = usd(price_site(larger, prices).idle, "persistent Lustre")
    assert HOURS_A_MONTH * line == pytest.approx(usd_a_month)


def test_limits_let_as_many_nodes_run_as_the_guard_does(
    complete: Settings, prices: PriceTable
) -> None:
    dear = max(
        prices.hourly(name, "spot") for name in complete.cluster.pools["spot"].instance_types
    )
    limited = with_cluster(complete, max_hourly_usd=60.0)
    nodes = count_nodes(limited, prices)
    left = 60 - 40 * max(prices.hourly(n, "spot") for n in ("r7a.4xlarge", "r7i.4xlarge"))
    assert nodes["spot"] == int(left / dear) < 300
    with pytest.raises(ConfigError, match="would never launch a node"):
        count_nodes(with_cluster(complete, max_hourly_usd=0.1), prices)


def test_a_campaign_costs_its_hours_at_the_cheapest_pool(
    minimal: Settings, prices: PriceTable
) -> None:
    # 288 core hours on 4 CPUs of which 72 % are used: 100 node hours, 5 hours on 20 nodes.
    bill = price_site(minimal, prices, Work(core_hours=288, product_gb=1000, objects=1e6))
    dear = max(prices.hourly(name, "spot") for name in minimal.cluster.pools["spot"].instance_types)
    campaign = bill.campaign
    assert usd(campaign.lines, "nodes of spot") == pytest.approx(
        100 * (dear + 50 * 0.08 / HOURS_A_MONTH)
    )
    assert campaign.hours == pytest.approx(5)
    assert usd(campaign.lines, "the site meanwhile") == pytest.approx(5 * total(bill.idle))
    assert usd(campaign.lines, "requests to S3") == pytest.approx(5)
    assert campaign.storage_month_usd == pytest.approx(23)


def test_the_tract_that_lsst_processed_costs_less_than_it_did_in_2019(
    minimal: Settings, prices: PriceTable
) -> None:
    # 95 USD in all (DMTN-137), of which this counts no rehearsals and no support.
    assert 30 < total(price_site(minimal, prices).campaign.lines) < 95


def test_an_absent_price_is_an_error_and_never_nothing(
    minimal: Settings, prices: PriceTable
) -> None:
    for name in ("nat_gateway_hour", "alarm_month", "s3_put", "s3_get"):
        services = {key: price for key, price in prices.services.items() if key != name}
        with pytest.raises(ConfigError, match=f"no price of {name} in us-east-1"):
            price_site(minimal, replace(prices, services=services))


def run_cost(*words: str) -> Any:
    command = ["site", "cost", *words, "--terraform", str(CODE)]
    return CliRunner().invoke(cli, command, catch_exceptions=False)


def test_the_command_prints_sites_side_by_side_with_dates_and_what_dominates() -> None:
    examples = [str(CODE / "examples" / name) for name in ("minimal", "dev")]
    result = run_cost(*examples)
    assert "What dominates: Lustre (51%)" in result.stdout
    assert "List prices of us-east-1, of 2026-" in result.stdout
    rows = json.loads(run_cost(*examples, "--json", "--work", "288", "10").stdout)
    assert list(rows) == ["minimal", "dev"]
    assert rows["minimal"]["idle_usd_a_day"] <= 3
    assert rows["minimal"]["campaign"]["hours"] == pytest.approx(5)
    assert rows["dev"]["campaign"]["storage_month_usd"] == pytest.approx(0.23)


def test_old_prices_are_said_to_be_old(tmp_path: Path, prices: PriceTable) -> None:
    from lsstpipe.cluster.prices import write_prices

    path = tmp_path / "prices.json"
    path.write_text(write_prices(prices).replace("2026-07-20", "2020-01-01"))
    result = run_cost(str(CODE / "examples" / "minimal"), "--prices", str(path))
    assert "are of 2020-01-01" in result.stderr


def test_the_table_of_costs_that_is_printed_is_true(prices: PriceTable) -> None:
    readme = (CODE / "README.md").read_text()
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \| (.*) \|$", readme, re.M
    )
    assert {row[0] for row in rows} == {path.name for path in (CODE / "examples").iterdir()}
    for name, *shown, dominates in rows:
        bill = price_site(settings_of(name), prices)
        figures = (
            f"{24 * total(bill.idle):.2f}",
            f"{total(bill.idle) + total(bill.full):.2f}",
            str(sum(bill.nodes.values())),
            f"{total(bill.campaign.lines):.2f}",
        )
        assert tuple(shown) == figures
        most = [f"{line.item} {line.usd / total(bill.idle):.0%}" for line in dominating(bill.idle)]
        assert dominates == ", ".join(most).replace("%", " %")
    assert f"of {prices.dates()[0]} to {prices.dates()[1]}" in readme
