"""Launches of more nodes than EC2 takes in one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.assign import LAUNCHED_TOGETHER, Wanted, group
from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.ec2 import Ec2Client, Instance
from lsstpipe.cluster.fleet import MOST_AT_ONCE, Job, make_token
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.resume import resume
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_pool, make_settings

DEAR = 1e6
N_NODES = 1200


def have_pool(folder: Path, **changes: Any) -> tuple[Head, FakeSlurm, FakeEc2]:
    """Give a head node with a large pool."""
    pool = make_pool(**{"max_nodes": 1500, "max_hourly_usd": DEAR} | changes)
    head = make_head(folder, make_settings(pool, max_hourly_usd=DEAR))
    assert isinstance(head.slurm, FakeSlurm)
    assert isinstance(head.ec2, FakeEc2)
    return head, head.slurm, head.ec2


def sizes(ec2: FakeEc2) -> list[int]:
    """Give how many instances each request asks for."""
    return [row["TargetCapacitySpecification"]["TotalTargetCapacity"] for row in ec2.requests]


def test_nodes_of_a_pool_are_asked_for_in_parts_and_each_gets_one_instance(tmp_path: Path) -> None:
    head, slurm, ec2 = have_pool(tmp_path)
    resume(head, f"spot-[1-{N_NODES}]", [], "1")
    assert sizes(ec2) == [500, 500, 200]
    assert max(sizes(ec2)) <= LAUNCHED_TOGETHER
    names = [f"spot-{n}" for n in range(1, N_NODES + 1)]
    assert sorted(item.node for item in ec2.alive()) == sorted(names)
    assert set(slurm.addresses) == set(names)


def test_a_call_that_is_repeated_has_the_same_parts_with_the_same_tokens(tmp_path: Path) -> None:
    head, _, ec2 = have_pool(tmp_path)
    names = [f"spot-{n}" for n in range(1, N_NODES + 1)]
    tokens = [
        [
            make_token(head.cluster.name, launch)
            for launch in group(head.cluster, names, [], event)[0]
        ]
        for event in ("1", "1", "2")
    ]
    assert tokens[0] == tokens[1]
    assert len({*tokens[0], *tokens[2]}) == 6, "no part is taken for another one"
    resume(head, f"spot-[1-{N_NODES}]", [], "1")
    assert [request["ClientToken"] for request in ec2.requests] == tokens[0]
    resume(head, f"spot-[1-{N_NODES}]", [], "1")
    assert len(ec2.alive()) == N_NODES


@pytest.mark.parametrize("shown_after_s", [0.0, 60.0])
def test_the_guard_sees_the_sum_of_all_parts(tmp_path: Path, shown_after_s: float) -> None:
    head, slurm, ec2 = have_pool(tmp_path, fallback="none")
    price = head.prices.dearest(head.cluster.pools[0], "spot")
    head, slurm, ec2 = have_pool(tmp_path, fallback="none", max_hourly_usd=700.5 * price)
    ec2.shown_after_s = shown_after_s
    resume(head, f"spot-[1-{N_NODES}]", [], "1")
    assert sizes(ec2) == [500, 200]
    assert len(ec2.alive()) == 700
    down = {name for name, flags in slurm.flags.items() if "DOWN" in flags}
    assert down == {f"spot-{n}" for n in range(701, N_NODES + 1)}


def test_where_there_is_no_room_for_a_part_the_next_ones_are_not_asked_for(tmp_path: Path) -> None:
    head, slurm, ec2 = have_pool(tmp_path)
    ec2.room |= {("spot", "spot"): 300, ("spot", "on-demand"): 100}
    resume(head, f"spot-[1-{N_NODES}]", [], "1")
    assert sizes(ec2) == [500, 200], "Spot, then the rest of this part on demand"
    assert len(ec2.alive()) == 400
    assert sum("DOWN" in flags for flags in slurm.flags.values()) == N_NODES - 400


@pytest.mark.parametrize("n_nodes", [LAUNCHED_TOGETHER + 100, MOST_AT_ONCE])
def test_a_job_of_many_nodes_is_never_split(tmp_path: Path, n_nodes: int) -> None:
    head, _, ec2 = have_pool(tmp_path)
    names = tuple(f"spot-{n}" for n in range(1, n_nodes + 1))
    resume(head, f"spot-[1-{n_nodes}]", [Wanted(Job(7, n_nodes=n_nodes), names)], "1")
    assert sizes(ec2) == [n_nodes]
    assert len(ec2.alive()) == n_nodes


def test_a_job_of_more_nodes_than_ec2_gives_at_once_is_refused_with_a_sentence(
    tmp_path: Path,
) -> None:
    head, slurm, ec2 = have_pool(tmp_path)
    n_nodes = MOST_AT_ONCE + 1
    names = tuple(f"spot-{n}" for n in range(1, n_nodes + 1))
    jobs = [Wanted(Job(7, n_nodes=n_nodes), names), Wanted(Job(8), ("spot-1400",))]
    resume(head, f"spot-[1-{n_nodes}],spot-1400", jobs, "1")
    assert sizes(ec2) == [1], "another job gets its node"
    assert slurm.comments == {
        7: "not launched: a job's nodes are launched all at once or not at all, and EC2 gives 1000 "
        "at once, not 1001"
    }
    assert {slurm.reasons[name].split(")")[0] for name in names} == {"(Code:TooLarge"}


def test_what_was_launched_is_looked_for_by_as_many_ids_as_a_filter_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "only-for-a-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-a-test")
    client = Ec2Client("test", "us-east-1", sleep=lambda _: None)
    ids = [f"i-{n:017x}" for n in range(450)]
    late, asked = {ids[10], ids[449]}, []

    def describe(*, Filters: list[dict[str, Any]]) -> list[Instance]:  # noqa: N803
        ((values),) = [row["Values"] for row in Filters]
        asked.append(len(values))
        shown = [key for key in values if key not in late or len(asked) > 3]
        return [Instance(key, "", "spot", Power.ALIVE, 0.0, "10.0.0.1") for key in shown]

    monkeypatch.setattr(client, "_describe", describe)
    found = [item.id for arrived in client.arrivals(ids) for item in arrived]
    assert asked == [200, 200, 50, 2], "EC2 refuses a filter of more values than 200"
    assert sorted(found) == ids
