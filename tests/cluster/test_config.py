"""``pools.json`` says what can be, or is refused with what is wrong."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.config import Cluster, read_cluster
from lsstpipe.cluster.errors import ErrorClass, classify, worst
from lsstpipe.cluster.head import open_head
from lsstpipe.cluster.prices import read_prices
from lsstpipe.cluster.slurm import read_resume_file
from lsstpipe.errors import ConfigError, UserError
from tests.cluster.fakes import make_pool, make_settings


def write(folder: Path, settings: dict[str, Any]) -> Path:
    path = folder / "pools.json"
    path.write_text(json.dumps(settings))
    return path


def test_a_cluster_is_read_as_it_was_written(tmp_path: Path) -> None:
    settings = make_settings(make_pool(min_nodes=1), make_pool("large", memory_mb=60000))
    cluster = read_cluster(write(tmp_path, settings))
    assert Cluster.model_validate(cluster.model_dump()) == cluster
    assert [cluster.pools[0].is_static(f"spot-{n}") for n in (1, 2)] == [True, False]
    found = [
        cluster.find_pool(n) for n in ("spot-4", "spot-5", "spot-0", "head", "large-1", "spot-x")
    ]
    assert [pool.name if pool else None for pool in found] == [
        "spot",
        None,
        None,
        None,
        "large",
        None,
    ]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (make_settings(make_pool("spot-a")), "pools.0.name"),
        (make_settings(make_pool(min_nodes=5)), "min_nodes 5 is above max_nodes 4"),
        (
            make_settings(make_pool(subnet_ids=["subnet-9"])),
            "subnet-9; there are subnet-1,",
        ),
        (make_settings(make_pool(), make_pool()), "two pools have one name"),
        (make_settings(make_pool("all")), "a pool is called all"),
        (make_settings(make_pool(launch_template_version="$Latest")), "launch_template_version"),
        (make_settings(make_pool(max_nodes=0)), "pools.0.max_nodes"),
        (make_settings(make_pool(colour="red")), "pools.0.colour"),
        (make_settings(max_hourly_usd=0), "max_hourly_usd"),
        (
            make_settings(
                subnets={f"subnet-{n}": {"vpc_id": f"vpc-{n}", "zone": "a"} for n in (1, 2)}
            ),
            "subnet-2 of vpc-2, another network than vpc-1",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("$", r"\$")):
        read_cluster(write(tmp_path, settings))


def test_an_absent_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pools\.json is absent"):
        read_cluster(tmp_path / "pools.json")
    (tmp_path / "pools.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cluster(tmp_path / "pools.json")


def test_a_missing_price_is_an_error_and_old_ones_a_warning() -> None:
    prices = read_prices("us-east-1")
    with pytest.raises(ConfigError, match=r"no price of x9z\.huge in us-east-1"):
        prices.hourly("x9z.huge", "spot")
    with pytest.raises(ConfigError, match="no prices of mars-north-1"):
        read_prices("mars-north-1")
    assert prices.hourly("m7a.2xlarge", "on-demand") == pytest.approx(2 * 0.23184)
    assert prices.hourly("m7a.xlarge", "spot") == pytest.approx(0.49 * 0.23184)
    assert prices.warn(datetime.date(2026, 8, 1)) == ""
    assert "days old" in prices.warn(datetime.date(2027, 8, 1))


def test_an_unknown_type_is_refused_before_a_job_waits_for_it(tmp_path: Path) -> None:
    settings = make_settings(make_pool(instance_types=["m7a.xlarge", "m7q.xlarge"]))
    with pytest.raises(ConfigError, match=r"no price of m7q\.xlarge in us-east-1"):
        open_head(write(tmp_path, settings), tmp_path)


@pytest.mark.parametrize("content", [b"", b"  \n"])
def test_an_empty_resume_file_tells_nothing_of_the_jobs(content: bytes) -> None:
    assert read_resume_file(content) == []


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"jobs": [{"job_id": "x"}]}', b"[]"])
def test_a_damaged_resume_file_is_an_error_in_a_sentence(content: bytes) -> None:
    with pytest.raises(UserError, match=r"The resume file cannot be read: .*\."):
        read_resume_file(content)


def test_an_error_nobody_knows_is_never_repeated() -> None:
    assert classify("SomethingNew") is ErrorClass.FATAL
    assert worst(["InsufficientInstanceCapacity", "UnauthorizedOperation"]) is ErrorClass.FATAL
    assert worst(["InsufficientInstanceCapacity", "VcpuLimitExceeded"]) is ErrorClass.QUOTA
    assert worst(["UnfulfillableCapacity", "Unsupported"]) is ErrorClass.CAPACITY
    assert worst([]) is None
