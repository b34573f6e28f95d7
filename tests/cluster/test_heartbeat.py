"""A sign of life is heard once, by files and by S3 alike."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from lsstpipe.cluster.heartbeat import SharedHeartbeat
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
