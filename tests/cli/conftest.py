"""A small repository for commands, and the S3 server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "execute"))

import small_repository as small

from tests.datastore.conftest import bucket, s3, s3_server

__all__ = ["bucket", "s3", "s3_server"]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Four visits and a table in the run main."""
    return small.make_repository(tmp_path / "repo")
