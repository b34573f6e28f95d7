"""Decisions that a real Slurm has taught."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.decide import Act
from lsstpipe.cluster.ec2 import Ec2Client
from lsstpipe.cluster.errors import ErrorClass, classify
from lsstpipe.cluster.fleet import Job, Launch, make_request
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.slurm import read_resume_file
from lsstpipe.cluster.suspend import suspend
from lsstpipe.errors import TemporaryError
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_settings

IDS = ["i-0000000000000000a", "i-0000000000000000b"]
BEGUN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_an_instance_of_an_earlier_life_does_not_speak_for_a_node_that_boots(
    tmp_path: Path,
) -> None:
    head = make_head(tmp_path)
    slurm, ec2 = head.slurm, head.ec2
    assert isinstance(slurm, FakeSlurm)
    assert isinstance(ec2, FakeEc2)
    resume(head, "spot-1", [], "first")
    slurm.set_state(["spot-1"], "power_down")
    suspend(head, "spot-1")
    # Slurm powers it up again; reconcile looks before resume has launched anything.
    slurm.set_state(["spot-1"], "power_up")
    assert reconcile(head) == []
    resume(head, "spot-1", [], "second")
    assert reconcile(head) == []
    ec2.lose(ec2.alive()[0].id)
    (decision,) = reconcile(head)
    assert decision.action.act is Act.DOWN


def test_a_node_that_slurm_itself_gave_up_counts_as_one_that_did_not_boot(tmp_path: Path) -> None:
    head = make_head(tmp_path)
    assert isinstance(head.slurm, FakeSlurm)
    head.slurm.flags["spot-1"] = frozenset({"DOWN", "CLOUD", "POWERED_DOWN"})
    head.slurm.reasons["spot-1"] = "ResumeTimeout reached"
    (decision,) = reconcile(head)
    assert decision.action.act is Act.RESUME
    with head.state.hold() as state:
        assert state.boot_failures == {"spot": 1}


def test_what_slurm_refuses_for_some_nodes_is_done_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make_head(tmp_path)
    slurm = head.slurm
    assert isinstance(slurm, FakeSlurm)
    for name, reason in (("spot-1", "bad disk"), ("spot-2", "bad fan")):
        slurm.flags[name] = frozenset({"DOWN", "CLOUD"})
        slurm.reasons[name] = reason
    set_state = slurm.set_state

    def refuse(names: Sequence[str], state: str, reason: str = "") -> None:
        if "spot-1" in names:
            raise TemporaryError("scontrol update failed: Invalid node state specified")
        set_state(names, state, reason)

    monkeypatch.setattr(slurm, "set_state", refuse)
    reconcile(head)
    assert "POWERED_DOWN" in slurm.flags["spot-2"]
    assert "action-failed" in (tmp_path / "events.jsonl").read_text()
    assert head.state.silence_s(head.now()) == 0, "and there is a sign of life"


def test_errors_of_ec2_are_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.stub import Stubber

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "only-for-a-test")
    client = Ec2Client("test", "us-east-1")
    with Stubber(client._client) as stub:
        stub.add_client_error("describe_instances", "UnauthorizedOperation", "You are not allowed.")
        with pytest.raises(TemporaryError, match=r"does not show its instances: .*not allowed"):
            client.instances()
        stub.add_client_error("create_fleet", "VcpuLimitExceeded", "Too many.")
        ((code, _),) = client.launch({"Type": "instant"}).errors
        assert classify(code) is ErrorClass.FATAL, "what is wrong is not asked again"
        cluster = Cluster.model_validate(make_settings())
        request = make_request(cluster, Launch(cluster.pools[0], "spot", ("spot-1",), None, "1"))
        assert client.launch(request).errors == (("VcpuLimitExceeded", "Too many."),)
        # EC2 ends none where it does not know one: the rest is asked for again.
        known = [
            {"InstanceId": key, "State": {"Name": "running"}, "LaunchTime": BEGUN} for key in IDS
        ]
        stub.add_response("describe_instances", {"Reservations": [{"Instances": known}]})
        message = f"The instance ID '{IDS[0]}' does not exist"
        for ids in (IDS, IDS[:1]):
            asked = {"InstanceIds": ids}
            gone = "InvalidInstanceID.NotFound"
            stub.add_client_error("terminate_instances", gone, message, expected_params=asked)
        stub.add_response("terminate_instances", {}, {"InstanceIds": [IDS[1]]})
        assert client.terminate(IDS) == []
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "row",
    [
        # Slurm 22.05, as a real one wrote it, and later ones.
        {"job_id": 7, "nodes": "spot-[1-2]"},
        {"job_id": 7, "nodes_alloc": "spot-[1-2]", "nodes_resume": "spot-[1-2]"},
    ],
)
def test_resume_files_of_all_versions_are_read(row: dict[str, object]) -> None:
    (wanted,) = read_resume_file(json.dumps({"jobs": [row]}).encode())
    assert wanted.job == Job(7, n_nodes=2)
    assert wanted.nodes == ("spot-1", "spot-2")
