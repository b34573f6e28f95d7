"""Fixtures and rules for the whole suite."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.postgres_server import PostgresServer, find_program
from tests.s3_server import S3Server, serve_s3

REPOSITORY = Path(__file__).parents[1]
IN_CI = os.environ.get("CI") == "true"

# No deadline: the first example of a kernel compiles it. In CI the examples are the same each time.
settings.register_profile("lsstpipe", deadline=None, derandomize=IN_CI)
settings.load_profile("lsstpipe")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a test whose program is absent, except in CI, where nothing may be left out."""
    for mark in item.iter_markers("needs_program"):
        (name,) = mark.args
        if shutil.which(name) is None:
            reason = f"the program {name} is not installed; envs/debian.txt names its package"
            if IN_CI:
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root folder of the project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def tres1() -> Path:
    """The folder of the real frames that the project carries."""
    return REPOSITORY / "data" / "tres1"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of further real data; a test that uses it is left out where there is none."""
    folder = os.environ.get("LSSTPIPE_TEST_DATA")
    if folder is None:
        pytest.skip("LSSTPIPE_TEST_DATA names no folder of further real data")
    return Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for tests that leave it running; each makes a database of its own."""
    if find_program("postgres") is None:
        reason = "PostgreSQL is not installed; envs/debian.txt names its package"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20120617)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server of S3 for all tests of a process: clients keep the address of the first they met."""
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
