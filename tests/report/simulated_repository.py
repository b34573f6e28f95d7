"""A repository on disk: the products of a simulated campaign and the manifests that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsstpipe import datasets, io
from lsstpipe.data_model import DataId, DatasetType
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import VISIT
from lsstpipe.image.exposure import Exposure
from lsstpipe.tasks import metrics
from tests.report.simulated_campaign import TARGET_DEG, TRACT, Campaign

RUN = "demo"


def measure(campaign: Campaign, **settings: Any) -> metrics.Outputs:
    """Run the task on a simulated campaign."""
    config = {
        "target_name": "TrES-1", "target_ra_deg": TARGET_DEG[0], "target_dec_deg": TARGET_DEG[1],
        "n_frames": len(campaign.frames), "judge_requirements": False,
    } | settings  # fmt: skip
    inputs = metrics.Inputs(
        object_table={TRACT: campaign.object_table},
        forced_source_table={TRACT: campaign.forced_source_table},
        source_table={TRACT: campaign.source_table},
        isolated_star={},
        visit_summary={},
        visit_detector_summary={_visit_id(frame): frame for frame in campaign.frames},
        joint_astrometry={TRACT: campaign.joint_astrometry},
        joint_photometry={TRACT: campaign.joint_photometry},
        deep_coadd_summary={
            DataId(skymap="demo", tract=0, patch=patch, band="clear"): campaign.coadd_summary
            for patch in campaign.coadd
        },
    )
    return metrics.run(inputs, metrics.Config.model_validate(config), DataId())


def write_repository(root: Path, campaign: Campaign, outputs: metrics.Outputs) -> None:
    """Write the products, one manifest a stage, a plan and what was left out."""
    _write_manifest(
        root, "visit",
        [
            _write(root, datasets.visit_detector_summary, _visit_id(frame), frame)
            for frame in campaign.frames
        ],
        flagged="No star stands out of the clouds <of visit 99>.",
    )  # fmt: skip
    tract = [
        _write(root, datasets.joint_astrometry, TRACT, campaign.joint_astrometry),
        _write(root, datasets.joint_photometry, TRACT, campaign.joint_photometry),
    ]
    _write_manifest(root, "visit_summary", tract)
    coadds = []
    for patch, exposure in campaign.coadd.items():
        data_id = DataId(skymap="demo", tract=0, patch=patch, band="clear")
        with_wcs = Exposure(
            exposure.image, exposure.mask, exposure.variance, exposure.box, exposure.unit,
            wcs=campaign.wcs,
        )  # fmt: skip
        coadds.append(_write(root, datasets.deep_coadd, data_id, with_wcs))
    _write_manifest(root, "coadd", coadds)
    visits = Catalog(VISIT, {column.name: [] for column in VISIT.columns})
    tables = [
        _write(root, datasets.object_table, TRACT, campaign.object_table),
        _write(root, datasets.forced_source_table, TRACT, campaign.forced_source_table),
        _write(root, datasets.source_table, TRACT, campaign.source_table),
        _write(root, datasets.visit_table, TRACT, visits),
    ]
    _write_manifest(root, "tables", tables)
    results = [
        _write(root, datasets.metrics, DataId(), outputs.metrics),
        _write(root, datasets.lightcurve, DataId(), outputs.lightcurve),
    ]
    _write_manifest(root, "report", results)
    _write_plan(root)


def _visit_id(frame: dict[str, Any]) -> DataId:
    return DataId(instrument="st10", visit=frame["visit"], detector=0)


def _write(root: Path, kind: DatasetType, data_id: DataId, value: object) -> dict[str, Any]:
    path = root / kind.path(data_id, RUN)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(io.write(value, kind.storage))
    return {
        "id": "", "dataset_type": kind.name, "data_id": dict(data_id.subset(kind.dimensions)),
        "path": kind.path(data_id, RUN), "size": path.stat().st_size, "checksum": "",
    }  # fmt: skip


def _entry(task: str, files: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "id": "", "task": task, "data_id": {}, "status": "done", "message": "", "wall_s": 2.0,
        "cpu_s": 1.5, "max_rss_mb": 200.0, "bytes_read": 1_000_000,
        "bytes_written": sum(file["size"] for file in files), "host": "laptop",
        "started_mjd": 61366.9, "attempt": 1, "config_digest": "c0ffee" * 4,
        "code_version": "0.1.0+test", "environment": "e1", "inputs": [], "outputs": [],
        "key": "", "files": files,
    } | more  # fmt: skip


def _write_manifest(root: Path, stage: str, files: list[dict[str, Any]], flagged: str = "") -> None:
    quanta = [_entry(stage, [file]) for file in files]
    if flagged:
        data_id = {"instrument": "st10", "visit": 99}
        quanta.append(_entry(stage, [], status="flagged", message=flagged, data_id=data_id))
    path = root / "manifests" / stage / "all.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = {
        "schema_version": 1, "plan": "p1", "run": RUN, "stage": stage, "chunk": "all",
        "configs": {}, "environments": {"e1": {"python": "3.11.2", "numpy": "2.4.6"}},
        "quanta": quanta,
    }  # fmt: skip
    path.write_text(json.dumps(manifest))


def _write_plan(root: Path) -> None:
    stages = ("visit", "visit_summary", "coadd", "tables", "report")
    folder = root / "plan"
    folder.mkdir()
    lines = ["stage\tchunk", *(f"{stage}\tall" for stage in stages)]
    (folder / "chunks.tsv").write_text("\n".join(lines) + "\n")
    (folder / "plan.json").write_text(json.dumps({"digest": "d1gest"}))
    (folder / "campaign.json").write_text(json.dumps({"name": "demo", "run": RUN}))
    skipped = [{"stage": "calibs", "task": "flat", "n_quanta": 0, "reason": "No flat frames."}]
    (folder / "skipped.json").write_text(json.dumps(skipped))
    ingest = root / "manifests" / "ingest" / "all.json"
    ingest.parent.mkdir(parents=True)
    refused = [{"path": "/data/tres1-099.fits.fz", "message": "The file is truncated."}]
    ingest.write_text(json.dumps({"schema_version": 1, "refused": refused}))
