"""A small repository for commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "execute"))

import small_repository as small


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Four visits and a table in the run main."""
    return small.make_repository(tmp_path / "repo")
