"""What a node does by itself; with a real Slurm it is tested in `test_slurm`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from lsstpipe.cluster.heartbeat import SharedHeartbeat
from lsstpipe.cluster.imds import Imds
from lsstpipe.cluster.node_agent import NodeSettings, run_node
from lsstpipe.errors import TemporaryError


class Metadata(BaseHTTPRequestHandler):
    """A metadata service that takes each token for a number of times."""

    uses: ClassVar[int] = 1
    tags: ClassVar[dict[str, str]] = {}
    tokens: ClassVar[list[int]] = []

    def do_PUT(self) -> None:
        life = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        if life is None or self.path != "/latest/api/token":
            self.answer(400, "")
            return
        self.tokens.append(self.uses)
        self.answer(200, str(len(self.tokens) - 1))

    def do_GET(self) -> None:
        token = int(self.headers.get("X-aws-ec2-metadata-token") or -1)
        if token < 0 or self.tokens[token] == 0:
            self.answer(401, "")
            return
        self.tokens[token] -= 1
        name = self.path.removeprefix("/latest/meta-data/tags/instance/")
        self.answer(200 if name in self.tags else 404, self.tags.get(name, ""))

    def answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A metadata service of its own; gives its URL."""
    monkeypatch.setattr(Metadata, "tags", {})
    monkeypatch.setattr(Metadata, "tokens", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def settings(folder: Path, url: str) -> NodeSettings:
    return NodeSettings(
        conf_server="127.0.0.1:1",
        events=folder / "events.jsonl",
        imds_url=url,
        slurmd="false",
        shutdown=f"touch {folder / 'shut-down'}",
        name_timeout_s=0.5,
        poll_s=0.1,
        start_s=0.5,
    )


def test_an_expired_token_is_replaced(metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metadata, "tags", {"lsstpipe:node": "spot-7"})
    imds = Imds(metadata)
    assert [imds.tag("lsstpipe:node") for _ in range(3)] == ["spot-7"] * 3
    assert len(Metadata.tokens) == 3
    assert imds.tag("another") is None


def test_a_service_that_takes_no_token_or_is_away_is_an_error(
    metadata: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metadata, "uses", 0)
    with pytest.raises(TemporaryError, match="takes no token"):
        Imds(metadata).tag("lsstpipe:node")
    with pytest.raises(TemporaryError, match="does not answer"):
        Imds("http://127.0.0.1:1").tag("lsstpipe:node")


def test_an_instance_without_a_name_shuts_itself_down(metadata: str, tmp_path: Path) -> None:
    assert "no tag lsstpipe:node" in run_node(settings(tmp_path, metadata))
    assert (tmp_path / "shut-down").exists()


def test_a_node_whose_slurmd_ends_shuts_itself_down(
    metadata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metadata, "tags", {"lsstpipe:node": "spot-7", "lsstpipe:cluster": "dr1"})
    assert run_node(settings(tmp_path, metadata)) == "slurmd ended with 1"
    assert (tmp_path / "shut-down").exists()
    assert (
        '"node": "spot-7", "reason": "slurmd ended with 1"'
        in (tmp_path / "events.jsonl").read_text()
    )


def test_slurmd_is_started_again_while_slurmctld_is_away(
    metadata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metadata, "tags", {"lsstpipe:node": "spot-7"})
    slurmd = tmp_path / "slurmd"
    # Twice it finds no slurmctld; then it runs until the head has been silent for too long.
    starts = tmp_path / "starts"
    slurmd.write_text(
        f"#!/bin/sh\necho >>{starts}\n[ $(wc -l <{starts}) -lt 3 ] || exec sleep 9\nexit 1\n"
    )
    slurmd.chmod(0o755)
    own = replace(settings(tmp_path, metadata), slurmd=str(slurmd), start_s=60.0, silence_s=0.5)
    assert "the head was silent" in run_node(own)
    assert starts.read_text() == "\n" * 3


@pytest.fixture
def living_head(metadata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slurmctld that answers that the node is at work, and a node with a name."""
    assert metadata  # which has no tags until now
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho NodeName=spot-7 State=ALLOCATED+CLOUD NodeAddr=a\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(Metadata, "tags", {"lsstpipe:node": "spot-7"})


def listening(folder: Path, url: str, place: str) -> NodeSettings:
    own = settings(folder, url)
    return replace(
        own,
        slurmd="sh -c 'exec sleep 60'",
        heartbeat=place,
        silence_s=1.5,
        poll_s=0.05,
        listen_s=0.2,
    )


@pytest.mark.usefixtures("living_head")
@pytest.mark.parametrize("beat", ["", "1795755600.0\n"])
def test_a_node_ends_when_the_reaper_is_silent_whatever_the_head_says(
    metadata: str, tmp_path: Path, beat: str
) -> None:
    heartbeat = tmp_path / "heartbeat"
    if beat:  # the last one, long ago
        heartbeat.write_text(beat)
    why = run_node(listening(tmp_path, metadata, str(heartbeat)))
    assert why.startswith("the reaper was silent for")
    assert (tmp_path / "shut-down").exists()


@pytest.mark.usefixtures("living_head")
def test_a_node_lives_while_the_reaper_does(metadata: str, tmp_path: Path) -> None:
    heartbeat = SharedHeartbeat(str(tmp_path / "heartbeat"))
    stopped = threading.Event()
    last: list[float] = []

    def beat() -> None:
        for i in range(12):
            heartbeat.give(f"{i}\n")
            last.append(time.monotonic())
            stopped.wait(0.2)

    reaper = threading.Thread(target=beat)
    reaper.start()
    why = run_node(listening(tmp_path, metadata, str(tmp_path / "heartbeat")))
    assert why.startswith("the reaper was silent for")
    assert not reaper.is_alive()
    assert len(last) == 12
