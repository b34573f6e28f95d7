"""A repository with a few products, how they were made, and the exposures that they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, make_id, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.records import DatasetRecord, QuantumRecord

SUMMARY = "visit_detector_summary"
BANDS = ("g", "r")


def make_repository(repo: Path, n_visits: int = 4, run: str = "main") -> Path:
    """Make a repository of visits 1 to n, g and r in turn, and a table of all of them."""
    Butler.create(repo)
    with Butler(repo, run=run) as butler:
        records = [butler.put({"all": n_visits}, "metrics")]
        quanta = []
        for visit in range(1, n_visits + 1):
            data_id = DataId(instrument="st10", visit=visit, detector=0)
            made = [
                butler.put({"visit": visit}, SUMMARY, data_id),
                butler.put(_image(visit), "visit_image", data_id),
            ]
            quanta.append(_quantum(run, "calibrate", data_id, (), [r.id for r in made]))
            records += made
        summaries = [r.id for r in records if r.dataset_type == SUMMARY]
        quanta.append(_quantum(run, "metrics", DataId(), summaries, [records[0].id]))
        makers = {output: quantum.id for quantum in quanta for output in quantum.outputs}
        butler.registry.load([replace(r, quantum_id=makers[r.id]) for r in records], quanta)
        butler.registry.insert_documents({"c0ffee": Document("config", "sigma: 5")})
        _insert_raws(butler, n_visits)
    return repo


def _image(visit: int) -> Exposure:
    pixels = np.full((20, 30), visit, dtype=np.float32)
    return Exposure(pixels, np.zeros((20, 30), np.int32), pixels, Box(0, 0, 20, 30), "nJy")


def _quantum(
    run: str, task: str, data_id: DataId, inputs: object, outputs: object
) -> QuantumRecord:
    return QuantumRecord(
        make_id(run, task, str(data_id)), run, "visit", task, "c", data_id, "done",
        config_digest="c0ffee", inputs=tuple(inputs), outputs=tuple(outputs),
    )  # fmt: skip


def _insert_raws(butler: Butler, n_visits: int) -> None:
    infos, records = [], []
    for visit in range(1, n_visits + 1):
        band = BANDS[visit % 2]
        infos.append(
            ObservationInfo(
                "st10", visit, 0, f"filter {band}", band, "science", "M31", 30.0, 30.0,
                60000.0 + visit,
            )
        )  # fmt: skip
        data_id = DataId(instrument="st10", exposure=visit, detector=0)
        ref = make_ref(DATASET_TYPES["raw"], data_id, "raw")
        records.append(
            DatasetRecord(ref.id, "raw", data_id, "raw", f"/raws/{visit}.fits", 1, "x:0")
        )
    butler.registry.insert_exposures(infos, records)


def files_of(repo: Path, run: str = "main") -> dict[str, bytes]:
    """Read every file of a run, by its path below the repository."""
    found = sorted(path for path in (repo / run).rglob("*") if path.is_file())
    return {str(path.relative_to(repo)): path.read_bytes() for path in found}


def state_of(repo: Path) -> dict[str, object]:
    """Everything that a repository says and has, to tell whether anything was changed."""
    with Butler(repo) as butler:
        registry = butler.registry
        collections = [(c.name, c.kind, c.is_frozen) for c in registry.collections()]
        members = {
            name: sorted(str(r) for r in registry.query_datasets(None, "", [name]))
            for name, _, _ in collections
        }
        records = registry.query_datasets()
        quanta = {
            str(quantum)
            for r in records
            if r.quantum_id
            for quantum in registry.provenance(r.id).quanta.values()
        }
    files = {
        str(path.relative_to(repo)): path.read_bytes() if path.is_file() else b""
        for path in sorted(repo.rglob("*"))
        if "registry.sqlite3" not in path.name
    }
    return {"collections": collections, "members": members, "quanta": quanta, "files": files}
