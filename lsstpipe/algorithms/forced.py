"""PSF photometry: fluxes at given positions, and positions fitted with the PSF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._forced_kernel import refine, subtract
from lsstpipe.algorithms.aperture import measure_annulus_background
from lsstpipe.algorithms.flux_solution import (
    Pixels,
    Solution,
    draw_gradients,
    draw_stamps,
    first_pixels,
    prepare_pixels,
    solve_stamps,
    weigh_photons,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import INVALID, MaskPlane, has
from lsstpipe.image.psf import Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_WEIGHED_AT = 1
"""The first step brings the sources to where their photons are; the next can weigh them."""


@dataclass(frozen=True, slots=True)
class ForcedSettings:
    """How to fit PSFs.

    Attributes
    ----------
    source_noise
        Whether the errors hold the photon noise of the sources; without it they are those of a
        source of no flux, which keeps light curves free of a bias towards faint epochs.
    photon_weights
        Power to which the photon noise of the fitted sources counts in the weights: 0 for those of
        the sky, 1 for inverse variances. Positions and fluxes of bright stars then scatter less,
        but their wings count as much as their core, so that light beside them does more harm, and
        an error of the PSF makes a bias that depends on the flux. At the photon limit of a Gaussian
        PSF fluxes scatter by 15, 6 and 0 % more than they must for 0, 0.5 and 1, and a constant
        background does the harm of 4, 6 and more pi sigma^2 pixels.
    annulus
        Inner and outer radius in pixels of the ring whose median is taken off, or None.
    max_masked
        Sources with more than this share of their PSF on unusable pixels are flagged.
    max_shift
        Positions that move further than this many pixels are flagged and go back.
    n_iterations
        Steps of the position fit.
    exclude
        Mask planes whose pixels get no weight.
    """

    source_noise: bool = True
    photon_weights: float = 0.0
    annulus: tuple[float, float] | None = None
    max_masked: float = 0.3
    max_shift: float = 1.5
    n_iterations: int = 4
    exclude: MaskPlane = INVALID


@dataclass(frozen=True, slots=True, eq=False)
class PsfFluxes:
    """PSF fluxes, one value a source.

    Attributes
    ----------
    flux, error
        Flux and standard error; NaN off the image and where no pixel is usable.
    flag
        True where the flux is NaN, too much of the PSF is masked, or a source at the same place
        makes it meaningless.
    off_image
        True where the central pixel is not on the image.
    edge
        True where the edge of the image cuts the stamp.
    masked_share
        Share of the PSF that falls on unusable pixels or off the image.
    blend_factor
        Variance of the flux over what it were without neighbours.
    chi2, n_pixels
        Sum of squared residuals over variances, and number of pixels, of the stamp.
    """

    flux: FloatArray
    error: FloatArray
    flag: BoolArray
    off_image: BoolArray
    edge: BoolArray
    masked_share: FloatArray
    blend_factor: FloatArray
    chi2: FloatArray
    n_pixels: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class PsfPositions:
    """Positions and fluxes from a fit of the PSF.

    Attributes
    ----------
    y, x
        Absolute positions; where flagged, those that were given.
    y_error, x_error
        Standard errors in pixels; NaN where flagged.
    flag
        True where the position could not be fitted.
    fluxes
        Fluxes at the positions.
    """

    y: FloatArray
    x: FloatArray
    y_error: FloatArray
    x_error: FloatArray
    flag: BoolArray
    fluxes: PsfFluxes


def measure_psf_flux(
    planes: Planes,
    psf: Psf,
    *,
    y: FloatArray,
    x: FloatArray,
    sky_variance: FloatImage,
    settings: ForcedSettings | None = None,
) -> PsfFluxes:
    """Measure PSF fluxes at fixed positions, overlapping sources together.

    All fluxes of the image solve one linear least-squares problem. The weights come from the
    variance of the sky, and on request from the photons of the sources as a first solution has
    them, but never from the pixel values, which would make bright sources too faint. Errors come
    from the variance of the pixels through the solution of a source with its 8 strongest
    neighbours.

    Parameters
    ----------
    planes
        Image without background, variance (with source noise) and mask.
    psf
        PSF in absolute coordinates.
    y, x
        Absolute positions, shape ``(n,)``; NaN counts as off the image.
    sky_variance
        Variance of sky and read noise, shape ``(ny, nx)``.
    settings
        How to fit.

    Returns
    -------
    PsfFluxes
        One value a source.
    """
    chosen = settings or ForcedSettings()
    pixels = prepare_pixels(
        planes, sky_variance, exclude=chosen.exclude, source_noise=chosen.source_noise
    )
    position = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    variances = (planes.variance, sky_variance) if chosen.photon_weights > 0 else None
    return _fluxes_at(position, psf, planes, pixels, chosen, variances)


def _fluxes_at(
    position: FloatArray,
    psf: Psf,
    planes: Planes,
    pixels: Pixels,
    chosen: ForcedSettings,
    variances: tuple[FloatImage, FloatImage] | None = None,
) -> PsfFluxes:
    """Measure PSF fluxes with pixels that are prepared already.

    Given the variances, of all and of the sky alone, the weights get the photon noise first.
    """
    row, column = position.T
    inside = _on_image(planes, row, column)
    stamps = draw_stamps(psf, row[inside], column[inside])
    corners = first_pixels(planes, row[inside], column[inside], psf.size)
    background = np.zeros(int(inside.sum()))
    if chosen.annulus is not None:
        background = measure_annulus_background(
            planes, y=row[inside], x=column[inside],
            inner=chosen.annulus[0], outer=chosen.annulus[1],
        )  # fmt: skip
    solved = solve_stamps(pixels, stamps, corners, background)
    if variances is not None:
        sources = (stamps, corners, solved.flux)
        pixels = weigh_photons(pixels, variances, sources, chosen.photon_weights)
        solved = solve_stamps(pixels, stamps, corners, background)
    return _collect(solved, inside, (planes, chosen), (corners + psf.size // 2, psf.size))


def fit_psf(
    planes: Planes,
    psf: Psf,
    *,
    y: FloatArray,
    x: FloatArray,
    sky_variance: FloatImage,
    settings: ForcedSettings | None = None,
) -> PsfPositions:
    """Fit positions and fluxes of sources with the PSF.

    Each step solves all fluxes together, takes the sources off, and shifts each by the linear fit
    of the PSF and its derivatives to what is left at its place. The errors reach the Cramer-Rao
    bound of the sky-limited case, and with full photon weights that of bright sources as well.

    Parameters
    ----------
    planes
        Image without background, variance (with source noise) and mask.
    psf
        PSF in absolute coordinates.
    y, x
        Absolute positions to start from, shape ``(n,)``, within about a pixel.
    sky_variance
        Variance of sky and read noise, shape ``(ny, nx)``.
    settings
        How to fit.

    Returns
    -------
    PsfPositions
        Positions and the fluxes there.
    """
    chosen = settings or ForcedSettings()
    start = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    inside = np.flatnonzero(_on_image(planes, start[:, 0], start[:, 1]))
    pixels = prepare_pixels(
        planes, sky_variance, exclude=chosen.exclude, source_noise=chosen.source_noise
    )
    position, origin = start[inside].copy(), start[inside]
    error, variances = np.full(position.shape, np.nan), (planes.variance, sky_variance)
    for step in range(chosen.n_iterations):
        fitted = _solve_at(position, psf, planes, pixels)
        if chosen.photon_weights > 0 and step == min(_WEIGHED_AT, chosen.n_iterations - 1):
            sources = (fitted.stamps, fitted.corners, fitted.flux)
            pixels = weigh_photons(pixels, variances, sources, chosen.photon_weights)
        found = _shifts(fitted, pixels)
        shift = np.clip(np.where(np.isfinite(found[:, :2]), found[:, :2], 0.0), -0.4, 0.4)
        position = origin + np.clip(
            position + shift - origin, -2.0 * chosen.max_shift, 2.0 * chosen.max_shift
        )
        error = np.sqrt(found[:, 2:])
    bad = ~np.isfinite(error).all(axis=1)
    bad |= np.hypot(*(position - origin).T) > chosen.max_shift
    final, errors = start.copy(), np.full(start.shape, np.nan)
    final[inside] = np.where(bad[:, None], origin, position)
    errors[inside] = np.where(bad[:, None], np.nan, error)
    return PsfPositions(
        y=final[:, 0],
        x=final[:, 1],
        y_error=errors[:, 0],
        x_error=errors[:, 1],
        flag=~np.isfinite(errors).all(axis=1),
        fluxes=_fluxes_at(final, psf, planes, pixels, chosen),
    )


def unbias_fitted_fluxes(flux: FloatArray, error: FloatArray) -> FloatArray:
    """Take off what the freedom of a position adds to the flux of a faint source.

    A fit of the largest likelihood moves to where the noise makes the flux larger: two free
    coordinates add a share of 1 / s^2 at a signal-to-noise ratio s (Portillo, Speagle & Finkbeiner
    2020, AJ 159, 165). It is divided out, which is the same to first order and keeps the sign and
    order of fluxes at any s. The part that detection adds, by losing faint outcomes, stays.

    Parameters
    ----------
    flux, error
        PSF fluxes at positions that were fitted on the same pixels, and their errors, shape
        ``(n,)``.

    Returns
    -------
    numpy.ndarray
        Fluxes, shape ``(n,)``.
    """
    # Without a division by a flux that may be 0.
    return flux * (flux * flux / (flux * flux + error * error))


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """Sources at their positions: PSF and derivatives, the PSF alone, first pixels, fluxes."""

    gradients: FloatImage
    stamps: FloatImage
    corners: IntArray
    flux: FloatArray


def _solve_at(position: FloatArray, psf: Psf, planes: Planes, pixels: Pixels) -> _Fitted:
    """Solve all fluxes together at some positions; where none is found it counts as 0."""
    row, column = position.T
    gradients = draw_gradients(psf, row, column)
    stamps = np.ascontiguousarray(gradients[:, 0])
    corners = first_pixels(planes, row, column, psf.size)
    flux = solve_stamps(pixels, stamps, corners, np.zeros(len(position))).flux
    return _Fitted(gradients, stamps, corners, np.nan_to_num(flux))


def _shifts(fitted: _Fitted, pixels: Pixels) -> FloatArray:
    """Take all sources off and find how far each is from its position, with variances."""
    residual = pixels.image.copy()
    subtract(residual, fitted.stamps, fitted.corners, fitted.flux)
    found: FloatArray = refine(
        residual, pixels.weight, pixels.variance, fitted.gradients, fitted.corners, fitted.flux
    )
    return found


def _on_image(planes: Planes, y: FloatArray, x: FloatArray) -> BoolArray:
    """Find the positions whose pixel is on the image."""
    row, column = (
        nearest_pixel(np.nan_to_num(y, nan=-1e9)),
        nearest_pixel(np.nan_to_num(x, nan=-1e9)),
    )
    ny, nx = planes.image.shape
    inside: BoolArray = np.logical_and.reduce(
        [row >= planes.y0, row < planes.y0 + ny, column >= planes.x0, column < planes.x0 + nx]
    )
    return inside


def _collect(
    solved: Solution,
    inside: BoolArray,
    context: tuple[Planes, ForcedSettings],
    geometry: tuple[IntArray, int],
) -> PsfFluxes:
    """Put the results of the sources on the image beside those off it."""
    planes, settings = context
    centers, size = geometry
    n = len(inside)

    def spread(values: npt.ArrayLike, other: float) -> FloatArray:
        full = np.full(n, other)
        full[inside] = values
        return full

    half = size // 2
    cut = (centers < half).any(axis=1) | (centers + half >= planes.image.shape).any(axis=1)
    share = 1.0 - np.clip(solved.sums[:, 3], 0.0, 1.0)
    masked_center = has(planes.mask, settings.exclude)[centers[:, 0], centers[:, 1]]
    bad = ~np.isfinite(solved.flux) | (share > settings.max_masked) | (solved.blend_factor > 100.0)
    return PsfFluxes(
        flux=spread(solved.flux, np.nan),
        error=np.sqrt(spread(np.where(np.isfinite(solved.flux), solved.variance, np.nan), np.nan)),
        flag=spread((bad | masked_center).astype(np.float64), 1.0) > 0,
        off_image=~inside,
        edge=spread(cut.astype(np.float64), 1.0) > 0,
        masked_share=spread(share, 1.0),
        blend_factor=spread(solved.blend_factor, np.nan),
        chi2=spread(solved.chi2[:, 0], np.nan),
        n_pixels=spread(solved.chi2[:, 1], 0.0).astype(np.int64),
    )
