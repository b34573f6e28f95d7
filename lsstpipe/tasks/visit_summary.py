"""visit_summary: gather the final calibration of each visit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import PositiveFloat

from lsstpipe import datasets
from lsstpipe.data_model import DataId
from lsstpipe.tasks.base import Json, TaskConfig


class Config(TaskConfig):
    """Which visits are good enough to go on with."""

    max_psf_fwhm_pix: float = 12.0
    """Widest PSF of a visit that goes on, full width at half maximum in pixels."""

    max_zero_point_variation_mag: PositiveFloat = 0.2
    """Largest significant change of the zero point over a detector that goes on, rms; clouds."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of the visits of a tract."""

    visit_detector_summary: Annotated[Mapping[DataId, Json], datasets.visit_detector_summary]
    joint_astrometry: Annotated[Json, datasets.joint_astrometry]
    joint_photometry: Annotated[Json, datasets.joint_photometry]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    visit_summary: Annotated[Mapping[DataId, Json], datasets.visit_summary]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Gather the final calibration of each visit of one tract.

    A detector that a joint fit could not use is left out, and so is a visit without detectors.
    """
    wcs = {(d["visit"], d["detector"]): d["wcs"] for d in inputs.joint_astrometry["detectors"]}
    calib = {
        (d["visit"], d["detector"]): d["photo_calib"] for d in inputs.joint_photometry["detectors"]
    }
    detectors: dict[DataId, list[Json]] = defaultdict(list)
    for own in sorted(inputs.visit_detector_summary, key=str):
        summary = inputs.visit_detector_summary[own]
        key = (own.integer("visit"), own.integer("detector"))
        if key not in wcs or key not in calib:
            continue
        if summary["psf_fwhm_pix"] > config.max_psf_fwhm_pix:
            continue
        if _is_cloudy(summary["photometry"], config):
            continue
        figures = {
            name: value for name, value in summary.items() if not isinstance(value, dict | list)
        }
        visit = own.subset(("instrument", "visit"))
        detectors[visit].append(
            {
                **figures,
                "corners": summary["corners"],
                "wcs": wcs[key],
                "photo_calib": calib[key],
                "zero_point_mag": summary["photometry"]["zero_point_mag"],
                "n_astrometry_matched": summary["astrometry"]["n_matched"],
                "astrometry_rms_y_pix": summary["astrometry"]["rms_y_pix"],
                "astrometry_rms_x_pix": summary["astrometry"]["rms_x_pix"],
            }
        )
    return Outputs(
        {
            visit: {
                "instrument": visit["instrument"],
                "visit": visit["visit"],
                "detectors": parts,
            }
            for visit, parts in detectors.items()
        }
    )


def _is_cloudy(photometry: Json, config: Config) -> bool:
    """Tell whether the zero point changes too much over a detector."""
    if not photometry.get("is_varying", False):
        return False
    return bool(photometry["variation_mag"] > config.max_zero_point_variation_mag)
