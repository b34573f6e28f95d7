"""Fixtures and rules for the whole suite."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.postgres_server import PostgresServer, find_program

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
