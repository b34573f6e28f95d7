"""What a node does by itself; with a real Slurm it is tested in `test_slurm`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

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
    assert "were silent" in run_node(own)
    assert starts.read_text() == "\n" * 3
