"""Each fault on a real Slurm: what the accounting says, what EC2 has, and the products.

Every job processes real frames on a repository of its own; whatever happens to it, its products are
those of an undisturbed run, it runs once at a time, and in the end no instance is left and every
node may be launched again.
"""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.elastic import keep_logs
from tests.cluster.production import Production
from tests.cluster.slurm_server import kernel_limits_memory, missing_programs
from tests.cluster.storm import (
    HEAD_FAULTS,
    HIDDEN_S,
    NO_CAPACITY,
    NODE_FAULTS,
    Storm,
    make_cluster,
)
from tests.conftest import IN_CI

pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(
        "LSSTPIPE_FAULTS" not in os.environ, reason="takes five minutes: make test-faults runs it"
    ),
]

LOST = ["NODE_FAIL", "COMPLETED"]
# Runs of each job, as the accounting has them; of those in REFUSED the first may be there again: a
# node that has just lost its power may be tried once more before its pool is held back, or while
# nobody looks after the nodes.
REFUSED = ("iced", "quota", "fatal", "dead", "mute", "unwatched")
STATES = {
    "lost": LOST,
    "noticed": ["REQUEUED", "COMPLETED"],
    "dear": ["COMPLETED"],
    "iced": LOST,
    "quota": LOST,
    "throttled": ["COMPLETED"],
    "fatal": LOST,
    "dead": LOST,
    "mute": LOST,
    "late": ["COMPLETED"],
    "full": ["REQUEUED", "COMPLETED"],
    "hidden": ["COMPLETED"],
    "stuck": ["COMPLETED"],
    "restarted": ["COMPLETED"],
    "reconfigured": ["COMPLETED"],
    "unaccounted": ["COMPLETED"],
    "unwatched": LOST,
}


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    """A cluster on which everything has gone wrong. Look, do not touch."""
    if missing := missing_programs():
        reason = f"a real Slurm needs {', '.join(missing)}; envs/debian.txt names the packages"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("storm")
    cluster, base, storm = make_cluster(), Production(folder / "base"), None
    try:
        # What takes time is made meanwhile.
        with ThreadPoolExecutor(1) as other:
            preparing = other.submit(base.prepare)
            cluster.start()
            cluster.stop_reaper()
            preparing.result()
        storm = Storm(cluster, base, folder)
        storm.rage()
        yield storm
    finally:
        if storm is not None:
            storm.stop()
        if cluster.state.exists():
            keep_logs(cluster, folder / "logs")
        cluster.stop()


@pytest.fixture(scope="module")
def expected(storm: Storm) -> dict[str, str]:
    """The products of the stage visit, run without a Slurm."""
    return storm.undisturbed.products(storm.undisturbed.chunks())


@pytest.mark.parametrize("name", [*NODE_FAULTS, *HEAD_FAULTS])
def test_the_job_is_done_once_and_its_products_are_those_of_an_undisturbed_run(
    storm: Storm, expected: dict[str, str], name: str
) -> None:
    row = storm.rows[name]
    states = storm.cluster.slurm.job_states(row.job)
    if name in REFUSED:
        states = [state for state, _ in itertools.groupby(states)]
    assert states == STATES[name]
    products = row.production.products([row.chunk])
    assert products.items() <= expected.items()
    n_visits = 2 if name in ("lost", "noticed") else 1
    assert len(products) == n_visits * 3, "image, sources and summary of each visit"
    runs = row.runs()
    assert "twice" not in runs, "two runs of a job at once"
    # A run that did not get a node, or whose node could not start it, never began.
    assert len(runs) == (2 if name in ("lost", "noticed") else 1)


def test_no_instance_is_left_and_every_node_may_be_launched_again(storm: Storm) -> None:
    cluster = storm.cluster
    assert cluster.alive() == []
    cluster.wait_for_rest(5)
    for log in cluster.state.glob("*.log"):
        assert "Traceback" not in log.read_text(), log


def test_slurmctld_looks_up_no_name_of_a_node(storm: Storm) -> None:
    """Each would take it ten seconds, in which it answers nobody."""
    assert "getaddrinfo" not in (storm.cluster.folder / "log" / "slurmctld.log").read_text()


def test_spot_instances_are_taken_back_with_and_without_notice(storm: Storm) -> None:
    for name in ("lost", "noticed"):
        assert len(storm.cluster.ec2.of_pool(name)) == 2
        # By then the first node may be at rest again: another instance takes its name.
        first, second = storm.rows[name].runs()
        assert (first, second) in {(f"{name}-1", f"{name}-1"), (f"{name}-1", f"{name}-2")}
    (notice,) = storm.cluster.events("spot-notice")
    assert notice["node"] == "noticed-1"


def test_without_spot_capacity_a_node_is_bought_on_demand(storm: Storm) -> None:
    assert markets(storm, "dear") == ["spot", "on-demand"]
    assert len(storm.cluster.ec2.of_pool("dear")) == 1


def test_without_any_capacity_another_pool_helps_and_the_first_returns(storm: Storm) -> None:
    rests = [e for e in storm.cluster.events("pool-rests") if e["pool"] in ("iced", "other")]
    (tried,) = {e["pool"] for e in rests}
    (helped,) = {"iced", "other"} - {tried}
    assert {e["code"] for e in rests} == {NO_CAPACITY}
    assert markets(storm, tried) == ["spot", "on-demand"] * len(rests)
    assert storm.cluster.ec2.of_pool(tried) == []
    assert markets(storm, helped) == ["spot"]
    assert storm.rows["iced"].runs() == [f"{helped}-1"]
    assert tried in {e["pool"] for e in storm.cluster.events("pool-returns")}


def test_a_quota_is_told_and_not_run_against(storm: Storm) -> None:
    events = storm.cluster.events("quota-met")
    assert {(e["pool"], e["code"]) for e in events} == {("quota", "VcpuLimitExceeded")}
    # One request for each rest, and at last one that launches.
    assert markets(storm, "quota") == ["spot"] * (len(events) + 1)
    assert len(storm.cluster.ec2.of_pool("quota")) == 1


def test_throttled_requests_launch_once(storm: Storm) -> None:
    assert len(markets(storm, "throttled")) == 4, "three were refused"
    assert len(storm.cluster.ec2.of_pool("throttled")) == 1


def test_a_mistake_is_not_repeated_until_a_person_has_looked(storm: Storm) -> None:
    opened = [e for e in storm.cluster.events("breaker-open") if e["pool"] == "fatal"]
    assert [e["reason"] for e in opened] == ["InvalidAMIID.NotFound"]
    assert storm.launches_while_broken == 1
    assert markets(storm, "fatal") == ["spot", "spot"]


@pytest.mark.parametrize("name", ["dead", "mute"])
def test_a_node_that_does_not_join_is_ended_and_replaced(storm: Storm, name: str) -> None:
    first, second = storm.cluster.ec2.of_pool(name)
    ended = [e for e in storm.cluster.events("node-action") if e["instance"] == first]
    assert any("did not join within" in e["reason"] for e in ended)
    assert all("did not join" not in e["reason"] for e in storm.cluster.events("node-action")
               if e["instance"] == second)  # fmt: skip


@pytest.mark.parametrize("name", ["late", "hidden", "stuck"])
def test_a_node_that_is_only_late_is_waited_for(storm: Storm, name: str) -> None:
    assert len(storm.cluster.ec2.of_pool(name)) == 1
    assert len(markets(storm, name)) == 1


def test_an_instance_that_is_shown_late_is_not_given_up(storm: Storm) -> None:
    (key,) = storm.cluster.ec2.of_pool("hidden")
    launched = next(e for e in storm.cluster.events("launched") if e["instances"] == [key])
    asked = next(e for e in storm.cluster.events("launch-requested") if e["pool"] == "hidden")
    assert seconds(asked["time"], launched["time"]) >= HIDDEN_S
    # Those that were asked for in the same call were not held up.
    others = [e for e in storm.cluster.events("launched") if e["pool"] in ("late", "stuck")]
    assert all(event["time"] < launched["time"] for event in others)


def test_an_instance_that_ec2_does_not_end_is_asked_for_again(storm: Storm) -> None:
    failed = [e for e in storm.cluster.events("action-failed") if e["nodes"] == ["stuck-1"]]
    assert [e["action"] for e in failed] == ["terminate"] * 3


def test_a_node_with_a_full_disk_is_replaced_and_its_job_released(storm: Storm) -> None:
    first, _ = storm.cluster.ec2.of_pool("full")
    (ended,) = [
        e for e in storm.cluster.events("node-action")
        if e["instance"] == first and "SlurmdSpoolDir is full" in e["reason"]
    ]  # fmt: skip
    assert ended["action"] == "terminate_and_power_down"
    assert storm.rows["full"].job in [
        job for e in storm.cluster.events("jobs-released") for job in e["jobs"]
    ]


def test_nothing_is_launched_while_nobody_would_end_it(storm: Storm) -> None:
    assert storm.cluster.events("reaper-silent")
    assert storm.instances_unwatched == []


def test_snakemake_goes_on_after_hunger_time_and_its_own_end(
    storm: Storm, expected: dict[str, str]
) -> None:
    production = storm.workflow
    assert production.products(production.chunks()) == expected
    assert not (production.folder / "twice").exists(), "two jobs at once on a chunk"
    hungry, slow, waiting = production.chunks()
    runs = runs_of_workflow(storm)
    assert [(row["State"], row["ReqMem"]) for row in runs[hungry]] == [
        ("OUT_OF_MEMORY", "714M"),
        ("COMPLETED", "1228M"),
    ]
    assert [(row["State"], row["Timelimit"]) for row in runs[slow]] == [
        ("TIMEOUT", "00:01:00"),
        ("COMPLETED", "00:02:00"),
    ]
    assert [row["State"] for row in runs[waiting]] == ["CANCELLED", "COMPLETED"]


@pytest.mark.skipif(
    not kernel_limits_memory(),
    reason="no control groups of version 1 here: Slurm itself looks at memory, once a second",
)
def test_a_job_that_takes_more_memory_than_it_asked_for_is_killed_by_the_kernel(
    storm: Storm,
) -> None:
    hungry = storm.workflow.chunks()[0]
    assert "OUT_OF_MEMORY" in steps(storm, runs_of_workflow(storm)[hungry][0]["JobIDRaw"])


def markets(storm: Storm, pool: str) -> list[str]:
    """Give the markets that a pool's nodes were asked for on, a request each."""
    return [market for name, market in storm.cluster.ec2.launches if name == pool]


def seconds(begin: str, end: str) -> float:
    """Give the time between two events."""
    times = [datetime.datetime.fromisoformat(text) for text in (begin, end)]
    return (times[1] - times[0]).total_seconds()


def runs_of_workflow(storm: Storm) -> dict[str, list[dict[str, str]]]:
    """Give the runs of the workflow's jobs, by chunk, in their order."""
    fields = ("JobIDRaw", "State", "ReqMem", "Timelimit", "Comment")
    text = storm.cluster.slurm.run(
        "sacct", "-X", "-n", "-P", "--duplicates", f"--format={','.join(fields)}"
    )
    found: dict[str, list[dict[str, str]]] = {}
    for line in text.splitlines():
        row = dict(zip(fields, line.split("|"), strict=True))
        row["State"] = row["State"].split()[0]
        if match := re.fullmatch(r"rule_visit_chunk_wildcards_(.+)", row["Comment"]):
            found.setdefault(match[1], []).append(row)
    return found


def steps(storm: Storm, job: str) -> set[str]:
    """Give the states of a job's steps."""
    text = storm.cluster.slurm.run("sacct", "-n", "-P", f"--jobs={job}", "--format=State")
    return set(text.split())
