"""A sign of life is heard once, by files and by S3 alike."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.cluster.head_files import _KEY_BYTES
from lsstpipe.cluster.heartbeat import MOST_BYTES, SHARE_EVERY_S, SharedHeartbeat
from lsstpipe.cluster.node_agent import NodeSettings
from lsstpipe.errors import TemporaryError
from tests.fault_proxy import first
from tests.s3_server import S3Server


@pytest.fixture(params=["file", "s3"])
def place(
    request: pytest.FixtureRequest,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Where a sign of life can be shared."""
    if request.param == "file":
        return str(tmp_path / "shared" / "heartbeat")
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.make_bucket(f"config-{uuid.uuid4()}") + "/clusters/survey/heartbeat"


def test_each_sign_of_life_is_new_once(place: str) -> None:
    reaper, node = SharedHeartbeat(place), SharedHeartbeat(place)
    for beat in ("1.0\n", "2.0\n", "1.5\n"):  # a clock may be set back
        reaper.give(beat)
        assert node.is_new()
        assert not node.is_new()


def test_a_sign_of_life_is_given_again_only_when_the_last_one_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("lsstpipe.cluster.heartbeat.time.monotonic", lambda: now[0])
    place = tmp_path / "heartbeat"
    reaper = SharedHeartbeat(str(place), every_s=120)
    given = []
    for i in range(9):  # each 30 s, as the reaper looks
        reaper.give(f"{i}\n")
        given.append(int(place.read_text()))
        now[0] += 30
    assert given == [0, 0, 0, 0, 4, 4, 4, 4, 8]


def test_a_sign_of_life_that_could_not_be_given_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    reaper = SharedHeartbeat(str(tmp_path / "folder" / "heartbeat"), every_s=1e6)
    with pytest.raises(TemporaryError):
        reaper.give("1.0")
    (tmp_path / "folder").unlink()
    reaper.give("2.0")
    assert (tmp_path / "folder" / "heartbeat").read_text() == "2.0"


def test_only_a_sign_of_life_is_so_small_that_the_bucket_forgets_its_old_versions_soon() -> None:
    modules = Path(__file__).parents[2] / "terraform" / "modules"
    rules = (modules / "buckets" / "lifecycle.tf").read_text()
    (limit,) = (int(size) for size in re.findall(r"object_size_less_than += (\d+)", rules))
    assert len(f"{time.time()}\n") <= MOST_BYTES < limit
    # What else lies there: the smallest file of the configuration, and the key.
    assert limit <= (modules / "slurm_config" / "cgroup.conf").stat().st_size
    assert limit <= _KEY_BYTES


def test_nodes_bear_several_signs_of_life_that_are_lost(tmp_path: Path) -> None:
    settings = NodeSettings("head", tmp_path / "events.jsonl")
    # It looks each minute, and hears a sign that came just after a look at the next.
    assert 3 * SHARE_EVERY_S + settings.listen_s < settings.silence_s


def test_the_reaper_shares_as_rarely_as_its_help_says(tmp_path: Path) -> None:
    said = CliRunner().invoke(cli, ["cluster", "reconcile", "--help"]).output
    assert f"[default: {SHARE_EVERY_S:.0f}]" in " ".join(said.split())


def test_where_there_never_was_one_nobody_can_tell(place: str) -> None:
    with pytest.raises(TemporaryError, match=f"No sign of life at {place}"):
        SharedHeartbeat(place).is_new()


@pytest.mark.parametrize(
    "call", [SharedHeartbeat.is_new, lambda heartbeat: heartbeat.give("2.0")], ids=["take", "give"]
)
def test_a_server_that_fails_is_no_sign_of_life(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, call: Callable[[SharedHeartbeat], object]
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    heartbeat = SharedHeartbeat(s3_server.make_bucket(f"config-{uuid.uuid4()}") + "/heartbeat")
    heartbeat.give("1.0")
    assert heartbeat.is_new()
    s3_server.plan.clear()
    s3_server.plan.rule = first(99, "503")
    try:
        with pytest.raises(TemporaryError, match=r"ServiceUnavailable|SlowDown"):
            call(heartbeat)
        assert len(s3_server.plan.requests) == 2  # it does not insist
    finally:
        s3_server.plan.clear()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TemporaryError, match="No sign of life"):
        SharedHeartbeat(str(tmp_path / "file" / "heartbeat")).give("1.0")
