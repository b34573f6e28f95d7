"""Plans of the real table of stages over made-up exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lsstpipe import datasets
from lsstpipe.config import Campaign, parse_campaign
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.plan.build import Builder
from lsstpipe.plan.quanta import PlannedTask, Quanta, data_ids
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.select import make_skymap
from lsstpipe.plan.selection import Selection
from lsstpipe.registry.records import DatasetRecord
from tests.execute import fake_campaign as fake


def record(kind: str, data_id: DataId, run: str) -> DatasetRecord:
    ref = make_ref(datasets.DATASET_TYPES[kind], data_id, run)
    return DatasetRecord(ref.id, kind, ref.data_id, run, ref.path, 1, "blake2b:1")


def selection(
    n_darks: int = 2,
    ra_deg: tuple[float, ...] = (10.0, 10.0, 20.0),
    filters: Sequence[str] = ("Filter 2",) * 3,
    flats: Sequence[str] = (),
) -> Selection:
    """Some darks, two visits on the tract at 10 degrees, one far from it, and some flats."""
    n_sky = len(ra_deg)
    n_rows = n_darks + n_sky + len(flats)
    exposures = np.arange(1, n_rows + 1)
    raws = Rows(
        {
            "instrument": np.full(n_rows, "st10"),
            "exposure": exposures,
            "detector": np.zeros(n_rows, np.int64),
            "physical_filter": np.array(["none"] * n_darks + [*filters] + [*flats]),
            "band": np.array(["none"] * n_darks + ["clear"] * (n_sky + len(flats))),
            "observation_type": np.array(
                ["dark"] * n_darks + ["science"] * n_sky + ["flat"] * len(flats)
            ),
            "ra_deg": np.array([0.0] * n_darks + list(ra_deg) + [0.0] * len(flats)),
            "dec_deg": np.zeros(n_rows),
            "mid_mjd": 60000.0 + exposures,
        }
    )
    records = [
        record("raw", DataId(instrument="st10", exposure=e, detector=0), "raw")
        for e in exposures.tolist()
    ]
    tract = make_skymap(fake.make_campaign(Path("repo"))).tracts[0]
    existing = {
        "reference_catalog": [record("reference_catalog", DataId(), "run")],
        "skymap": [record("skymap", DataId(skymap="sky"), "run")],
    }
    patches = Rows({"skymap": ["sky"], "tract": [0], "patch": [0]})
    return Selection(raws, records, patches, tract.patch_polygons(), 0.1, existing)


def mosaic(places: Sequence[tuple[int, int]]) -> Selection:
    """Visits of several detectors on the tract at 10 degrees, as visit and detector of each raw."""
    visit, detector = (np.array(values) for values in zip(*places, strict=True))
    n = len(places)
    raws = Rows(
        {
            "instrument": np.full(n, "simcam"),
            "exposure": visit,
            "detector": detector,
            "physical_filter": np.full(n, "sim-r"),
            "band": np.full(n, "r"),
            "observation_type": np.full(n, "science"),
            "ra_deg": np.full(n, 10.0),
            "dec_deg": np.zeros(n),
            "mid_mjd": 60000.0 + visit,
        }
    )
    records = [
        record("raw", DataId(instrument="simcam", exposure=v, detector=d), "raw") for v, d in places
    ]
    plain = selection()
    return replace(plain, raws=raws, records=records)


def campaign_of(**changes: object) -> Campaign:
    """The settings of the fake production with the real stages."""
    settings = fake.make_campaign(Path("repo")).model_dump(mode="json", exclude=set(fake.STAGES))
    if "target_minutes" in changes:
        del settings["visits_per_chunk"]
    return parse_campaign(settings | changes)


def build(selected: Selection, **changes: object) -> Quanta:
    return Builder(campaign_of(**changes), selected).build()


def task_of(quanta: Quanta, name: str) -> PlannedTask:
    return next(task for task in quanta.tasks if task.task.name == name)


def inputs_of(quanta: Quanta, task: PlannedTask, row: int) -> list[tuple[str, str]]:
    """Type and data ID of the inputs of a quantum."""
    found = []
    for number in task.inputs[task.input_offsets[row] : task.input_offsets[row + 1]]:
        part = [p for p in quanta.datasets if p.start <= number][-1]
        data_id = data_ids(part.rows, part.dataset_type.dimensions)[int(number) - part.start]
        found.append((part.dataset_type.name, str(data_id)))
    return found
