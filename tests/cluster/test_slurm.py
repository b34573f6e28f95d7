"""Elastic nodes on a real Slurm: instances come for jobs, fail, get lost, and always go again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.conftest import BREAKER_LIMIT, TYPES
from tests.cluster.elastic import ElasticCluster
from tests.cluster.slurm_server import wait_until

pytestmark = pytest.mark.xdist_group("slurm")


def test_a_job_brings_a_node_and_the_node_goes(cluster: ElasticCluster) -> None:
    job = cluster.slurm.submit(
        "srun hostname; echo $SLURMD_NODENAME", "--partition=spot", "--comment=campaign=dr1"
    )
    (ready,) = wait_until(lambda: cluster.events("node-ready"), "a node")
    assert ready["node"] == "spot-1"
    (launched,) = cluster.events("launched")
    (key,) = launched["instances"]
    # The controller is away for a while: it finds node and job again.
    cluster.slurm.stop_controller()
    wait_until(lambda: cluster.silence_of_reaper_s() > 2, "reconcile has nobody to ask")
    cluster.slurm.start_controller()
    cluster.wait_for_job(job)
    cluster.wait_for_rest()
    assert launched["nodes"] == ["spot-1"]
    assert launched["market"] == "spot"
    tags = cluster.ec2.tags(key)
    assert tags["lsstpipe:node"] == "spot-1"
    assert tags["lsstpipe:job"] == str(job)
    assert tags["lsstpipe:campaign"] == "dr1"
    assert tags["lsstpipe:user"] == "root"
    assert cluster.slurm.output(job).splitlines()[-1] == "spot-1"
    assert cluster.slurm.job_states(job) == ["COMPLETED"]
    assert len(cluster.events("launched")) == 1
    assert cluster.events("launch-failed") == []


def test_what_the_spot_market_takes_runs_again_elsewhere(cluster: ElasticCluster) -> None:
    jobs, keys = {}, {}
    for pool in ("lost", "noticed"):
        first = cluster.folder / pool
        script = f"[ -e {first} ] || {{ touch {first}; sleep 300; }}"
        jobs[pool] = cluster.slurm.submit(script, f"--partition={pool}")
    for pool in jobs:
        wait_until((cluster.folder / pool).exists, f"the job in {pool} runs", 60)
    for event in cluster.events("launched"):
        keys[event["pool"]] = event["instances"][0]
    cluster.ec2.lose(keys["lost"])
    cluster.ec2.give_notice(keys["noticed"])
    for job in jobs.values():
        cluster.wait_for_job(job, timeout_s=90)
    assert cluster.slurm.job_states(jobs["lost"]) == ["NODE_FAIL", "COMPLETED"]
    assert cluster.slurm.job_states(jobs["noticed"]) == ["REQUEUED", "COMPLETED"]
    down = next(e for e in cluster.events("node-action") if e["instance"] == keys["lost"])
    assert down["action"] == "down"
    assert "SpotInstanceTermination" in down["reason"]
    (notice,) = cluster.events("spot-notice")
    assert notice["node"] == "noticed-1"
    assert (cluster.folder / "machines" / keys["noticed"] / "unmounted").exists()
    assert keys["noticed"] not in cluster.alive(), "a node that is drained and empty is ended"
    nodes = [n for e in cluster.events("launched") for n in e["nodes"]]
    assert sorted(nodes) == ["lost-1", "lost-2", "noticed-1", "noticed-2"]


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
    cluster.ec2.market.boots = True
    wait_until(lambda: not cluster.alive(), "all instances ended")
    # The nodes are held, so Slurm does not ask again; whoever asks does so in vain, though
    # instances would boot again.
    states = ("sinfo", "--noheader", "--partition=dud", "--format=%T")
    wait_until(lambda: cluster.slurm.run(*states).split() == ["down~"], "all nodes are held", 180)
    before = len(cluster.events("launch-refused"))
    cluster.run("resume", "dud-1", "--event", "by-hand")
    assert len(cluster.events("launch-refused")) == before + 1
    assert len(cluster.events("launched")) == n_launched
    assert cluster.alive() == []
    assert cluster.slurm.job_states(job)[0] == "NODE_FAIL"
    cluster.run("close-breaker", "dud")
    wait_until(lambda: len(cluster.events("node-ready")) == 1, "the pool launches again", 60)


def test_nothing_is_launched_while_nobody_would_end_it(cluster: ElasticCluster) -> None:
    cluster.stop_reaper()
    try:
        wait_until(lambda: cluster.silence_of_reaper_s() > 6.5, "silence")
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


def test_a_node_without_its_head_ends_itself(cluster: ElasticCluster) -> None:
    cluster.slurm.submit("true", "--partition=headless")
    wait_until(lambda: cluster.events("node-ready"), "a node")
    cluster.slurm.stop_controller()
    try:
        wait_until(lambda: not cluster.alive(), "the node ends itself", 40)
    finally:
        cluster.slurm.start_controller()
    assert "silent" in cluster.events("node-ended")[0]["reason"]


def test_what_would_cost_too_much_is_refused_and_the_user_is_told(cluster: ElasticCluster) -> None:
    job = cluster.slurm.submit("true", "--partition=poor")
    (refused,) = wait_until(lambda: cluster.events("launch-refused"), "refused")
    assert "may cost 0.01 USD an hour" in refused["reason"]
    shown = wait_until(lambda: cluster.slurm.admin_comment(job), "the job is told")
    assert shown == f"not launched: {refused['reason']}"
    assert cluster.alive() == []


def test_the_nodes_of_one_job_are_launched_at_once(cluster: ElasticCluster) -> None:
    job = cluster.slurm.submit("srun hostname", "--partition=wide", "--nodes=2")
    wait_until(lambda: len(cluster.events("node-ready")) == 2, "both nodes")
    (launched,) = cluster.events("launched")
    assert launched["nodes"] == ["wide-1", "wide-2"]
    assert {cluster.ec2.tags(key)["lsstpipe:job"] for key in cluster.alive()} == {str(job)}


def test_events_are_in_order_and_whole(running: ElasticCluster) -> None:
    """Lines of several processes do not mix."""
    times = [e["time"] for e in running.events("reconciled")]
    assert all(a <= b for a, b in pairwise(times))
    for log in running.state.glob("*.log"):
        assert "Traceback" not in log.read_text(), log


def test_the_host_has_no_trace_of_it(running: ElasticCluster) -> None:
    assert not Path("/etc/slurm/slurm.conf").exists()
