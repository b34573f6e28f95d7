"""One undisturbed run of the small campaign, which all tests here share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_campaign import Project, write_raws


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The campaign, run from beginning to end. Look, do not touch."""
    project = Project(tmp_path_factory.mktemp("calm"))
    write_raws(project.folder / "data")
    project.write()
    project.snakemake()
    yield project
    shutil.rmtree(project.folder)


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
