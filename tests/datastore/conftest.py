"""An S3 server on loopback, and a proxy before it that spoils answers when it is told to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.datastore.s3_server import S3Server, serve_s3


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for all tests of a process: each takes a bucket of its own."""
    with serve_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server with nothing going wrong, as the environment names it."""
    s3_server.plan.clear()
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    yield s3_server
    s3_server.plan.clear()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A new bucket, as an URL."""
    return s3.make_bucket(f"bucket-{uuid.uuid4()}")
