"""A simulated camera of several amplifiers by one, two and four workers: the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_campaign import Json, Project

pytestmark = pytest.mark.xdist_group("e2e")

TYPES = {
    "reference_catalog", "skymap", "bias", "ptc", "linearizer", "crosstalk", "dark", "defects",
    "flat", "visit_image", "source", "visit_detector_summary", "isolated_star",
    "joint_astrometry", "joint_photometry", "visit_summary", "deep_coadd", "deep_coadd_n_image",
    "deep_coadd_summary",
}  # fmt: skip
"""What is there when coadds are: calibrations, visits, the joint fit."""

# All visits, darks and spots, 3 biases and flats of 5, 6 pairs of a ramp of 11: as few as suffice.
RAWS = ("000[1-3]", "100[1-3]", "100[6-9]", "101[014589]", "102[2367]", "103[014567]")


@pytest.fixture(scope="module")
def raws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the survey `unit`: 3 visits of a detector of two amplifiers, each a chunk."""
    folder = tmp_path_factory.mktemp("unit")
    made = Project(folder, settings={"name": "simulate"}).lsstpipe(
        "simulate", "unit", "--to", "survey", "--jobs", "2"
    )
    assert made.returncode == 0, made.stderr
    return folder / "survey"


def _prepare(raws: Path, folder: Path, n_cores: int) -> Project:
    """Write the campaign of some workers."""
    folder.mkdir()
    (folder / "survey").symlink_to(raws)
    settings: Json = yaml.safe_load((raws / "campaign.yaml").read_text())
    settings |= {"repo": "repo", "raws": [f"survey/raw/*-{number}-*" for number in RAWS]}
    project = Project(folder, settings=settings, is_measured=False, n_cores=n_cores)
    project.write()
    return project


def test_calibrations_visits_and_coadds_are_the_same_for_one_two_and_four_workers(
    raws: Path, tmp_path: Path
) -> None:
    projects = [_prepare(raws, tmp_path / str(n_cores), n_cores) for n_cores in (1, 2, 4)]
    # Side by side, because each alone waits for chunks that all others need.
    processes = [project.start("coadd") for project in projects]
    try:
        ends = [process.wait() for process in processes]
    finally:
        for project in projects:
            project.stop()
    assert ends == [0, 0, 0], [p.folder / "snakemake.log" for p in projects]
    alone, *others = [project.products() for project in projects]
    assert {path.split("/")[0] for path in alone} == TYPES
    for products in others:
        assert products == alone
