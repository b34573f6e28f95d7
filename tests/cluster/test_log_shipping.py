"""Logs arrive at CloudWatch Logs: all of them, once, within what AWS takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lsstpipe.cluster.imds import Imds
from lsstpipe.cluster.log_shipping import (
    Shipper,
    head_sources,
    node_sources,
    node_stream,
    open_logs,
    ship_until,
)
from lsstpipe.cluster.log_sources import LogFile
from lsstpipe.errors import RepositoryError, TemporaryError
from tests.fault_proxy import first
from tests.s3_server import S3Server

GROUP = "/lsstpipe/survey"
NOW = 1_795_755_600.0


class Logs:
    """CloudWatch Logs with the rules of PutLogEvents, and streams that are there."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.poison = "never"

    def put_log_events(self, logEvents: list[dict[str, Any]], **_: str) -> dict[str, Any]:  # noqa: N803
        times = [row["timestamp"] for row in logEvents]
        sizes = [len(row["message"].encode()) for row in logEvents]
        is_fine = (
            1 <= len(logEvents) <= 10_000
            and sum(sizes) + 26 * len(sizes) <= 1_048_576
            and min(sizes) >= 1
            and max(sizes) <= 262_144
            and times == sorted(times)
            and times[-1] - times[0] < 86_400_000
            and not any(self.poison in row["message"] for row in logEvents)
        )
        if not is_fine:
            raise ClientError({"Error": {"Code": "InvalidParameterException"}}, "PutLogEvents")
        self.batches.append(logEvents)
        return {}

    @property
    def messages(self) -> list[str]:
        return [row["message"] for batch in self.batches for row in batch]


def shipper(client: Any, folder: Path) -> Shipper:
    sources = {"slurm": [LogFile("slurmctld", folder / "slurmctld.log")]}
    return Shipper(client, GROUP, "head", sources, folder / "shipped.json", lambda: NOW)


def test_batches_keep_to_the_limits_of_aws(tmp_path: Path) -> None:
    lines = [f"line {i}" for i in range(25_000)] + ["é" * 30_000] * 60
    (tmp_path / "slurmctld.log").write_text("".join(f"{line}\n" for line in lines))
    logs = Logs()
    assert shipper(logs, tmp_path).ship() == len(lines)
    assert logs.messages == lines
    assert len(logs.batches) > 5


def test_a_batch_spans_less_than_a_day_and_no_line_is_older_than_aws_takes(tmp_path: Path) -> None:
    stamps = [f"[2026-11-{day:02d}T{hour:02d}:00:00.000] a" for day in (1, 20, 25, 26)
              for hour in (0, 6, 12, 18)]  # fmt: skip
    (tmp_path / "slurmctld.log").write_text("\n".join(stamps) + "\n")
    logs = Logs()
    shipper(logs, tmp_path).ship()
    assert logs.messages == stamps
    times = [row["timestamp"] / 1000 for batch in logs.batches for row in batch]
    assert min(times) >= NOW - 14 * 86_400
    assert max(times) <= NOW


def test_lines_of_a_clock_that_was_set_back_go_in_order(tmp_path: Path) -> None:
    text = "[2026-11-26T05:00:01.000] b\n[2026-11-26T05:00:00.000] a\n"
    (tmp_path / "slurmctld.log").write_text(text)
    logs = Logs()
    shipper(logs, tmp_path).ship()
    assert [message[-1] for message in logs.messages] == ["a", "b"]


def test_a_line_that_aws_never_takes_holds_no_other_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "slurmctld.log").write_text("".join(f"{i}\n" for i in range(9)) + "poison\nlast\n")
    logs = Logs()
    logs.poison = "poison"
    own = shipper(logs, tmp_path)
    own.ship()
    assert logs.messages == [*map(str, range(9)), "last"]
    assert "takes no line like poison" in caplog.text
    assert own.ship() == 0


@pytest.fixture
def cloud(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """CloudWatch Logs with the groups of a cluster."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("logs", region_name="us-east-1")
    for kind in ("events", "slurm", "system"):
        client.create_log_group(logGroupName=f"{GROUP}/{kind}")
    yield client
    s3_server.plan.clear()
    for kind in ("events", "slurm", "system"):
        client.delete_log_group(logGroupName=f"{GROUP}/{kind}")
    client.close()


def streams(client: Any, kind: str) -> dict[str, list[str]]:
    """The messages of each stream of a group."""
    rows = client.filter_log_events(logGroupName=f"{GROUP}/{kind}")["events"]
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["logStreamName"], []).append(row["message"])
    return found


def test_logs_go_to_the_group_of_their_kind_and_to_a_stream_of_the_machine(
    cloud: Any, tmp_path: Path
) -> None:
    logs = tmp_path / "log"
    (logs / "slurm").mkdir(parents=True)
    (tmp_path / "events.jsonl").write_text('{"event": "reconciled"}\n')
    (logs / "slurm" / "slurmctld.log").write_text("up\n")
    (logs / "slurm" / "slurmd.log").write_text("a job\n")
    (logs / "lsstpipe").mkdir()
    (logs / "lsstpipe" / "node.jsonl").write_text('{"event": "node-ready"}\n')
    for stream, sources in (
        ("head", head_sources(tmp_path, logs)), ("compute/spot-7/i-0a", node_sources(logs)),
    ):  # fmt: skip
        files = {kind: own for kind, own in sources.items() if kind != "system"}
        memory = tmp_path / f"{stream[:4]}.json"
        Shipper(cloud, GROUP, stream, files, memory).ship()
    assert streams(cloud, "events") == {
        "head/events": ['{"event": "reconciled"}'],
        "compute/spot-7/i-0a/events": ['{"event": "node-ready"}'],
    }
    assert streams(cloud, "slurm") == {
        "head/slurmctld": ["up"], "compute/spot-7/i-0a/slurmd": ["a job"],
    }  # fmt: skip


def test_a_new_start_sends_nothing_twice(cloud: Any, tmp_path: Path) -> None:
    path = tmp_path / "slurmctld.log"
    path.write_text("one\n")
    assert shipper(cloud, tmp_path).ship() == 1
    with path.open("a") as file:
        file.write("two\n")
    assert shipper(cloud, tmp_path).ship() == 1
    assert shipper(cloud, tmp_path).ship() == 0
    assert streams(cloud, "slurm") == {"head/slurmctld": ["one", "two"]}


def test_what_aws_does_not_take_waits_and_other_logs_go_on(
    cloud: Any, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slurmctld.log").write_text("one\n")
    own = shipper(open_logs("us-east-1"), tmp_path)
    s3_server.plan.rule = first(99, "503")
    with pytest.raises(TemporaryError, match="slurmctld: "):
        own.ship()
    assert not (tmp_path / "shipped.json").exists()
    s3_server.plan.clear()
    # A group that is absent is no reason either to forget a line.
    own.sources = {"none": [LogFile("a", tmp_path / "slurmctld.log")], **own.sources}
    with pytest.raises(TemporaryError, match=r"a: .*ResourceNotFoundException"):
        own.ship()
    assert streams(cloud, "slurm") == {"head/slurmctld": ["one"]}
    own.client.close()


def test_a_crash_before_the_memory_is_written_repeats_one_batch_alone(
    cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slurmctld.log"
    path.write_text("one\n")
    shipper(cloud, tmp_path).ship()
    with path.open("a") as file:
        file.write("two\n")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lsstpipe.cluster.log_shipping.write_atomically", crash)
        with pytest.raises(KeyboardInterrupt):
            shipper(cloud, tmp_path).ship()
    shipper(cloud, tmp_path).ship()
    assert streams(cloud, "slurm") == {"head/slurmctld": ["one", "two", "two"]}


@pytest.mark.parametrize("content", [b"", b"[1]", b"7", b"\xff"])
def test_a_memory_that_cannot_be_read_is_none(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "slurmctld.log").write_text("one\n")
    (tmp_path / "shipped.json").write_bytes(content)
    logs = Logs()
    own = shipper(logs, tmp_path)
    assert [own.ship(), own.ship(), shipper(logs, tmp_path).ship()] == [1, 0, 0]
    assert logs.messages == ["one"]
    assert caplog.text.count("does not say what was sent") == 1


def test_where_the_memory_cannot_be_written_lines_go_once_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("slurmctld", "slurmdbd"):
        (tmp_path / f"{name}.log").write_text(f"{name} 1\n")
    (tmp_path / "shipped.json").mkdir()  # nothing takes its place
    logs = Logs()
    own = shipper(logs, tmp_path)
    names = ("slurmctld", "slurmdbd")
    own.sources = {"slurm": [LogFile(name, tmp_path / f"{name}.log") for name in names]}
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    ship_until(stop, lambda _: own, 0.01)
    with (tmp_path / "slurmctld.log").open("a") as file:
        file.write("slurmctld 2\n")
    assert own.ship() == 1
    assert logs.messages == ["slurmctld 1", "slurmdbd 1", "slurmctld 2"]
    assert caplog.text.count("would be sent again after a restart") == 1

    (tmp_path / "shipped.json").rmdir()
    assert own.ship() == 0, "there is room again, and nothing new"
    assert set(json.loads((tmp_path / "shipped.json").read_bytes())) == set(names)


class Broken:
    """A log that cannot be read."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, position: object) -> Iterator[Any]:
        raise self.error


@pytest.mark.parametrize("error", [RepositoryError("it is not there"), PermissionError(13, "no")])
def test_a_log_that_cannot_be_read_does_not_stop_the_others(
    error: Exception, tmp_path: Path
) -> None:
    (tmp_path / "slurmctld.log").write_text("one\n")
    logs = Logs()
    own = shipper(logs, tmp_path)
    own.sources = {"system": [Broken(error)], **own.sources}
    with pytest.raises(TemporaryError, match="broken: "):
        own.ship()
    assert logs.messages == ["one"]


class WithoutStreams(Logs):
    """CloudWatch Logs where a stream is there for who makes it, and not for who writes to it."""

    n_requests = 0

    def put_log_events(self, logEvents: list[dict[str, Any]], **_: str) -> dict[str, Any]:  # noqa: N803
        self.n_requests += 1
        raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "PutLogEvents")

    def create_log_stream(self, **_: str) -> None:
        self.n_requests += 1
        raise ClientError(
            {"Error": {"Code": "ResourceAlreadyExistsException"}}, "CreateLogStream"
        )  # fmt: skip


def test_a_stream_that_stays_absent_is_made_once_a_look(tmp_path: Path) -> None:
    (tmp_path / "slurmctld.log").write_text("one\n")
    logs = WithoutStreams()
    own = shipper(logs, tmp_path)
    for n_requests in (3, 6):
        with pytest.raises(TemporaryError, match="ResourceNotFoundException"):
            own.ship()
        assert logs.n_requests == n_requests


class Metadata(Imds):
    """A metadata service that knows some things."""

    def __init__(self, known: dict[str, str]) -> None:
        super().__init__()
        self.known = known

    def get(self, path: str) -> str | None:
        if not self.known:
            raise TemporaryError("it does not answer")
        return self.known.get(path.removeprefix("meta-data/"))


def test_a_node_waits_for_its_name_unless_it_ends() -> None:
    named = {"instance-id": "i-0a", "tags/instance/lsstpipe:node": "spot-7"}
    assert node_stream(Metadata(named), needs_name=True) == "compute/spot-7/i-0a"
    for known in ({}, {"instance-id": "i-0a"}):
        assert node_stream(Metadata(known), needs_name=True) is None
    assert node_stream(Metadata({"instance-id": "i-0a"}), needs_name=False) == (
        "compute/unnamed/i-0a"
    )
    assert node_stream(Metadata({}), needs_name=False) == "compute/unnamed/unknown"


def test_it_looks_once_more_when_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "slurmctld.log").write_text("one\n")
    logs, stop, asked = Logs(), threading.Event(), []

    def find(is_last: bool) -> Shipper | None:
        asked.append(is_last)
        stop.set()  # while it waits for its name
        return shipper(logs, tmp_path) if is_last else None

    ship_until(stop, find, 60.0)
    assert asked == [False, True]
    assert logs.messages == ["one"]


def test_the_service_sends_what_was_written_until_it_was_told_to_end(
    cloud: Any, tmp_path: Path
) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / "events.jsonl").write_text('{"event": "reconciled"}\n')
    words = [
        "cluster", "ship-logs", "head", "--cluster", "survey", "--region", "us-east-1",
        "--state", str(tmp_path), "--logs", str(tmp_path), "--every", "600",
    ]  # fmt: skip
    service = subprocess.Popen(
        [sys.executable, "-c", "from lsstpipe.cli.main import main; main()", *words],
        env=os.environ | {"PATH": "/none"},  # no journal
    )
    ends = time.monotonic() + 60
    while not (tmp_path / "shipped.json").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    (tmp_path / "slurm" / "slurmctld.log").write_text("the last word\n")
    service.send_signal(signal.SIGTERM)
    assert service.wait(60) == 0
    assert streams(cloud, "slurm") == {"head/slurmctld": ["the last word"]}
    assert set(json.loads((tmp_path / "shipped.json").read_bytes())) == {"events", "slurmctld"}
