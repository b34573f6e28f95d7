"""THE table of stages: their tasks in order, the chunk that one job runs, what is kept.

A stage's name is its rule, rule file, configuration section, log folder and test. A task's name is
its module in `lsstpipe.tasks` and its part of that section.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from lsstpipe.tasks.base import Port, read_ports

ObservationType = Literal["bias", "dark", "flat", "spot", "science", ""]


@dataclass(frozen=True, slots=True)
class Task:
    """One algorithmic step.

    Attributes
    ----------
    name
        Name of its module in `lsstpipe.tasks`.
    dimensions
        What tells one of its quanta from another.
    observation_type
        Kind of raw exposure that it takes, where it takes raws.
    other_type
        Kind that it takes for the data IDs that have none of the first, if it can.
    needs
        What a detector or filter must have for the task to have something to do.
    """

    name: str
    dimensions: tuple[str, ...]
    observation_type: ObservationType = ""
    other_type: ObservationType = ""
    needs: Literal["several amplifiers", "fringes", ""] = ""

    @property
    def module(self) -> ModuleType:
        """The module with its ``Config``, ``Inputs``, ``Outputs`` and ``run``."""
        return importlib.import_module(f"lsstpipe.tasks.{self.name}")

    @property
    def makes_calibrations(self) -> bool:
        """Whether all that it makes are calibrations."""
        return all(port.dataset_type.is_calibration for port in self.outputs)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Its input ports."""
        return read_ports(self.module, "Inputs")

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Its output ports."""
        return read_ports(self.module, "Outputs")


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks that run together, in order and in memory, on one chunk."""

    name: str
    chunk_dimensions: tuple[str, ...]
    tasks: tuple[Task, ...]
    retained: tuple[str, ...]
    doc: str


_SENSOR = ("instrument", "detector")
_DETECTOR = ("instrument", "visit", "detector")
_TRACT = ("instrument", "skymap", "tract")
_PATCH = ("skymap", "tract", "patch")

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ingest", (), (), (), "Read the headers of the raws and register them."),
        Stage(
            "calibs",
            ("instrument", "detector"),
            (
                Task("bias", _SENSOR, "bias"),
                Task("ptc", _SENSOR, "flat"),
                Task("linearizer", _SENSOR, "flat"),
                Task("crosstalk", _SENSOR, "spot", "science", needs="several amplifiers"),
                Task("bfk", _SENSOR, "flat"),
                Task("dark", _SENSOR, "dark"),
                Task("defects", _SENSOR),
                Task("flat", (*_SENSOR, "physical_filter"), "flat", "science"),
                Task("fringe", (*_SENSOR, "physical_filter"), "science", needs="fringes"),
            ),
            (
                *("bias", "ptc", "linearizer", "crosstalk", "bfk"),
                *("dark", "defects", "flat", "fringe"),
            ),
            "Make the calibrations of each detector, those that its raws allow.",
        ),
        Stage(
            "visit",
            ("instrument", "visit"),
            (Task("isr", _DETECTOR, "science"), Task("calibrate", _DETECTOR)),
            ("visit_image", "source", "visit_detector_summary"),
            "Remove the camera's signature and calibrate each visit by itself.",
        ),
        Stage(
            "visit_summary",
            _TRACT,
            (
                Task("isolated_star", _TRACT),
                Task("joint_astrometry", _TRACT),
                Task("joint_photometry", _TRACT),
                Task("visit_summary", _TRACT),
            ),
            ("isolated_star", "joint_astrometry", "joint_photometry", "visit_summary"),
            "Calibrate all visits of a tract together.",
        ),
        Stage(
            "coadd",
            (*_PATCH, "band"),
            (
                Task("warp", ("instrument", *_PATCH, "visit")),
                Task("assemble", (*_PATCH, "band")),
            ),
            ("deep_coadd", "deep_coadd_n_image", "deep_coadd_summary"),
            "Resample the visits to each patch and average them without their artefacts.",
        ),
        Stage(
            "object",
            _PATCH,
            (Task("object", _PATCH),),
            ("object",),
            "Detect, deblend and measure objects on the coadds.",
        ),
        Stage(
            "forced",
            ("instrument", "visit"),
            (Task("forced", (*_DETECTOR, "skymap", "tract")),),
            ("forced_source",),
            "Measure every object at its position on every visit.",
        ),
        Stage(
            "tables",
            ("instrument", "skymap", "tract"),
            (Task("tables", _TRACT),),
            ("source_table", "object_table", "forced_source_table", "visit_table"),
            "Gather the catalogues of a tract into tables.",
        ),
        Stage(
            "report",
            (),
            (Task("metrics", ()),),
            ("metrics", "lightcurve"),
            "Measure the quality of the campaign and its target's light curve; draw its page.",
        ),
    )
}
"""Every stage by name, in flow order."""
