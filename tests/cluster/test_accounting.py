"""What jobs cost: every dollar of an instance goes to a job or is idle, never twice."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from lsstpipe.cli.cluster_tables import costs_as_rows
from lsstpipe.cluster.accounting import IDLE, Cost, read_lives, read_runs, share
from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.slurm import find_campaign, find_stage, parse_queued
from lsstpipe.cluster.slurm_conf import PowerSaving, render_pools
from lsstpipe.cluster.status import total
from lsstpipe.errors import UserError
from lsstpipe.execute.usage import TaskUsage
from tests.cluster.fakes import make_pool, make_settings

RUN = "0b7dbc5a-9f7d-4d0e-8e4c-6d4f3c2b1a00"
NAME = f"dr1-deep-3fa2b1_{RUN}"
CLUSTER = Cluster.model_validate(make_settings(make_pool(cpus=4)))


def event(name: str, second: float, **fields: Any) -> dict[str, Any]:
    time = datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat()
    return {"time": time, "event": name} | fields


def launched(second: float, *nodes: str) -> dict[str, Any]:
    ids = [f"i-{node}" for node in nodes]
    usd = 3.6 * len(nodes)  # a node costs 0.001 USD a second
    return event("launched", second, pool="spot", nodes=nodes, instances=ids, hourly_usd=usd)


def line(job: int, begin: object, end: object, nodes: str, cpus: int, stage: str) -> str:
    comment = f"rule_{stage}_chunk_wildcards_c|1"
    return f"{job}|{NAME}|ann|COMPLETED|{begin}|{end}|{nodes}|{cpus}|1500M|{comment}"


def test_costs_are_shared_by_processors_and_the_rest_is_idle() -> None:
    events = [
        launched(0, "spot-1", "spot-2"),
        event("node-action", 100, node="spot-1", action="terminate", instance="i-spot-1"),
        event("node-action", 130, node="spot-1", action="down", instance="i-spot-1"),
    ]
    lives = read_lives(events, now=200)
    assert [(life.node, life.begin, life.end) for life in lives] == [
        ("spot-1", 0, 100),
        ("spot-2", 0, 200),
    ]
    text = "\n".join(
        [
            line(1, 10, 60, "spot-1", 4, "visit"),  # all of the node for 50 s
            line(2, 60, 100, "spot-1", 1, "coadd"),  # a quarter for 40 s
            line(3, 0, "Unknown", "spot-2", 2, "visit"),  # runs: half for 200 s
            line(4, "Unknown", "Unknown", "None assigned", 1, "visit"),  # waits
        ]
    )
    costs = share(lives, read_runs(text, now=200), CLUSTER)
    usd = {stage: cost.usd for (_, _, stage), cost in costs.items()}
    assert usd == pytest.approx({"visit": 0.05 + 0.1, "coadd": 0.01, IDLE: 0.04 + 0.1})
    visit = costs["dr1-deep", "ann", "visit"]
    assert (visit.n_jobs, visit.n_runs, visit.cpu_s) == (2, 2, 4 * 50 + 2 * 200)
    assert visit.memory_mb == 1500
    assert total(costs).usd == pytest.approx(0.3)


def test_a_job_that_was_requeued_is_one_job_with_two_runs() -> None:
    lives = read_lives([launched(0, "spot-1")], now=100)
    text = f"{line(1, 0, 10, 'spot-1', 4, 'visit')}\n{line(1, 20, 50, 'spot-1', 4, 'visit')}"
    costs = share(lives, read_runs(text, now=100), CLUSTER)
    visit = costs["dr1-deep", "ann", "visit"]
    assert (visit.n_jobs, visit.n_runs) == (1, 2)
    assert visit.usd == pytest.approx(0.04)


def test_what_was_used_is_told_of_the_campaign_that_used_it() -> None:
    costs = {
        (campaign, "ann", "visit"): Cost(n_runs=1, cpu_s=20.0, usd=0.1, jobs={number})
        for number, campaign in enumerate(("dr1", "deep"))
    }
    used = TaskUsage("visit", "isr", 2, 8.0, 4.0, 4.0, 9.0, 500.0, 1.0)
    rows = {row["campaign"]: row["used_cpu_s"] for row in costs_as_rows(costs, {"dr1": [used]})}
    assert rows == {"dr1": 8.0, "deep": None}


def test_names_and_comments_of_the_workflow_are_read() -> None:
    assert find_campaign(NAME, "") == "dr1-deep"
    assert find_campaign(RUN, "campaign=dr2 rule_x") == "dr2"
    assert find_campaign("bash", "") == ""
    assert find_stage("rule_visit_summary_chunk_wildcards_a_b") == ("visit_summary", "a_b")
    assert find_stage("rule_collect") == ("collect", "")
    assert find_stage("by hand") == ("", "")
    assert find_stage("rule_visit_summary_pilot_wildcards_a_b") == ("visit_summary", "a_b")
    rest = f"Resources|{NAME}|all|1500M|rule_visit_chunk_wildcards_c|1"
    job = parse_queued(f"7|ann|PENDING||{rest}")
    assert (job.campaign, job.stage, job.chunk) == ("dr1-deep", "visit", "c|1")
    assert (job.partition, job.memory_mb, job.is_held) == ("all", 1500, False)


def test_a_line_of_sacct_that_is_too_short_is_refused() -> None:
    with pytest.raises(UserError, match="not the 10 columns"):
        read_runs("1|x", now=0)


def test_large_nodes_weigh_more_and_static_ones_stay(tmp_path: Any) -> None:
    settings = make_settings(make_pool("large", memory_mb=60000, min_nodes=2), make_pool())
    text = render_pools(Cluster.model_validate(settings), PowerSaving(tmp_path))
    lines = text.splitlines()
    weights = [row.partition("Weight=")[2].split()[0] for row in lines if "NodeName" in row]
    names = [row.split()[0] for row in lines if row.startswith("NodeName")]
    assert names == ["NodeName=spot-[1-4]", "NodeName=large-[1-4]"]
    assert weights == sorted(weights)
    assert weights[0] != weights[1]
    assert "SuspendExcNodes=large-[1-2]" in lines
    addresses = [row.split()[1] for row in lines if row.startswith("NodeName")]
    assert addresses == ["NodeAddr=127.0.0.1"] * 2, "slurmctld looks up no name"
    assert "ResumeTimeout=720" in lines, "later than reconcile, which counts those that do not boot"
