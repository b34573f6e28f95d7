"""Find the PSF of an image of which nothing is known: bright sources, stars among them, the fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._window_kernel import bits_near
from lsstpipe.algorithms.aperture import measure_apertures
from lsstpipe.algorithms.background import estimate_sky_variance
from lsstpipe.algorithms.centroid import measure_centroids
from lsstpipe.algorithms.detect import DetectionSettings, detect_sources
from lsstpipe.algorithms.moments import measure_moments
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import PsfFit, PsfModelSettings, fit_psf_model
from lsstpipe.algorithms.psf_stars import (
    StarCandidates,
    StarSettings,
    select_psf_stars,
    typical_size,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import INVALID, MaskPlane, has
from lsstpipe.image.psf import FWHM_PER_SIGMA, nearest_pixel

_REACH_PER_SIGMA = 6.0
_APERTURE_PER_SIGMA = 3.0
_MUCH_WIDER = 1.8


@dataclass(frozen=True, slots=True)
class PsfSearchSettings:
    """How to find a PSF.

    Attributes
    ----------
    first_fwhm
        Full width at half maximum, in pixels, of the Gaussian that the detection starts from.
    n_sigma
        Significance of the sources among which stars are looked for.
    stars, model
        How stars are chosen, and the PSF fitted to them.
    """

    first_fwhm: float = 3.0
    n_sigma: float = 10.0
    stars: StarSettings = field(default_factory=StarSettings)
    model: PsfModelSettings = field(default_factory=PsfModelSettings)


@dataclass(frozen=True, slots=True, eq=False)
class BrightSources:
    """The sources among which stars are looked for.

    Attributes
    ----------
    candidates
        What is known of them.
    sky_variance
        Variance of sky and read noise between them, shape ``(ny, nx)``.
    sigma
        Width of the Gaussian that they were found with, in pixels.
    """

    candidates: StarCandidates
    sky_variance: npt.NDArray[np.float32]
    sigma: float


def find_psf(planes: Planes, settings: PsfSearchSettings) -> PsfFit:
    """Find the stars of an image and fit its PSF to them.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    settings
        How to.

    Returns
    -------
    PsfFit
        The model and its residuals.

    Raises
    ------
    AlgorithmError
        If there are too few stars.
    """
    return fit_psf_among(planes, find_bright_sources(planes, settings), settings)


def find_bright_sources(planes: Planes, settings: PsfSearchSettings) -> BrightSources:
    """Find and measure the bright sources of an image.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    settings
        How to.

    Raises
    ------
    AlgorithmError
        If there are fewer than a PSF needs.
    """
    sigma = settings.first_fwhm / FWHM_PER_SIGMA
    found, detected = _measure_sources(planes, sigma, settings)
    typical = typical_size(found)
    if typical > _MUCH_WIDER * sigma:
        # A filter much sharper than the stars breaks them up: what is found are not sources.
        sigma = typical
        found, detected = _measure_sources(planes, sigma, settings)
    marked = planes.with_plane(MaskPlane.DETECTED, detected)
    return BrightSources(found, estimate_sky_variance(marked), sigma)


def _measure_sources(
    planes: Planes, sigma: float, settings: PsfSearchSettings
) -> tuple[StarCandidates, npt.NDArray[np.bool_]]:
    """Find sources with a Gaussian filter and measure them; tell which pixels they cover."""
    detection = detect_sources(
        planes, _gaussian(sigma), DetectionSettings(n_sigma=settings.n_sigma)
    )
    if len(detection.y) < settings.model.min_stars:
        raise AlgorithmError(
            f"A PSF needs at least {settings.model.min_stars} stars; {len(detection.y)} sources "
            f"are brighter than {settings.n_sigma:g} sigma."
        )
    centroid = measure_centroids(planes, y=detection.y, x=detection.x, psf_sigma=sigma)
    moments = measure_moments(planes, y=centroid.y, x=centroid.x, psf_sigma=sigma)
    aperture = measure_apertures(
        planes, y=centroid.y, x=centroid.x, radii=(_APERTURE_PER_SIGMA * sigma,)
    )
    found = StarCandidates(
        y=centroid.y,
        x=centroid.x,
        flux=aperture.flux[:, 0],
        flux_error=aperture.error[:, 0],
        sigma=np.sqrt((moments.iyy + moments.ixx) / 2),
    )
    return found, detection.detected


def fit_psf_among(planes: Planes, bright: BrightSources, settings: PsfSearchSettings) -> PsfFit:
    """Choose the stars among bright sources and fit the PSF to them.

    Parameters
    ----------
    planes
        Image without background, variance and mask; the mask may say more than it did when the
        sources were found: those with a cosmic ray in their middle are left out.
    bright
        The sources.
    settings
        How to.

    Returns
    -------
    PsfFit
        The model and its residuals.

    Raises
    ------
    AlgorithmError
        If there are too few stars.
    """
    candidates = _sound(planes, bright.candidates)
    chosen = select_psf_stars(planes, candidates, replace(settings.stars, first_sigma=bright.sigma))
    return fit_psf_model(
        planes,
        y=candidates.y[chosen.index],
        x=candidates.x[chosen.index],
        is_reserved=chosen.is_reserved,
        sky_variance=bright.sky_variance,
        settings=settings.model,
    )


def _sound(planes: Planes, candidates: StarCandidates) -> StarCandidates:
    """Leave out what turned out to be cosmic rays; forget the sizes of what is spoilt.

    Saturated sources are no stars for the PSF, but neighbours of such stars they are.
    """
    known = np.isfinite(candidates.y + candidates.x)
    position = np.stack([candidates.y - planes.y0, candidates.x - planes.x0], axis=1)
    pixels = nearest_pixel(np.where(known[:, None], position, -1e6))
    bits = bits_near(planes.mask, pixels, 1)
    kept = ~has(bits, MaskPlane.CR)
    sizes = np.where(has(bits, INVALID), np.nan, candidates.sigma)
    return StarCandidates(
        **{
            item.name: getattr(candidates, item.name)[kept]
            for item in fields(candidates)
            if item.name != "sigma"
        },
        sigma=sizes[kept],
    )


def _gaussian(sigma: float) -> npt.NDArray[np.float64]:
    """Draw a round Gaussian of sum 1."""
    half = math.ceil(_REACH_PER_SIGMA * sigma)
    offset = np.arange(-half, half + 1)
    line = np.exp(-(offset**2) / (2 * sigma**2))
    stamp: npt.NDArray[np.float64] = np.outer(line, line) / line.sum() ** 2
    return stamp
