"""Tests of one group share what is costly to make: pytest gives them to one worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = """
import pytest
pytestmark = pytest.mark.xdist_group("costly")

@pytest.mark.parametrize("number", range(6))
def test_worker(number, worker_id):
    with open({log!r}, "a") as log:
        log.write(worker_id + "\\n")
"""


def test_a_group_of_two_files_runs_in_one_worker(tmp_path: Path) -> None:
    log = tmp_path / "workers"
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(FILE.format(log=str(log)), encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-n2", "--dist=loadgroup", "-p", "no:cacheprovider"]
    subprocess.run([*command, str(tmp_path)], cwd=tmp_path, check=True, capture_output=True)

    assert len(log.read_text(encoding="utf-8").split()) == 12
    assert len(set(log.read_text(encoding="utf-8").split())) == 1
