"""Elastic nodes on a real Slurm: instances come for jobs, fail, get lost, and always go again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.elastic import ElasticCluster, keep_logs
from tests.cluster.fakes import make_pool
from tests.cluster.slurm_server import missing_programs, wait_until
from tests.conftest import IN_CI

pytestmark = pytest.mark.xdist_group("slurm")

TYPES = ("m7a.xlarge", "m7i.xlarge")
BREAKER_LIMIT = 2
# One for each test that leaves nodes behind, which take their time to be at rest.
POOLS = ("spot", "lost", "noticed", "dear", "other", "empty", "lonely", "headless")


def small(name: str, **changes: object) -> dict[str, object]:
    """A pool of small nodes."""
    return make_pool(name, cpus=2, memory_mb=2000, max_nodes=2, **changes)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticCluster]:
    """A cluster with a pool for each thing that goes wrong."""
    if missing := missing_programs():
        reason = f"a real Slurm needs {', '.join(missing)}; envs/debian.txt names the packages"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    cluster = ElasticCluster(
        *(small(name) for name in POOLS),
        small("dud", fallback="none"),
        boot_timeout_s=10,
        orphan_grace_s=4,
        capacity_cooldown_s=4,
        breaker_limit=BREAKER_LIMIT,
        heartbeat_timeout_s=4,
    )
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.state.exists():
            keep_logs(cluster, tmp_path_factory.mktemp("logs"))
        cluster.stop()


@pytest.fixture
def cluster(running: ElasticCluster) -> Iterator[ElasticCluster]:
    """The cluster at rest, with a market that has everything."""
    running.clear()
    yield running
    running.ec2.market.short.clear()
    running.ec2.market.boots = True
    running.slurm.run("scancel", "--user=root")


def test_a_job_brings_a_node_and_the_node_goes(cluster: ElasticCluster) -> None:
    job = cluster.slurm.submit(
        "srun hostname; echo $SLURMD_NODENAME", "--partition=spot", "--comment=campaign=dr1"
    )
    cluster.wait_for_job(job)
    cluster.wait_for_rest()
    (launched,) = cluster.events("launched")
    assert launched["nodes"] == ["spot-1"]
    assert launched["market"] == "spot"
    (key,) = launched["instances"]
    tags = cluster.ec2.tags(key)
    assert tags["lsstpipe:node"] == "spot-1"
    assert tags["lsstpipe:job"] == str(job)
    assert tags["lsstpipe:campaign"] == "dr1"
    assert tags["lsstpipe:user"] == "root"
    (ready,) = cluster.events("node-ready")
    assert ready["node"] == "spot-1"
    assert cluster.slurm.output(job).splitlines()[-1] == "spot-1"
    assert cluster.slurm.job_states(job) == ["COMPLETED"]
    assert cluster.events("launch-failed") == []


def test_what_the_spot_market_takes_runs_again_elsewhere(cluster: ElasticCluster) -> None:
    first = cluster.folder / "first"
    job = cluster.slurm.submit(
        f"[ -e {first} ] || {{ touch {first}; sleep 300; }}", "--partition=lost"
    )
    wait_until(first.exists, "the job runs", 60)
    (key,) = cluster.alive()
    cluster.ec2.lose(key)
    cluster.wait_for_job(job, timeout_s=90)
    assert cluster.slurm.job_states(job) == ["NODE_FAIL", "COMPLETED"]
    actions = [e for e in cluster.events("node-action") if e["instance"] == key]
    assert actions[0]["action"] == "down"
    assert "SpotInstanceTermination" in actions[0]["reason"]
    assert len({i for e in cluster.events("launched") for i in e["instances"]}) == 2


def test_a_notice_of_the_spot_market_empties_the_node(cluster: ElasticCluster) -> None:
    first = cluster.folder / "noticed"
    job = cluster.slurm.submit(
        f"[ -e {first} ] || {{ touch {first}; sleep 300; }}", "--partition=noticed"
    )
    wait_until(first.exists, "the job runs", 60)
    (key,) = cluster.alive()
    cluster.ec2.give_notice(key)
    cluster.wait_for_job(job, timeout_s=90)
    assert cluster.slurm.job_states(job) == ["REQUEUED", "COMPLETED"]
    (notice,) = cluster.events("spot-notice")
    assert (cluster.folder / "machines" / key / "unmounted").exists()
    assert key not in cluster.alive(), "a node that is drained and empty is ended"
    assert cluster.events("launched")[-1]["nodes"] != [notice["node"]]


def test_without_spot_capacity_the_node_is_bought_on_demand(cluster: ElasticCluster) -> None:
    cluster.ec2.market.short |= {(name, "spot") for name in TYPES}
    job = cluster.slurm.submit("true", "--partition=dear")
    (ready,) = wait_until(lambda: cluster.events("node-ready"), "a node")
    (launched,) = cluster.events("launched")
    assert launched["market"] == "on-demand"
    assert {e["code"] for e in cluster.events("launch-failed")} == {"InsufficientInstanceCapacity"}
    assert ready["node"] == "dear-1"
    assert cluster.slurm.node_of(job) == "dear-1"


def test_one_type_without_capacity_is_passed_over(cluster: ElasticCluster) -> None:
    cluster.ec2.market.short.add((TYPES[0], "spot"))
    cluster.slurm.submit("true", "--partition=other")
    wait_until(lambda: cluster.events("node-ready"), "a node")
    (instance,) = cluster.ec2.instances()
    assert instance.instance_type == TYPES[1]
    assert cluster.events("launched")[0]["market"] == "spot"
    assert cluster.events("pool-rests") == []


def test_a_pool_without_any_capacity_rests_and_comes_back(cluster: ElasticCluster) -> None:
    cluster.ec2.market.short |= {(n, m) for n in TYPES for m in ("spot", "on-demand")}
    job = cluster.slurm.submit("true", "--partition=empty")
    (rest,) = wait_until(lambda: cluster.events("pool-rests"), "rest")
    assert rest["code"] == "InsufficientInstanceCapacity"
    assert cluster.alive() == []
    cluster.ec2.market.short.clear()
    wait_until(lambda: cluster.events("pool-returns"), "the pool is back")
    wait_until(cluster.alive, "an instance", 60)
    wait_until(lambda: cluster.events("node-ready"), "a node")
    assert cluster.slurm.node_of(job).startswith("empty-")
    assert cluster.slurm.job_states(job)[0] == "NODE_FAIL"


def test_nodes_that_never_boot_open_the_breaker(cluster: ElasticCluster) -> None:
    cluster.ec2.market.boots = False
    job = cluster.slurm.submit("true", "--partition=dud")
    wait_until(lambda: cluster.events("breaker-open"), "breaker", 90)
    wait_until(lambda: len(cluster.boot_failures()) == BREAKER_LIMIT, "all failures are told")
    n_launched = len(cluster.events("launched"))
    assert n_launched == BREAKER_LIMIT
    # Another job asks in vain, though instances would boot again.
    cluster.ec2.market.boots = True
    wait_until(lambda: not cluster.alive(), "all instances ended")
    before = len(cluster.events("launch-refused"))
    wait_until(lambda: len(cluster.events("launch-refused")) > before, "refused", 60)
    assert len(cluster.events("launched")) == n_launched
    assert cluster.alive() == []
    cluster.run("close-breaker", "dud")
    cluster.wait_for_job(job, timeout_s=90)


def test_nothing_is_launched_while_nobody_would_end_it(cluster: ElasticCluster) -> None:
    cluster.stop_reaper()
    try:
        wait_until(lambda: cluster.silence_of_reaper_s() > 4.5, "silence")
        job = cluster.slurm.submit("true", "--partition=spot")
        (silent,) = wait_until(lambda: cluster.events("reaper-silent"), "reaper-silent")
        assert silent["nodes"] == ["spot-1"]
        assert cluster.alive() == []
    finally:
        cluster.slurm.run("scancel", "--user=root")
        cluster.start_reaper()
    assert cluster.slurm.job_states(job)[-1].startswith("CANCELLED")


def test_unknown_ids_and_foreign_nodes_are_left_alone(cluster: ElasticCluster) -> None:
    from lsstpipe.cluster.fleet import TAG_CLUSTER, TAG_NODE, TAG_ROLE

    tags = {TAG_CLUSTER: "another", TAG_ROLE: "compute", TAG_NODE: "spot-1"}
    image = cluster.ec2.client.describe_images()["Images"][0]["ImageId"]
    foreign = cluster.ec2.client.run_instances(
        ImageId=image, MinCount=1, MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        ],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    try:
        assert cluster.run("suspend", "spot-1,login-7") == ""
        cluster.run("resume", "login-7", "--event", "foreign")
        assert [e["nodes"] for e in cluster.events("foreign-node")] == [["login-7"], ["login-7"]]
        n = len(cluster.events("reconciled"))
        wait_until(lambda: len(cluster.events("reconciled")) > n + 6, "reconcile goes on")
        assert cluster.alive() == [foreign]
        own = cluster.ec2_client()
        own.terminate(["i-0123456789abcdef0", foreign])
        assert cluster.alive() == [foreign]
    finally:
        cluster.ec2.client.terminate_instances(InstanceIds=[foreign])


def test_an_instance_that_is_no_nodes_is_ended(cluster: ElasticCluster) -> None:
    from lsstpipe.cluster.fleet import Launch, make_request

    pool = cluster.cluster.pools[0]
    launch = Launch(pool, "spot", ("spot-1",), None, "nobody")
    client = cluster.ec2_client()
    request = make_request(cluster.cluster, launch)
    (key,) = client.launch(request).instance_ids
    assert client.launch(request).instance_ids == (key,), "the same token launches once"
    wait_until(lambda: cluster.events("orphan-ended"), "the orphan is ended")
    assert cluster.alive() == []


def test_a_controller_that_was_away_finds_its_nodes(cluster: ElasticCluster) -> None:
    job = cluster.slurm.submit("sleep 1", "--partition=lonely")
    wait_until(lambda: cluster.events("node-ready"), "a node")
    cluster.slurm.stop_controller()
    (key,) = cluster.alive()
    wait_until(lambda: cluster.silence_of_reaper_s() > 2, "reconcile has nobody to ask")
    cluster.slurm.start_controller()
    cluster.wait_for_job(job, timeout_s=90)
    assert cluster.slurm.job_states(job) == ["COMPLETED"]
    assert [i for e in cluster.events("launched") for i in e["instances"]] == [key]


def test_a_node_without_its_head_ends_itself(cluster: ElasticCluster) -> None:
    cluster.slurm.submit("true", "--partition=headless")
    wait_until(lambda: cluster.events("node-ready"), "a node")
    cluster.slurm.stop_controller()
    try:
        wait_until(lambda: not cluster.alive(), "the node ends itself", 40)
    finally:
        cluster.slurm.start_controller()
    assert "silent" in cluster.events("node-ended")[0]["reason"]


def test_events_are_in_order_and_whole(running: ElasticCluster) -> None:
    """Lines of several processes do not mix."""
    times = [e["time"] for e in running.events("reconciled")]
    assert all(a <= b for a, b in pairwise(times))


def test_the_host_has_no_trace_of_it(running: ElasticCluster) -> None:
    assert not Path("/etc/slurm/slurm.conf").exists()
