"""SIGKILL at any instant, then the same command again: the products of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from small_campaign import Project

pytestmark = pytest.mark.xdist_group("e2e")

N_KILLS = 5


def _temporaries(repo: Path) -> list[Path]:
    return [path for path in repo.rglob("*") if path.suffix in {".tmp", ".partial"}]


def test_products_after_five_kills_are_those_of_an_undisturbed_run(
    calm: Project, fresh: Project, rng: np.random.Generator
) -> None:
    n_quanta = len(calm.quanta())
    # One instant in each fifth of the quanta: that the machine is slow or quick changes nothing.
    edges = np.linspace(0, n_quanta - 2, N_KILLS + 1)
    for goal in rng.uniform(edges[:-1], edges[1:]):
        process = fresh.start()
        while fresh.n_ended() < goal and process.poll() is None:
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0.0, 0.5)))
        assert process.poll() is None, "the run ended before it was killed"
        fresh.stop()
        assert process.wait() == -signal.SIGKILL
    fresh.snakemake()
    assert fresh.products() == calm.products()
    curve = "lightcurve.csv"
    assert (fresh.repo / curve).read_bytes() == (calm.repo / curve).read_bytes()
    assert fresh.lsstpipe("sweep", "repo").returncode == 0
    assert _temporaries(fresh.repo) == []
    _check_registry(fresh)


@pytest.mark.parametrize("n_cores", [1, 4])
def test_products_are_the_same_for_any_number_of_workers(
    calm: Project, fresh: Project, n_cores: int
) -> None:
    fresh.n_cores = n_cores
    fresh.snakemake()
    assert fresh.products() == calm.products()


def _check_registry(project: Project) -> None:
    """The registry names all files of the manifests, and no file that is not there and whole."""
    known = project.json("query", "--repo", "repo", "--json")
    paths = [project.repo / record["path"] for record in known]
    assert [path for path in paths if not path.is_file()] == []
    assert [path.stat().st_size for path in paths] == [record["size"] for record in known]
    made = {file["id"] for entry in project.quanta().values() for file in entry["files"]}
    assert made <= {record["id"] for record in known}
    run = {str(path.relative_to(project.repo)) for path in paths if project.repo in path.parents}
    there = {str(p.relative_to(project.repo)) for p in (project.repo / "small").rglob("*.*")}
    assert there == run, "every product is registered"


def test_jobs_that_outlive_snakemake_and_those_of_its_next_run_agree(
    calm: Project, fresh: Project
) -> None:
    process = fresh.start("visit")
    while not list(fresh.repo.glob("manifests/visit/*.partial")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    orphans = fresh.processes()
    assert orphans, "jobs are still alive"
    again = fresh.start("visit")
    assert again.wait() == 0, (fresh.folder / "snakemake.log").read_text()
    assert fresh.products() == calm.products("dark", "defects", "flat", "source") | calm.products(
        "reference_catalog", "skymap", "visit_image", "visit_detector_summary"
    )
    for name, manifest in fresh.manifests("visit").items():
        attempts = [quantum["attempt"] for quantum in manifest["quanta"]]
        assert attempts == [1] * len(attempts), f"{name} was left to the job that had it"
    fresh.stop()
    fresh.lsstpipe("sweep", "repo")
    assert _temporaries(fresh.repo) == []
    assert json.loads((fresh.repo / "plan" / "plan.json").read_text())["n_chunks"] > 0
