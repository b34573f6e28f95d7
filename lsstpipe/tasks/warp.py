"""warp: resample a visit to the pixels of a patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.coadd_psf import CellGrid, PsfInput, cell_shares, coadd_psf
from lsstpipe.algorithms.combine import EXCLUDED
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.resample import between, blank, covariance_factor, warp
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.photocalib import photo_calib_from_json
from lsstpipe.tasks.base import Json, TaskConfig

FloatArray = npt.NDArray[np.float64]

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


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one detector gives to the warp of a visit.

    Attributes
    ----------
    source
        Its PSF, and where its pixels are.
    shares
        Share of each cell that it fills with pixels to be averaged, shape ``(n_cell_y, n_cell_x)``.
    filled
        Share of each cell that it fills at all, same shape.
    figures
        What a coadd has to know of it: one number each for the whole detector.
    info
        What its header says.
    """

    source: PsfInput
    shares: FloatArray
    filled: FloatArray
    figures: dict[str, float]
    info: ObservationInfo | None


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Resample one visit to one patch, in the units of the joint calibration.

    Where detectors overlap the first fills a pixel. A cell has the mean PSF of the detectors whose
    pixels of it are averaged in a coadd, if there are any, else of those that fill it.
    """
    tract = SkyMap.from_json_dict(inputs.skymap).tracts[data_id.integer("tract")]
    box = tract.patch(data_id.integer("patch")).outer
    summaries = {d["detector"]: d for d in inputs.visit_summary["detectors"]}
    whole = blank(box)
    parts = [
        _fill(whole, exposure, summaries[own.integer("detector")], tract.wcs, config)
        for own, exposure in sorted(inputs.visit_image.items(), key=lambda item: str(item[0]))
        if own.integer("detector") in summaries
        and summaries[own.integer("detector")]["psf_fwhm_pix"] <= config.max_psf_fwhm_pix
    ]
    used = [part for part in parts if part is not None]
    if not used:
        raise NoWorkFound("No usable detector of the visit reaches this patch.")
    shares = np.stack([part.shares for part in used])
    filled = np.stack([part.filled for part in used])
    n_pixels = filled.sum(axis=(1, 2))
    psf = coadd_psf(
        [part.source for part in used],
        np.where(shares.sum(axis=0) > 0, shares, filled),
        CellGrid(box, config.cell_size_pix),
        size=config.psf_size_pix,
        order=config.kernel_order,
    )
    return Outputs(
        Exposure(
            image=whole.image,
            mask=whole.mask,
            variance=whole.variance,
            box=box,
            unit="nJy",
            psf=psf,
            wcs=tract.wcs,
            info=used[0].info,
            metadata={
                name: float(np.average([part.figures[name] for part in used], weights=n_pixels))
                for name in used[0].figures
            }
            | {"widest_psf_sigma_pix": max(part.figures["psf_sigma_pix"] for part in used)},
        )
    )


def _fill(
    whole: Planes, exposure: Exposure, summary: Json, target: SkyWcs, config: Config
) -> _Part | None:
    """Resample one detector to the pixels that are empty; None where it reaches hardly any."""
    if exposure.psf is None or exposure.aperture_correction is None:
        raise ValueError("A visit image has a PSF and an aperture correction.")
    box = Box(whole.y0, whole.x0, *whole.image.shape)
    to_source = between(target, SkyWcs.from_json_dict(summary["wcs"]))
    warped = warp(_calibrated(exposure, summary), box, to_source, order=config.kernel_order)
    filled = np.isfinite(warped.image) & ~np.isfinite(whole.image)
    if filled.sum() < _LEAST_PIXELS:
        return None
    whole.image[filled] = warped.image[filled]
    whole.variance[filled] = warped.variance[filled]
    whole.mask[filled] = warped.mask[filled]
    own = exposure.box
    figures = {
        "variance_factor": covariance_factor(
            to_source, box, summary["psf_sigma_pix"], order=config.kernel_order
        ),
        "psf_sigma_pix": summary["psf_sigma_pix"],
        "aperture_correction": float(
            exposure.aperture_correction.factor(y=own.y0 + own.ny / 2, x=own.x0 + own.nx / 2)
        ),
    }
    usable = filled & ~has(warped.mask, EXCLUDED)
    shares, reached = cell_shares(np.stack([usable, filled]), CellGrid(box, config.cell_size_pix))
    return _Part(PsfInput(exposure.psf, to_source), shares, reached, figures, exposure.info)


def _calibrated(exposure: Exposure, summary: Json) -> Planes:
    """Take the planes of a detector in nJy, without marks that hold for the detector alone."""
    factor = photo_calib_from_json(summary["photo_calib"]).factor_image(exposure.box)
    return Planes(
        (exposure.image * factor).astype(np.float32),
        (exposure.variance * factor**2).astype(np.float32),
        exposure.mask & ~np.int32(MaskPlane.EDGE | MaskPlane.DETECTED),
        exposure.box.y0,
        exposure.box.x0,
    )
