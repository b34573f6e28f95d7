"""object: detect, deblend and measure objects on the coadds of a patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.background import (
    BackgroundSettings,
    estimate_sky_variance,
    fit_background,
)
from lsstpipe.algorithms.detect import DetectionSettings, detect_sources
from lsstpipe.algorithms.measure_sources import Columns, MeasureSettings, measure_sources
from lsstpipe.algorithms.planes import Planes
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.image.columns import OBJECT
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import nearest_pixel
from lsstpipe.packed_ids import first_object_id
from lsstpipe.tasks.base import Json, TaskConfig


class Config(TaskConfig):
    """How to find and measure objects."""

    detection_n_sigma: PositiveFloat = 5.0
    """Significance of an object in the matched filter."""

    footprint_growth_pix: NonNegativeFloat = 2.5
    """Pixels by which footprints are grown over the threshold."""

    background_mesh_pix: PositiveInt = 128
    """Side of the meshes of the background that is left on the coadd, in pixels."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The coadds of a patch, and the sky map."""

    deep_coadd: Annotated[Mapping[DataId, Exposure], datasets.deep_coadd]
    deep_coadd_n_image: Annotated[Mapping[DataId, Exposure], datasets.deep_coadd_n_image]
    skymap: Annotated[Json, datasets.skymap]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    object: Annotated[Catalog, datasets.object_]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Detect, deblend and measure the objects of one patch.

    Each band is detected and measured on its own coadd.
    """
    tract = SkyMap.from_json_dict(inputs.skymap).tracts[data_id.integer("tract")]
    inner = tract.patch(data_id.integer("patch")).inner
    bands = sorted(inputs.deep_coadd, key=str)
    if not bands:
        raise NoWorkFound("The patch has no coadd.")
    parts, n_rows = [], 0
    for own in bands:
        coadd, n_image = inputs.deep_coadd[own], inputs.deep_coadd_n_image[own]
        columns = _measure(coadd, n_image, config)
        y, x = columns["y"].astype(np.float64), columns["x"].astype(np.float64)
        ra, dec = tract.wcs.pixel_to_sky(y=y, x=x)
        scale_deg = tract.pixel_scale_arcsec / 3600
        is_inner = inner.contains(y=y, x=x)
        n = len(y)
        first = first_object_id(tract=tract.index, patch=data_id.integer("patch")) + 1 + n_rows
        parents = columns.pop("parent").astype(np.int64)
        parts.append(
            Catalog(
                OBJECT,
                {
                    **columns,
                    "objectId": first + np.arange(n),
                    "tract": np.full(n, tract.index),
                    "patch": np.full(n, data_id.integer("patch")),
                    "band": np.full(n, str(own["band"])),
                    "parentObjectId": np.where(parents >= 0, first + parents, 0),
                    "coord_ra": ra,
                    "coord_dec": dec,
                    "coord_raErr": columns["xErr"].astype(np.float64) * scale_deg,
                    "coord_decErr": columns["yErr"].astype(np.float64) * scale_deg,
                    "detect_isPatchInner": is_inner,
                    "detect_isPrimary": is_inner & (columns["deblend_nChild"] == 0),
                },
            )
        )
        n_rows += n
    return Outputs(concatenate(OBJECT, parts))


def _measure(coadd: Exposure, n_image: Exposure, config: Config) -> Columns:
    """Detect and measure on one coadd; parents of blends come after all others."""
    if coadd.psf is None or coadd.aperture_correction is None:
        raise ValueError("A coadd has a PSF and an aperture correction.")
    box = coadd.box
    background = fit_background(
        np.where(np.isfinite(coadd.image), coadd.image, np.float32(0)),
        coadd.mask,
        BackgroundSettings(mesh_size=config.background_mesh_pix),
    )
    planes = Planes(coadd.image - background.image, coadd.variance, coadd.mask, box.y0, box.x0)
    center = coadd.psf.stamp(y=float(box.y0 + box.ny // 2), x=float(box.x0 + box.nx // 2))
    detection = detect_sources(
        planes,
        center,
        DetectionSettings(n_sigma=config.detection_n_sigma, growth=config.footprint_growth_pix),
    )
    if len(detection.y) == 0:
        raise NoWorkFound(
            f"Nothing on the coadd is brighter than {config.detection_n_sigma:g} sigma."
        )
    detected = np.where(detection.detected, np.int32(MaskPlane.DETECTED), np.int32(0))
    planes = replace(planes, mask=planes.mask | detected)
    columns = measure_sources(
        planes,
        coadd.psf,
        detection=detection,
        sky_variance=estimate_sky_variance(planes),
        settings=MeasureSettings(deblend=True),
    )
    factor = coadd.aperture_correction.factor(
        y=columns["y"].astype(np.float64), x=columns["x"].astype(np.float64)
    )
    for name in ("psfFlux", "psfFluxErr"):
        columns[name] = columns[name].astype(np.float64) * factor
    columns["snr"] = detection.significance
    columns["inputCount"] = _count_inputs(n_image, columns)
    return _add_parents(columns, detection.footprint)


def _count_inputs(n_image: Exposure, columns: Columns) -> npt.NDArray[np.int32]:
    """Read the number of warps at each object."""
    box = n_image.box
    pixel = nearest_pixel(np.stack([columns["y"], columns["x"]], axis=1).astype(np.float64))
    pixel = np.clip(pixel - (box.y0, box.x0), 0, (box.ny - 1, box.nx - 1))
    count: npt.NDArray[np.int32] = n_image.image[pixel[:, 0], pixel[:, 1]].astype(np.int32)
    return count


def _add_parents(columns: Columns, footprint: npt.NDArray[np.int64]) -> Columns:
    """Append a row for each footprint of several peaks, placed at its brightest peak.

    Nothing is measured on a blend as a whole: its fluxes are NaN and flagged.
    """
    labels, first, of_peak, n_peaks = np.unique(
        footprint, return_index=True, return_inverse=True, return_counts=True
    )
    blends = np.flatnonzero(n_peaks > 1)
    row = np.full(len(labels), -1, dtype=np.int64)
    row[blends] = len(footprint) + np.arange(len(blends))
    # Peaks come in order of falling significance, so the first of a label is its brightest.
    source = first[blends]
    result: Columns = {}
    for name, values in columns.items():
        added = values[source]
        if name.endswith("_flag"):
            added = np.ones(len(source), dtype=bool)
        elif values.dtype.kind == "f" and name not in ("x", "y", "snr"):
            added = np.full(len(source), np.nan)
        result[name] = np.concatenate([values, added])
    n_child = np.zeros(len(footprint) + len(blends), dtype=np.int32)
    n_child[len(footprint) :] = n_peaks[blends]
    result["deblend_nChild"] = n_child
    result["parent"] = np.concatenate([row[of_peak.ravel()], np.full(len(blends), -1)])
    return result
