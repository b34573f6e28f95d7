"""A production of three tiny tasks, for tests of what runs tasks; also a program that runs a chunk.

``halve`` and ``square`` run visit by visit and hand over in memory, ``total`` adds up all visits of
a tract.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import numpy as np

from lsstpipe import datasets
from lsstpipe.butler import Butler, ProductStore
from lsstpipe.config import Campaign, parse_campaign
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.errors import AlgorithmError, NoWorkFound
from lsstpipe.execute.chunk import run_chunk
from lsstpipe.geometry.region import polygons_from_sky
from lsstpipe.plan.build import Builder
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan, open_plan
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.selection import Selection
from lsstpipe.plan.write import write_plan
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.stages import Stage, Task
from lsstpipe.tasks.base import Json, TaskConfig

_DETECTOR = ("instrument", "visit", "detector")
_TRACT = ("instrument", "skymap", "tract")


class HalveConfig(TaskConfig):
    add: float = 0.0
    flag: tuple[int, ...] = ()
    idle: tuple[int, ...] = ()
    break_at: int = -1
    sleep_s: float = 0.0


@dataclass(frozen=True)
class HalveInputs:
    skymap: Annotated[Json, datasets.skymap]


@dataclass(frozen=True)
class HalveOutputs:
    visit_summary: Annotated[Json, datasets.visit_summary]


def halve(inputs: HalveInputs, config: HalveConfig, data_id: DataId) -> HalveOutputs:
    time.sleep(config.sleep_s)
    visit = data_id.integer("visit")
    if visit in config.flag:
        raise AlgorithmError(f"Visit {visit} is cloudy.")
    if visit in config.idle:
        raise NoWorkFound(f"Visit {visit} is empty.")
    if visit == config.break_at:
        raise ZeroDivisionError("a bug")
    return HalveOutputs({"value": visit / 2 + config.add + float(inputs.skymap["value"])})


class SquareConfig(TaskConfig):
    power: float = 2.0
    sleep_s: float = 0.0


@dataclass(frozen=True)
class SquareInputs:
    visit_summary: Annotated[Json, datasets.visit_summary]
    dark: Annotated[Json | None, datasets.dark]


@dataclass(frozen=True)
class SquareOutputs:
    visit_detector_summary: Annotated[Json, datasets.visit_detector_summary]


def square(inputs: SquareInputs, config: SquareConfig, data_id: DataId) -> SquareOutputs:
    time.sleep(config.sleep_s)
    return SquareOutputs({"value": inputs.visit_summary["value"] ** config.power})


class TotalConfig(TaskConfig):
    factor: float = 1.0


@dataclass(frozen=True)
class TotalInputs:
    visit_detector_summary: Annotated[Mapping[DataId, Json], datasets.visit_detector_summary]


@dataclass(frozen=True)
class TotalOutputs:
    joint_astrometry: Annotated[Json, datasets.joint_astrometry]


def total(inputs: TotalInputs, config: TotalConfig, data_id: DataId) -> TotalOutputs:
    values = [item["value"] for item in inputs.visit_detector_summary.values()]
    return TotalOutputs({"value": config.factor * sum(values), "n": len(values)})


_MODULES = {
    "halve": (HalveConfig, HalveInputs, HalveOutputs, halve),
    "square": (SquareConfig, SquareInputs, SquareOutputs, square),
    "total": (TotalConfig, TotalInputs, TotalOutputs, total),
}


class FakeTask(Task):
    """A task whose module is this one's."""

    @property
    def module(self) -> ModuleType:
        config, inputs, outputs, run = _MODULES[self.name]
        module: Any = SimpleNamespace(
            Config=config, Inputs=inputs, Outputs=outputs, run=run, __name__=self.name
        )
        return module


STAGES = {
    "visit": Stage(
        "visit",
        ("instrument", "visit"),
        (FakeTask("halve", _DETECTOR), FakeTask("square", _DETECTOR)),
        ("visit_detector_summary",),
        "Visit by visit.",
    ),
    "visit_summary": Stage(
        "visit_summary", _TRACT, (FakeTask("total", _TRACT),), ("joint_astrometry",), "All visits."
    ),
}


def make_campaign(repo: Path, **changes: object) -> Campaign:
    settings: dict[str, object] = {
        "name": "fake",
        "instrument": "st10",
        "raws": ["*.fits"],
        "repo": str(repo),
        "run": "fake",
        "reference_catalog": {"path": "stars.csv"},
        "visits_per_chunk": 1,
        "skymap": {
            "name": "sky",
            "pixel_scale_arcsec": 1.0,
            "patch_inner_y": 100,
            "patch_inner_x": 100,
            "tracts": [{"ra_deg": 10.0, "dec_deg": 0.0}],
        },
    }
    return parse_campaign(settings | changes, STAGES)


def make_selection(n_visits: int, skymap: DatasetRecord | None = None) -> Selection:
    visits = np.arange(1, n_visits + 1)
    raws = Rows(
        {
            "instrument": np.full(n_visits, "st10"),
            "exposure": visits,
            "detector": np.zeros(n_visits, np.int64),
            "physical_filter": np.full(n_visits, "V"),
            "band": np.full(n_visits, "v"),
            "observation_type": np.full(n_visits, "science"),
            "ra_deg": np.full(n_visits, 10.0),
            "dec_deg": np.zeros(n_visits),
            "mid_mjd": 60000.0 + visits,
        }
    )
    records = [
        DatasetRecord(ref.id, "raw", ref.data_id, "raw", f"/raws/{visit}.fits", 1, "blake2b:0")
        for visit in visits.tolist()
        for ref in [
            make_ref(datasets.raw, DataId(instrument="st10", exposure=visit, detector=0), "raw")
        ]
    ]
    patches = Rows({"skymap": ["sky"], "tract": [0], "patch": [0]})
    polygons = polygons_from_sky([[9.9, 10.1, 10.1, 9.9]], [[-0.1, -0.1, 0.1, 0.1]])
    existing = {"skymap": [skymap]} if skymap is not None else {}
    return Selection(raws, records, patches, polygons, 0.2, existing)


def skymap_of(repo: Path, value: float = 0.0) -> DatasetRecord:
    """Write the sky map of the repository, which holds a value."""
    ref = make_ref(datasets.skymap, DataId(skymap="sky"), "fake")
    return ProductStore(repo).write(ref, {"value": value})


def make_plan(repo: Path, n_visits: int = 4, value: float = 0.0, **changes: object) -> Plan:
    """Make a repository with a sky map that holds a value, and a plan of visits 1 to n."""
    Butler.create(repo, exist_ok=True)
    campaign = make_campaign(repo, **changes)
    skymap = skymap_of(repo, value)
    quanta = Builder(campaign, make_selection(n_visits, skymap), STAGES).build()
    write_plan(repo / "plan", quanta, campaign)
    return open_plan(repo / "plan", STAGES)


def run_all(plan: Plan, stages: tuple[str, ...] = ("visit", "visit_summary")) -> None:
    for stage in stages:
        for name in plan.chunks[stage]:
            path = manifest_path(plan.campaign.repo, stage, name)
            run_chunk(plan, stage, name, path, stages=STAGES)


def products(repo: Path) -> dict[str, bytes]:
    """Read every product of the run, by path."""
    root = repo / "fake"
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.json"))}


if __name__ == "__main__":
    run_all(open_plan(sys.argv[1], STAGES), tuple(sys.argv[2:]))
