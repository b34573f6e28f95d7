from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from lsstpipe import datasets, io
from lsstpipe.cli import metrics, report
from lsstpipe.data_model import DataId, DatasetType
from lsstpipe.errors import UserError
from lsstpipe.execute.judge import judge_psf, judge_truth
from lsstpipe.execute.truth import read_survey
from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.photocalib import PhotoCalib, photo_calib_to_json
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.visit_truth import PsfTable, VisitTruth
from lsstpipe.report.manifests import read_records
from tests.measure.simulated_truth import (
    BETA,
    SHAPE,
    SKY,
    WCS,
    make_image,
    make_sources,
    make_truth,
)

RAYS = Schema(
    "simulated_rays",
    (Column("y", "i4", "", ""), Column("x", "i4", "", ""), Column("electrons", "f4", "", "")),
)
VISITS = (1, 2, 3, 4)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_truth(
    folder: Path, truths: dict[int, VisitTruth], misled: dict[int, list[int]] | None = None
) -> None:
    """The files that a simulation leaves, as its documentation says."""
    misled = misled or {}
    visits = []
    for visit, truth in truths.items():
        y, x = np.nonzero(truth.cosmic_electron)
        rays = Catalog(RAYS, {"y": y, "x": x, "electrons": truth.cosmic_electron[y, x]})
        write(folder / f"truth/rays/{visit}-000.parquet", io.write(rays, "catalog"))
        write(folder / f"truth/visits/{visit}-000.parquet", io.write(truth.placed, "catalog"))
        visits.append({
            "visit": visit, "band": "r", "zero_point_mag": truth.zero_point_mag,
            "sky_electron": SKY, "has_trail": False, "wcs": {"0": WCS.to_json_dict()},
            "misled": misled.get(visit, []),
        })  # fmt: skip
    about = {"instrument": "st10", "psf": {"profile": "moffat", "beta": BETA}, "visits": visits}
    write(folder / "truth/visits.json", io.write(about, "json"))
    figures = {
        "full_well_electron": 1e5, "crosstalk": [[0.0]],
        "brighter_fatter_kernel": np.zeros((3, 3)).tolist(),
    }  # fmt: skip
    write(folder / "truth/detectors/000.json", io.write(figures, "json"))
    planes = {
        "DEFECTS": truths[1].is_defect.astype(np.float32), "BIAS": np.zeros(SHAPE, np.float32),
        "FLAT_r": np.ones(SHAPE, np.float32),
    }  # fmt: skip
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(v, name=k) for k, v in planes.items())]
    fits.HDUList(hdus).writeto(folder / "truth/detectors/000.fits")


def write_products(repo: Path, images: dict[int, Exposure], sources: dict[int, Catalog]) -> None:
    calib = photo_calib_to_json(PhotoCalib(1.0, 0.001))
    files = []

    def put(kind: DatasetType, data_id: DataId, value: object) -> None:
        write(repo / kind.path(data_id, "main"), io.write(value, kind.storage))
        files.append({
            "id": "", "dataset_type": kind.name, "path": kind.path(data_id, "main"), "size": 0,
            "data_id": dict(data_id.subset(kind.dimensions)), "checksum": "",
        })  # fmt: skip

    for visit, image in images.items():
        own = DataId(instrument="st10", visit=visit, detector=0)
        put(datasets.visit_image, own, image)
        put(datasets.source, own, sources[visit])
        put(datasets.visit_detector_summary, own, {"psf_chi2_reserved": 1.0})
        part = {"detector": 0, "photo_calib": calib}
        put(datasets.visit_summary, own, {"visit": visit, "detectors": [part]})
    put(datasets.bias, DataId(instrument="st10", detector=0), Exposure(
        np.full(SHAPE, 7.0, np.float32), np.zeros(SHAPE, np.int32), np.ones(SHAPE, np.float32),
        images[1].box, "electron",
    ))  # fmt: skip
    put(datasets.metrics, DataId(), {"metrics": [], "target": None})
    quantum = {
        "id": "", "task": "all", "data_id": {}, "status": "done", "message": "", "wall_s": 1.0,
        "cpu_s": 1.0, "max_rss_mb": 1.0, "bytes_read": 0, "bytes_written": 0, "host": "",
        "started_mjd": 0.0, "attempt": 1, "config_digest": "", "code_version": "",
        "environment": "", "inputs": [], "outputs": [], "key": "", "files": files,
    }  # fmt: skip
    manifest = {
        "schema_version": 1, "plan": "", "run": "main", "stage": "visit", "chunk": "all",
        "configs": {}, "environments": {}, "quanta": [quantum],
    }  # fmt: skip
    write(repo / "manifests/visit/all.json", json.dumps(manifest).encode())
    write(repo / "plan/chunks.tsv", b"stage\tchunk\nvisit\tall\n")
    write(repo / "plan/plan.json", b'{"digest": "d"}')
    write(repo / "plan/campaign.json", b'{"name": "made up", "run": "main"}')
    write(repo / "plan/skipped.json", b"[]")


@pytest.fixture(scope="module")
def truths() -> dict[int, VisitTruth]:
    return {visit: make_truth(np.random.default_rng(visit), 300) for visit in VISITS}


@pytest.fixture(scope="module")
def survey(truths: dict[int, VisitTruth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    write_truth(folder, truths)
    return folder


@pytest.fixture(scope="module")
def images(truths: dict[int, VisitTruth]) -> dict[int, Exposure]:
    return {v: make_image(np.random.default_rng(10 + v), truth) for v, truth in truths.items()}


def catalogs(truths: dict[int, VisitTruth], **faults: Any) -> dict[int, Catalog]:
    return {
        v: make_sources(np.random.default_rng(20 + v), truth, **faults)
        for v, truth in truths.items()
    }


def judge(repo: Path, survey: Path) -> dict[str, Metric]:
    return {metric.id: metric for metric in judge_truth(repo, read_records(repo), survey)}


@pytest.fixture(scope="module")
def repo(
    truths: dict[int, VisitTruth], images: dict[int, Exposure],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    folder = tmp_path_factory.mktemp("repo")
    write_products(folder, images, catalogs(truths))
    return folder


def test_perfect_products_fail_nothing(repo: Path, survey: Path) -> None:
    found = judge(repo, survey)
    assert [id for id, metric in found.items() if metric.ok is False] == []
    met = {id for id, metric in found.items() if metric.ok}
    assert {
        "AST-1:r", "AST-2:r", "PHO-1b:r", "PHO-2a:r", "ISR-2", "ISR-3", "ISR-4b", "DET-1b:r",
        "CR-2:r", "CR-2b", "CAL-0a", "DET-2:r",
    } <= met  # fmt: skip


def test_judging_gives_the_same_bits_with_any_number_of_processes(
    images: dict[int, Exposure], truths: dict[int, VisitTruth], survey: Path, tmp_path: Path
) -> None:
    without = {visit: image for visit, image in images.items() if visit != 2}
    write_products(tmp_path, without, catalogs(truths))
    records = read_records(tmp_path)
    one, three = (judge_truth(tmp_path, records, survey, n_jobs=n) for n in (1, 3))
    assert len(one) > 20
    # The text of a float tells all its bits, and of NaN that it is one.
    assert [repr(metric) for metric in three] == [repr(metric) for metric in one]


def test_planted_faults_fail_the_metrics_that_are_about_them(
    truths: dict[int, VisitTruth], images: dict[int, Exposure], survey: Path, tmp_path: Path
) -> None:
    faulty = dict(images)
    image = images[1].image.copy()
    image[:, 500:] *= np.float32(1.2)
    mask = images[1].mask.copy()
    mask[300:310, :] |= np.int32(MaskPlane.CR)
    mask[truths[1].is_defect] = 0
    old = images[1]
    faulty[1] = Exposure(image, mask, old.variance, old.box, "nJy", wcs=WCS, metadata=old.metadata)
    del faulty[3]
    write_products(tmp_path, faulty, catalogs(truths, bias=0.97, shift_pix=0.4))
    found = judge(tmp_path, survey)
    failed = {id for id, metric in found.items() if metric.ok is False}
    assert {
        "ISR-2", "ISR-4", "ISR-4b", "CR-2:r", "AST-1:r", "AST-2:r", "AST-3:r", "PHO-1:r",
        "PHO-1b:r", "PHO-2a:r",
    } <= failed  # fmt: skip
    assert found["AST-1:r"].note == "3 of 4 detectors."
    assert found["ISR-4"].note.startswith("Worst of 3: visit 1 detector 0.")


def psf_tables(n: int, too_large: float) -> list[PsfTable]:
    """Make the PSFs of some images, at 100 places each, with moments that are too large."""
    rng = np.random.default_rng(n)
    true = np.array([[2.0], [2.0], [0.0]])
    return [
        PsfTable(
            (1.0 + too_large) * true + rng.normal(0.0, 1e-4, (3, 100)),
            np.broadcast_to(true, (3, 100)),
            np.full(100, i),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("n_joint", "n_others", "passes"), [(20, 0, True), (16, 4, True), (8, 12, False), (0, 4, False)]
)
def test_psfs_of_few_images_that_are_not_gone_on_with_do_not_count(
    n_joint: int, n_others: int, passes: bool
) -> None:
    metrics = judge_psf(psf_tables(n_joint, 0.0), psf_tables(n_others, 0.3), "r")
    size = next(metric for metric in metrics if metric.id == "PSF-1:r")
    assert size.ok is passes
    assert (f"Without {n_others} images" in size.note) == (passes and n_others > 0)


def test_a_detector_that_was_misled_on_purpose_is_not_missed(
    truths: dict[int, VisitTruth], images: dict[int, Exposure], tmp_path: Path
) -> None:
    write_truth(tmp_path, truths, misled={3: [0]})
    without = {visit: image for visit, image in images.items() if visit != 3}
    write_products(tmp_path / "repo", without, catalogs(truths))
    assert judge(tmp_path / "repo", tmp_path)["AST-1:r"].note == "3 of 3 detectors."


def test_the_command_appends_the_metrics_against_truth(repo: Path, survey: Path) -> None:
    options = [str(repo), "--truth", str(survey), "--jobs", "1", "--json"]
    result = CliRunner().invoke(metrics.command, options, catch_exceptions=False)
    entries = {entry["id"]: entry for entry in json.loads(result.output)}
    keys = {"id", "value", "unit", "gate", "stretch", "ok", "n", "error", "note"}
    assert all(keys <= set(entry) for entry in entries.values())
    assert entries["PHO-2a:r"]["stretch"] == [None, 0.5]
    table = CliRunner().invoke(
        metrics.command, options[:-1], catch_exceptions=False, env={"COLUMNS": "200"}
    )
    assert "Astrometry" in table.output
    assert "AST-2:r" in table.output


def test_the_summary_counts_the_metrics_against_truth(repo: Path, survey: Path) -> None:
    options = [str(repo), "--truth", str(survey), "--jobs", "1", "--summary"]
    output = CliRunner().invoke(report.command, options, catch_exceptions=False).output
    assert "metrics keep their bound" in output


def test_a_folder_without_truth_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no truth: it must have the file visits\.json"):
        read_survey(tmp_path)
