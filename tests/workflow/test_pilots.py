"""Pilots in the workflow: one job runs many chunks, and leaves what they would have left."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.test_workflow import Project

PILOTS = {"pilot_stages": ["calibs", "visit"], "pilot_minutes": 60, "pilot_cores": 2}


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of three visits in chunks of one, whose calibrations and visits pilots run."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    project = Project(tmp_path, repository)
    for name in ("051", "086"):
        frame = f"tres1-{name}.fits.fz"
        source = repository / "data" / "tres1" / frame
        (project.folder / "data" / "tres1" / frame).write_bytes(source.read_bytes())
    project.write(project.settings | {"visits_per_chunk": 1, "submission": PILOTS})
    return project


def visits_run(project: Project) -> int:
    return (project.folder / "jobs.txt").read_text().splitlines().count("run visit")


def test_a_pilot_runs_its_chunks_goes_on_after_a_kill_and_leaves_no_trace(
    project: Project,
) -> None:
    # Two of three visits run, one after the other; then all is killed, as a node is that Spot
    # takes back. Of the first it is noted that it is done, of the second perhaps not yet.
    project.write(project.settings | {"submission": PILOTS | {"pilot_cores": 1}})
    (project.folder / "sleep.txt").write_text("3")
    process = project.start("visit")
    manifests = project.folder / "runs" / "demo" / "manifests" / "visit"
    while len(list(manifests.glob("*.json"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list(manifests.glob("*.json"))) == 2
    (project.folder / "sleep.txt").write_text("0")
    project.write(project.settings | {"submission": PILOTS})
    assert project.run("visit") == ["visit"]
    assert visits_run(project) <= 2, "what was done stands"
    assert len(list(manifests.glob("*.json"))) == 3
    assert len(list((project.folder / "runs/demo/pilots/visit").glob("*.done"))) == 1
    assert project.run("visit") == []
    # A chunk does not know who ran it: without pilots there is nothing to do.
    project.write(project.settings | {"submission": {}})
    assert project.run("visit") == []
    # And with them what was lost is run by a pilot again, and nothing else.
    project.write(project.settings | {"submission": PILOTS})
    next(manifests.glob("*.json")).unlink()
    next((project.folder / "runs/demo/pilots/visit").glob("*.done")).unlink()
    assert project.run("visit") == ["visit"]
    assert visits_run(project) == 1
