"""Time and memory to plan a synthetic campaign, from arrays of exposures to the plan on disk.

Prints a table and writes ``runs/bench/plan.json``. Peak memory is that of Python and numpy objects
(tracemalloc), measured in a run of its own because measuring it slows the work down.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from lsstpipe import datasets
from lsstpipe.config import Campaign, parse_campaign
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.plan.build import Builder
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.select import make_patches, make_skymap
from lsstpipe.plan.selection import Selection
from lsstpipe.plan.write import write_plan
from lsstpipe.registry.records import DatasetRecord

SIDE_DEG = 3.0
RADIUS_DEG = 0.44
BOUNDS = {"ms_per_quantum": 0.3, "kb_per_quantum": 5.0}


def make_campaign() -> Campaign:
    """One tract of 10 x 10 patches over the whole field."""
    return parse_campaign(
        {
            "name": "bench",
            "instrument": "st10",
            "raws": ["*.fits"],
            "repo": "runs/bench",
            "reference_catalog": {"path": "stars.csv"},
            "skymap": {
                "name": "bench",
                "pixel_scale_arcsec": 2.374,
                "patch_inner_y": 460,
                "patch_inner_x": 460,
                "tracts": [{"ra_deg": 180, "dec_deg": 0, "n_patches_y": 10, "n_patches_x": 10}],
            },
        }
    )


def make_selection(campaign: Campaign, n_visits: int) -> Selection:
    """Visits at random places of the field, and ten darks."""
    rng = np.random.default_rng(1)
    n_rows = n_visits + 10
    is_dark = np.arange(n_rows) < 10
    raws = Rows(
        {
            "instrument": np.full(n_rows, "st10"),
            "exposure": np.arange(n_rows),
            "detector": np.zeros(n_rows, np.int64),
            "physical_filter": np.where(is_dark, "none", "Filter 2"),
            "band": np.where(is_dark, "none", "clear"),
            "observation_type": np.where(is_dark, "dark", "science"),
            "ra_deg": 180 + rng.uniform(-SIDE_DEG / 2, SIDE_DEG / 2, n_rows),
            "dec_deg": rng.uniform(-SIDE_DEG / 2, SIDE_DEG / 2, n_rows),
            "mid_mjd": 60000 + np.arange(n_rows) / 1000,
        }
    )
    records = [
        _record("raw", DataId(instrument="st10", exposure=e, detector=0)) for e in range(n_rows)
    ]
    existing = {
        "reference_catalog": [_record("reference_catalog", DataId())],
        "skymap": [_record("skymap", DataId(skymap="bench"))],
    }
    patches, polygons = make_patches(make_skymap(campaign))
    return Selection(raws, records, patches, polygons, RADIUS_DEG, existing)


def _record(kind: str, data_id: DataId) -> DatasetRecord:
    ref = make_ref(datasets.DATASET_TYPES[kind], data_id, "bench")
    return DatasetRecord(ref.id, kind, ref.data_id, "bench", ref.path, 1, "blake2b:0")


def measure(n_visits: int) -> dict[str, float]:
    """Plan a campaign twice: once for the time, once for the memory."""
    campaign = make_campaign()
    selection = make_selection(campaign, n_visits)
    with tempfile.TemporaryDirectory() as folder:
        cpu = time.process_time()
        summary = write_plan(Path(folder), Builder(campaign, selection).build(), campaign)
        cpu = time.process_time() - cpu
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
        tracemalloc.start()
        write_plan(Path(folder), Builder(campaign, selection).build(), campaign)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    n_quanta = summary["n_quanta"]
    return {
        "n_visits": n_visits,
        "n_quanta": n_quanta,
        "n_chunks": summary["n_chunks"],
        "cpu_s": round(cpu, 2),
        "ms_per_quantum": round(1000 * cpu / n_quanta, 3),
        "kb_per_quantum": round(peak / 1000 / n_quanta, 2),
        "disk_bytes_per_quantum": round(size / n_quanta),
    }


def main() -> None:
    """Measure campaigns of growing size."""
    make_campaign()
    sizes = [int(argument) for argument in sys.argv[1:]] or [100, 500, 2000]
    rows = [measure(n_visits) for n_visits in sizes]
    print(*(f"{name:>22}" for name in rows[0]), sep="")
    for row in rows:
        print(*(f"{value:>22}" for value in row.values()), sep="")
    for name, bound in BOUNDS.items():
        print(f"{name} at {rows[-1]['n_quanta']} quanta: {rows[-1][name]} (bound {bound})")
    path = Path("runs/bench/plan.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
