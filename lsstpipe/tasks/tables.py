"""tables: gather the catalogues of a tract into tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from lsstpipe import datasets
from lsstpipe.data_model import DataId
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.image.columns import FORCED_SOURCE, OBJECT, SOURCE, VISIT
from lsstpipe.image.photocalib import AB_NJY
from lsstpipe.tasks.base import Json, TaskConfig

_SECONDS_PER_DAY = 86400.0


class Config(TaskConfig):
    """What goes into the tables."""

    only_primary: bool = False
    """Whether the object table leaves out the objects that are there a second time."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The catalogues of a tract."""

    source: Annotated[Mapping[DataId, Catalog], datasets.source]
    object: Annotated[Mapping[DataId, Catalog], datasets.object_]
    forced_source: Annotated[Mapping[DataId, Catalog], datasets.forced_source]
    visit_summary: Annotated[Mapping[DataId, Json], datasets.visit_summary]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The tables of a tract."""

    source_table: Annotated[Catalog, datasets.source_table]
    object_table: Annotated[Catalog, datasets.object_table]
    forced_source_table: Annotated[Catalog, datasets.forced_source_table]
    visit_table: Annotated[Catalog, datasets.visit_table]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Gather the catalogues of one tract, in the order of their data IDs."""
    objects = concatenate(OBJECT, _in_order(inputs.object))
    if config.only_primary:
        objects = objects.select(objects["detect_isPrimary"].astype(bool))
    forced = concatenate(FORCED_SOURCE, _in_order(inputs.forced_source))
    order = np.lexsort((forced["detector"], forced["visit"], forced["objectId"]))
    summaries = [inputs.visit_summary[key] for key in sorted(inputs.visit_summary, key=str)]
    return Outputs(
        source_table=concatenate(SOURCE, _in_order(inputs.source)),
        object_table=objects,
        forced_source_table=forced.select(order),
        visit_table=_visits(summaries),
    )


def _in_order(catalogs: Mapping[DataId, Catalog]) -> list[Catalog]:
    """List catalogues by their data IDs."""
    return [catalogs[key] for key in sorted(catalogs, key=str)]


def _visits(summaries: list[Json]) -> Catalog:
    """Make one row a visit and detector."""
    rows = [
        {**detector, "visit": summary["visit"]}
        for summary in summaries
        for detector in summary["detectors"]
    ]
    centers = [_center(row["corners"]) for row in rows]
    factor = [_magnitudes(row["photo_calib"]["scale"]) for row in rows]

    def column(name: str) -> list[float]:
        return [np.nan if row[name] is None else row[name] for row in rows]

    zero_point = np.array(column("zero_point_mag")) + np.array(factor)
    unit = [10 ** (0.4 * (AB_NJY - z)) for z in zero_point]
    return Catalog(
        VISIT,
        {
            "visit": column("visit"),
            "detector": column("detector"),
            "physical_filter": [row["physical_filter"] for row in rows],
            "band": [row["band"] for row in rows],
            "obsStartMjd": [
                row["mid_mjd"] - row["exposure_time_s"] / 2 / _SECONDS_PER_DAY for row in rows
            ],
            "expMidptMjd": column("mid_mjd"),
            "expTime": column("exposure_time_s"),
            "ra": [center[0] for center in centers],
            "dec": [center[1] for center in centers],
            "pixelScale": [SkyWcs.from_json_dict(row["wcs"]).pixel_scale_arcsec for row in rows],
            "zeroPoint": zero_point,
            "zeroPointErr": [
                2.5 / np.log(10) * row["photo_calib"]["scale_err"] / row["photo_calib"]["scale"]
                for row in rows
            ],
            "seeing": column("psf_fwhm_arcsec"),
            "psfSigma": column("psf_sigma_pix"),
            "skyBg": np.array(column("sky_electron")) * unit,
            "skyNoise": np.array(column("sky_noise_electron")) * unit,
            "magLim": np.array(column("magnitude_limit")) + np.array(factor),
            "nSource": column("n_source"),
            "nPsfStar": column("n_psf_used"),
            "nAstrometryStar": column("n_astrometry_matched"),
            "astromRmsX": column("astrometry_rms_x_pix"),
            "astromRmsY": column("astrometry_rms_y_pix"),
        },
    )


def _center(corners: list[list[float]]) -> tuple[float, float]:
    """Average the corners of a detector, deg."""
    ra, dec = np.array(corners).T
    turned = (ra - ra[0] + 180) % 360 - 180
    return float((ra[0] + turned.mean()) % 360), float(dec.mean())


def _magnitudes(scale: float) -> float:
    """Turn a factor on fluxes into what it adds to the zero point."""
    return float(-2.5 * np.log10(scale))
