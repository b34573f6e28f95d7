"""One undisturbed run of the small campaign, which all tests here share."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_campaign import Project, write_raws


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The campaign, run from beginning to end. Look, do not touch.

    The first process that needs it makes it; the others wait for it and share it.
    """
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    project = Project(root / "calm")
    with (root / "calm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "calm.done").exists():
            shutil.rmtree(project.folder, ignore_errors=True)
            write_raws(project.folder / "data")
            project.write()
            project.snakemake()
            (root / "calm.done").touch()
    return project


@pytest.fixture
def finished(calm: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of the finished campaign."""
    project = Project(tmp_path / "finished")
    shutil.copytree(calm.folder, project.folder, symlinks=True)
    project.write()
    yield project
    project.stop()
    shutil.rmtree(project.folder)


@pytest.fixture
def fresh(calm: Project, tmp_path: Path) -> Iterator[Project]:
    """The campaign before anything ran."""
    project = Project(tmp_path / "fresh", is_measured=False)
    shutil.copytree(calm.folder / "data", project.folder / "data")
    project.write()
    yield project
    project.stop()
    shutil.rmtree(project.folder)
