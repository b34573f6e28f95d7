"""warp: resample a visit to the pixels of a patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.coadd_psf import CellGrid, PsfInput, coadd_psf
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.resample import between, covariance_factor, warp
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.photocalib import photo_calib_from_json
from lsstpipe.tasks.base import Json, TaskConfig

_LEAST_PIXELS = 100


class Config(TaskConfig):
    """How to resample a visit."""

    kernel_order: Literal[3, 4, 5] = 3
    """Order of the Lanczos kernel."""

    cell_size_pix: PositiveInt = 128
    """Side of the cells in which the PSF is known, in pixels."""

    psf_size_pix: PositiveInt = 25
    """Side of a stamp of the PSF, odd, in pixels."""

    max_psf_fwhm_pix: PositiveFloat = 6.0
    """Widest PSF of a visit that is used, full width at half maximum in pixels."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The detectors of a visit, their final calibration, and the sky map."""

    visit_image: Annotated[Mapping[DataId, Exposure], datasets.visit_image]
    visit_summary: Annotated[Json, datasets.visit_summary]
    skymap: Annotated[Json, datasets.skymap]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    direct_warp: Annotated[Exposure, datasets.direct_warp]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Resample one visit to one patch, in the units of the joint calibration."""
    tract = SkyMap.from_json_dict(inputs.skymap).tracts[data_id.integer("tract")]
    box = tract.patch(data_id.integer("patch")).outer
    summaries = {d["detector"]: d for d in inputs.visit_summary["detectors"]}
    parts = [
        _warp_detector(exposure, summaries[own.integer("detector")], tract.wcs, box, config)
        for own, exposure in sorted(inputs.visit_image.items(), key=lambda item: str(item[0]))
        if own.integer("detector") in summaries
        and summaries[own.integer("detector")]["psf_fwhm_pix"] <= config.max_psf_fwhm_pix
    ]
    parts = [part for part in parts if np.isfinite(part.image).sum() >= _LEAST_PIXELS]
    if not parts:
        raise NoWorkFound("No usable detector of the visit reaches this patch.")
    whole = parts[0]
    for part in parts[1:]:
        empty = ~np.isfinite(whole.image)
        whole.image[empty] = part.image[empty]
        whole.variance[empty] = part.variance[empty]
        whole.mask[empty] = part.mask[empty]
    return Outputs(whole)


def _warp_detector(
    exposure: Exposure, summary: Json, target: SkyWcs, box: Box, config: Config
) -> Exposure:
    """Resample one detector."""
    if exposure.psf is None or exposure.aperture_correction is None:
        raise ValueError("A visit image has a PSF and an aperture correction.")
    factor = photo_calib_from_json(summary["photo_calib"]).factor_image(exposure.box)
    planes = Planes(
        (exposure.image * factor).astype(np.float32),
        (exposure.variance * factor**2).astype(np.float32),
        exposure.mask & ~np.int32(MaskPlane.EDGE | MaskPlane.DETECTED),
        exposure.box.y0,
        exposure.box.x0,
    )
    to_source = between(target, SkyWcs.from_json_dict(summary["wcs"]))
    warped = warp(planes, box, to_source, order=config.kernel_order)
    if np.isfinite(warped.image).sum() < _LEAST_PIXELS:
        psf, variance_factor = None, 1.0
    else:
        grid = CellGrid(box, config.cell_size_pix)
        psf = coadd_psf(
            [PsfInput(exposure.psf, to_source)],
            np.ones((1, *grid.shape)),
            grid,
            size=config.psf_size_pix,
            order=config.kernel_order,
        )
        variance_factor = covariance_factor(
            to_source, box, summary["psf_sigma_pix"], order=config.kernel_order
        )
    return Exposure(
        image=warped.image,
        mask=warped.mask,
        variance=warped.variance,
        box=box,
        unit="nJy",
        psf=psf,
        wcs=target,
        aperture_correction=exposure.aperture_correction,
        info=exposure.info,
        metadata={
            "variance_factor": variance_factor,
            "psf_sigma_pix": summary["psf_sigma_pix"],
            "aperture_correction": float(
                exposure.aperture_correction.factor(
                    y=exposure.box.y0 + exposure.box.ny / 2, x=exposure.box.x0 + exposure.box.nx / 2
                )
            ),
        },
    )
