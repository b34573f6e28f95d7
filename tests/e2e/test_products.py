"""What a finished campaign leaves: products, their history, its status and its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_campaign import CLOUDY_VISIT, DARKS, LIGHTS, VISIT_WITH_NANS, Json, Project

from lsstpipe import io
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.stages import STAGES

pytestmark = pytest.mark.xdist_group("e2e")

N_RAWS = len(DARKS) + len(LIGHTS) + 2
LOST = {"visit_image", "source", "visit_detector_summary", "visit_summary", "forced_source"}


@pytest.fixture(scope="module")
def records(calm: Project) -> list[Json]:
    """All datasets of the repository."""
    found: list[Json] = calm.json("query", "--repo", "repo", "--json")
    return found


def test_every_dataset_that_is_kept_exists_unless_its_visit_is_flagged(
    calm: Project, records: list[Json]
) -> None:
    planned = pq.read_table(calm.repo / "plan" / "datasets.parquet").to_pylist()
    kept = {name for stage in STAGES.values() for name in stage.retained}
    wanted = {
        row["id"].hex(): row for row in planned if row["type"] in kept or row["type"] == "raw"
    }
    there = {record["id"].replace("-", "") for record in records}
    absent = [row for key, row in wanted.items() if key not in there]
    assert {row["visit"] for row in absent} == {CLOUDY_VISIT}
    assert {row["type"] for row in absent} <= LOST
    # The camera has neither overscan nor biases, one amplifier, and no lamp.
    no_raws = {"bias", "ptc", "linearizer", "crosstalk", "bfk", "fringe"}
    assert {row["type"] for row in planned if row["type"] in kept} == kept - no_raws


def test_forced_source_table_leads_back_to_raws_settings_and_code(
    calm: Project, records: list[Json]
) -> None:
    table = next(r for r in records if r["type"] == "forced_source_table")
    graph = calm.json("query", "--repo", "repo", "--provenance", table["id"], "--json")
    types = {dataset["id"]: dataset["type"] for dataset in graph["datasets"]}
    raws = {r["id"] for r in records if r["type"] == "raw"}
    assert len(raws) == N_RAWS
    assert {key for key in graph["origins"] if types[key] == "raw"} == raws
    quanta = graph["quanta"]
    chain = {"dark", "flat", "isr", "calibrate", "joint_photometry", "warp", "assemble", "object"}
    assert chain | {"forced", "tables"} <= {quantum["task"] for quantum in quanta}
    assert len({quantum["code_version"] for quantum in quanta}) == 1
    for quantum in quanta:
        assert graph["documents"][quantum["config"]]["kind"] == "config"
        assert "numpy" in json.loads(graph["documents"][quantum["environment"]]["text"])
    coadd = next(quantum for quantum in quanta if quantum["task"] == "warp")
    assert json.loads(graph["documents"][coadd["config"]]["text"])["kernel_order"] == 3


def test_a_catalogue_and_an_image_are_got(calm: Project) -> None:
    result = calm.lsstpipe("get", "object_table", "--repo", "repo")
    assert result.returncode == 0, result.stderr
    assert "object" in result.stdout
    got = calm.lsstpipe("get", "visit_image", "--repo", "repo", f"visit={VISIT_WITH_NANS}")
    path = calm.folder / got.stdout.strip()
    image = io.read(path.read_bytes(), "exposure", str(path))
    assert isinstance(image, Exposure)
    missing = image.mask[100:104, 200:260] & (MaskPlane.UNMASKEDNAN | MaskPlane.BAD)
    assert np.all(missing), "pixels without a value are masked"
    assert np.isfinite(image.image).all()
    assert np.isfinite(image.variance[np.isfinite(image.image)]).all()


def test_frame_with_missing_pixels_goes_all_the_way(calm: Project) -> None:
    rows = (calm.repo / "lightcurve.csv").read_text().splitlines()
    visits = {row.split(",")[0] for row in rows if row[:1].isdigit()}
    assert str(VISIT_WITH_NANS) in visits
    assert len(visits) == len(LIGHTS) + 1


def test_status_names_what_was_refused_and_flagged(calm: Project) -> None:
    status = calm.status()
    assert status["plan_is_current"]
    assert [item["path"] for item in status["refused"]] == ["data/torn.fits.fz"]
    for name, stage in status["stages"].items():
        assert len(stage["done"]) == stage["n_chunks"], name
        left = [stage[kind] for kind in ("stale", "failed", "running", "waiting")]
        assert left == [[], [], [], []], name
    (remark,) = status["stages"]["visit"]["flagged"]
    assert remark["task"] == "calibrate"
    assert str(CLOUDY_VISIT) in remark["data_id"]
    assert "stars" in remark["message"]


def test_status_tells_what_each_task_took(calm: Project) -> None:
    usage = {(u["stage"], u["task"]): u for u in calm.json(
        "status", calm.campaign, "--resources", "--json")}  # fmt: skip
    for (stage, task), took in usage.items():
        own = [q for q in calm.quanta(stage).values() if q["task"] == task]
        assert took["n_quanta"] == len(own)
        assert took["cpu_s"] == pytest.approx(sum(quantum["cpu_s"] for quantum in own))
        assert took["max_rss_mb"] == max(quantum["max_rss_mb"] for quantum in own)
        assert took["max_cpu_s"] >= took["median_cpu_s"] >= 0
    assert sum(took["n_quanta"] for took in usage.values()) == len(calm.quanta())
    table = calm.lsstpipe("status", calm.campaign, "--resources").stdout
    assert all(task in table for _, task in usage)


def test_status_of_a_repository_is_the_same_from_anywhere(calm: Project, tmp_path: Path) -> None:
    elsewhere = Project(tmp_path, settings=calm.settings)
    assert elsewhere.json("status", "--repo", str(calm.repo), "--json") == calm.status()


def test_page_names_what_was_left_out_and_why(calm: Project) -> None:
    page = (calm.repo / "report.html").read_text()
    (remark,) = calm.status()["stages"]["visit"]["flagged"]
    assert str(CLOUDY_VISIT) in page
    assert remark["message"] in page
    assert "torn.fits.fz" in page
    assert "http://" not in page.replace("http://www.w3.org", ""), "nothing comes from a network"
