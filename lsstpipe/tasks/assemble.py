"""assemble: average the warps of a patch in a band, without their artefacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.coadd_psf import CellGrid, cell_weights
from lsstpipe.algorithms.combine import Coadd, WarpStack, combine, warp_weights
from lsstpipe.algorithms.outlier import ArtifactLevels, find_artifacts
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.planted_artifacts import Planted, judge, plant
from lsstpipe.algorithms.psf_match import (
    convolve_varying,
    gaussian_stamp,
    match_psf,
    matching_kernel,
    target_sigma,
)
from lsstpipe.algorithms.single_warp import FEWEST_WARPS, find_displaced
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.box import Box
from lsstpipe.image.aperture_correction import ApertureCorrection
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.psf import CellPsf
from lsstpipe.tasks.base import Json, TaskConfig, plain

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_FEWEST_TO_COMPARE = 3


class Config(TaskConfig):
    """How to average the warps."""

    min_warps: PositiveInt = 1
    """Fewest warps worth averaging."""

    artifact_n_sigma: PositiveFloat = 5.0
    """Significance of an artefact in a direct warp, in standard deviations of a pixel."""

    matched_artifact_n_sigma: PositiveFloat = 7.5
    """Significance of an artefact in a PSF-matched warp, in standard deviations of a pixel."""

    saturated_fraction: PositiveFloat = 0.1
    """Share of the weight that is saturated from which a pixel of the coadd is."""

    plant_artifacts: bool = True
    """Search copies of the warps with planted artefacts too, to tell what share is removed."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The warps of a patch."""

    direct_warp: Annotated[Mapping[DataId, Exposure], datasets.direct_warp]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    deep_coadd: Annotated[Exposure, datasets.deep_coadd]
    deep_coadd_n_image: Annotated[Exposure, datasets.deep_coadd_n_image]
    deep_coadd_summary: Annotated[Json, datasets.deep_coadd_summary]


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What is searched for artefacts: warps as they are, and convolved to one PSF."""

    direct: WarpStack
    matched: WarpStack
    kernels: list[FloatArray]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Average the warps of one patch in one band.

    Artefacts are what one or few warps show and the others do not, found on warps of one PSF; the
    mean itself is linear, so that its PSF is the mean of the warps' PSFs.
    """
    warps = [inputs.direct_warp[key] for key in sorted(inputs.direct_warp, key=str)]
    if len(warps) < config.min_warps:
        raise NoWorkFound(f"{len(warps)} warps; at least {config.min_warps} are worth averaging.")
    direct = WarpStack.of([_planes(w) for w in warps], _factors(warps))
    search = _match(warps, direct)
    stack = _mark(direct, _find(search, config))
    n_clipped = int(has(stack.mask, MaskPlane.CLIPPED).sum())
    weights = warp_weights(stack)
    coadd = combine(stack, weights, sat_fraction=config.saturated_fraction)
    psfs = [_cells(w) for w in warps]
    box = warps[0].box
    psf = _mean_psf(psfs, cell_weights(stack, weights, CellGrid(box, psfs[0].cell_size)))
    corrections = np.array([float(w.metadata["aperture_correction"]) for w in warps])
    correction = float(np.sum(weights * corrections) / np.sum(weights))
    deep_coadd = Exposure(
        image=coadd.planes.image,
        mask=coadd.planes.mask,
        variance=coadd.planes.variance,
        box=box,
        unit="nJy",
        psf=psf,
        wcs=warps[0].wcs,
        aperture_correction=ApertureCorrection(
            ((correction,),), (box.y0, box.x0, box.ny, box.nx), n_stars=len(warps)
        ),
        metadata={
            "n_warps": len(warps),
            "n_clipped_pixels": n_clipped,
            "band": str(data_id["band"]),
        },
    )
    displaced = find_displaced(stack, coadd)
    summary: Json = {
        "n_warps": len(warps),
        "n_clipped_pixels": n_clipped,
        "displaced": asdict(displaced) | {"largest": plain(displaced.largest)},
        "planted": [],
    }
    if config.plant_artifacts and len(warps) >= FEWEST_WARPS:
        rng = np.random.default_rng((data_id.integer("tract"), data_id.integer("patch")))
        found = _try_removal(warps, search, (stack, coadd), config, rng)
        summary["planted"] = [asdict(kind) for kind in found]
    return Outputs(deep_coadd, _make_n_image(coadd.n_image, box), summary)


def _mark(stack: WarpStack, clipped: BoolArray) -> WarpStack:
    """Set CLIPPED in a copy of the mask."""
    mask = stack.mask.copy()
    np.bitwise_or(mask, np.int32(MaskPlane.CLIPPED), out=mask, where=clipped)
    return replace(stack, mask=mask)


def _factors(warps: Sequence[Exposure]) -> FloatArray:
    """Take the factors by which covariance raises the variance of each warp."""
    return np.array([float(w.metadata["variance_factor"]) for w in warps])


def _find(search: _Search, config: Config) -> BoolArray:
    """Find artefacts; two warps cannot tell which is right."""
    if len(search.direct.image) < _FEWEST_TO_COMPARE:
        return np.zeros(search.direct.image.shape, dtype=np.bool_)
    return find_artifacts(search.direct, search.matched, _levels(config))


def _try_removal(
    warps: Sequence[Exposure],
    search: _Search,
    result: tuple[WarpStack, Coadd],
    config: Config,
    rng: np.random.Generator,
) -> list[Planted]:
    """Search the warps with artefacts of known pixels, as they were searched without.

    The images of the search are overwritten: a copy would take a quarter of the memory again.
    """
    stack, coadd = result
    covariance = _factors(warps)
    widths = np.array([float(w.metadata["psf_sigma_pix"]) for w in warps])
    planted = plant(stack, widths, rng, covariance)
    direct, matched = search.direct.image, search.matched.image
    direct += planted
    cell_size = _cells(warps[0]).cell_size
    # Matching is linear: what was planted is all that has to be convolved.
    for image, own, kernels in zip(matched, planted, search.kernels, strict=True):
        known = np.where(np.isfinite(image), own, np.float32(0.0))
        image += convolve_varying(known, kernels.astype(np.float32), cell_size=cell_size)
    return judge(stack, coadd, planted, _find(search, config), covariance)


def _planes(exposure: Exposure) -> Planes:
    """Take the planes of an exposure."""
    return Planes(
        exposure.image, exposure.variance, exposure.mask, exposure.box.y0, exposure.box.x0
    )


def _cells(exposure: Exposure) -> CellPsf:
    """Take the PSF of a warp."""
    if not isinstance(exposure.psf, CellPsf):
        raise TypeError("A warp has a PSF in cells.")
    return exposure.psf


def _levels(config: Config) -> ArtifactLevels:
    """Put the thresholds of the configuration into the default settings."""
    usual = ArtifactLevels()
    return replace(
        usual,
        matched=replace(usual.matched, n_sigma=config.matched_artifact_n_sigma),
        sharp=replace(usual.sharp, n_sigma=config.artifact_n_sigma),
    )


def _match(warps: Sequence[Exposure], direct: WarpStack) -> _Search:
    """Convolve all warps to one PSF, if there are enough to compare."""
    if len(warps) < _FEWEST_TO_COMPARE:
        return _Search(direct, direct, [])
    sigma = target_sigma(np.array([float(w.metadata["widest_psf_sigma_pix"]) for w in warps]))
    kernels = []
    for exposure in warps:
        cells = _cells(exposure)
        target = gaussian_stamp(sigma, cells.size)
        kernels.append(
            np.array([[matching_kernel(stamp, target) for stamp in row] for row in cells.centred])
        )
    # A warp that is without data has NaN there, so that the mask of the direct one serves both.
    matched = replace(
        direct, image=np.empty_like(direct.image), variance=np.empty_like(direct.variance)
    )
    for i, (exposure, own) in enumerate(zip(warps, kernels, strict=True)):
        planes = match_psf(_planes(exposure), own, cell_size=_cells(exposure).cell_size)
        matched.image[i], matched.variance[i] = planes.image, planes.variance
    return _Search(direct, matched, kernels)


def _mean_psf(psfs: Sequence[CellPsf], weights: npt.NDArray[np.float64]) -> CellPsf:
    """Average the PSFs of the warps in each cell."""
    total = weights.sum(axis=0)
    # A cell that nothing fills keeps the plain mean: no pixel of it is ever measured.
    safe = np.where(total > 0, weights, 1.0)
    images = np.stack([psf.images for psf in psfs])
    mean = (safe[:, :, :, None, None] * images).sum(axis=0) / safe.sum(axis=0)[:, :, None, None]
    return replace(psfs[0], images=mean)


def _make_n_image(n_image: npt.NDArray[np.int32], box: Box) -> Exposure:
    """Keep the number of warps of each pixel as an image."""
    return Exposure(
        image=n_image.astype(np.float32),
        mask=np.zeros(n_image.shape, dtype=np.int32),
        variance=np.zeros(n_image.shape, dtype=np.float32),
        box=box,
        unit="count",
    )
