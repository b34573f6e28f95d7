"""Settings of sites, and a cloud that answers as AWS does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from lsstpipe.cluster.prices import read_prices
from lsstpipe.site.findings import Aws, Look
from lsstpipe.site.settings import Settings, read_settings

CODE = Path(__file__).parents[2] / "terraform"
ACCOUNT = "123456789012"


def settings_of(example: str) -> Settings:
    """The settings of an example."""
    if shutil.which("terraform") is None:
        pytest.skip("the program terraform is not installed")
    return read_settings(CODE / "examples" / example, CODE)


@pytest.fixture(scope="session")
def minimal() -> Settings:
    return settings_of("minimal")


@pytest.fixture(scope="session")
def existing_vpc() -> Settings:
    return settings_of("existing_vpc")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An account with nothing in it but what AWS puts there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield Aws("us-east-1")


def look_at(settings: Settings, aws: Aws) -> Look:
    return Look(settings, read_prices("us-east-1"), aws, ACCOUNT)
