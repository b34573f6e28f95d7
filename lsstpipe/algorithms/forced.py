"""PSF photometry: fluxes at given positions, and positions fitted with the PSF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lsstpipe.algorithms._forced_kernel import (
    blend_errors,
    chi_squared,
    overlap,
    project,
    refine,
    solve_fluxes,
    subtract,
)
from lsstpipe.algorithms.aperture import measure_annulus_background
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import INVALID, MaskPlane, has
from lsstpipe.image.psf import Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_RIDGE = 1e-7
_N_NEIGHBOURS = 8
_N_DRAWN = 1024


@dataclass(frozen=True, slots=True)
class ForcedSettings:
    """How to fit PSFs.

    Attributes
    ----------
    source_noise
        Whether the errors hold the photon noise of the sources; without it they are those of a
        source of no flux, which keeps light curves free of a bias towards faint epochs.
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


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """What the kernels read of an image."""

    image: FloatImage
    weight: FloatImage
    variance: FloatImage
    precision: FloatImage


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
    variance of the sky alone: weights that follow the pixel values make bright sources too faint
    and let errors of the PSF depend on the flux. Errors come from the variance of the pixels
    through the solution of a source with its 8 strongest neighbours.

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
    row, column = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    inside = _on_image(planes, row, column)
    pixels = _pixels(planes, sky_variance, chosen)
    stamps = _draw(psf, row[inside], column[inside])
    corners = _corners(planes, row[inside], column[inside], psf.size)
    background = np.zeros(int(inside.sum()))
    if chosen.annulus is not None:
        background = measure_annulus_background(
            planes, y=row[inside], x=column[inside],
            inner=chosen.annulus[0], outer=chosen.annulus[1],
        )  # fmt: skip
    solved = _solve(pixels, stamps, corners, background)
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
    of the PSF and its derivatives to what is left at its place. With good weights the errors reach
    the Cramer-Rao bound of the sky-limited case.

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
    pixels = _pixels(planes, sky_variance, chosen)
    position, origin = start[inside].copy(), start[inside]
    error = np.full(position.shape, np.nan)
    for _ in range(chosen.n_iterations):
        stamps = psf.gradients(y=position[:, 0], x=position[:, 1]).astype(np.float32)
        corners = _corners(planes, position[:, 0], position[:, 1], psf.size)
        plain = np.ascontiguousarray(stamps[:, 0])
        flux = _solve(pixels, plain, corners, np.zeros(len(inside))).flux
        flux = np.where(np.isfinite(flux), flux, 0.0)
        residual = pixels.image.copy()
        subtract(residual, plain, corners, flux)
        found = refine(residual, pixels.weight, pixels.variance, stamps, corners, flux)
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
        fluxes=measure_psf_flux(
            planes, psf, y=final[:, 0], x=final[:, 1], sky_variance=sky_variance, settings=chosen
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    """What the linear fit gives for the sources on the image."""

    flux: FloatArray
    variance: FloatArray
    sums: FloatArray
    blend_factor: FloatArray
    chi2: FloatArray


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


def _pixels(planes: Planes, sky_variance: FloatImage, settings: ForcedSettings) -> _Pixels:
    """Prepare image, weights and variance for the kernels."""
    usable = planes.usable(settings.exclude) & (sky_variance > 0)
    source = planes.variance if settings.source_noise else sky_variance
    variance = np.where(usable, source, np.float32(1.0))
    weight, precision = np.zeros((2, *usable.shape), dtype=np.float32)
    np.divide(1.0, sky_variance, out=weight, where=usable)
    np.divide(1.0, variance, out=precision, where=usable)
    image = np.where(usable, planes.image, np.float32(0.0))
    return _Pixels(image, weight, variance, precision)


def _draw(psf: Psf, y: FloatArray, x: FloatArray) -> FloatImage:
    """Draw the PSF at every position in single precision."""
    stamps = np.empty((len(y), psf.size, psf.size), dtype=np.float32)
    for first in range(0, len(y), _N_DRAWN):
        part = slice(first, first + _N_DRAWN)
        stamps[part] = psf.stamps(y=y[part], x=x[part])
    return stamps


def _corners(planes: Planes, y: FloatArray, x: FloatArray, size: int) -> IntArray:
    """Find the first pixel of each stamp in array coordinates."""
    corner = np.stack([nearest_pixel(y) - planes.y0, nearest_pixel(x) - planes.x0], axis=1)
    return corner - size // 2


def _solve(
    pixels: _Pixels, stamps: FloatImage, corners: IntArray, background: FloatArray
) -> _Solution:
    """Solve for the fluxes of all sources on the image."""
    size = stamps.shape[1]
    sums = project(pixels.image, pixels.weight, pixels.variance, stamps, corners)
    if background.any():
        flat = np.ones(pixels.image.shape, dtype=np.float32)
        sums[:, 0] -= (
            background * project(flat, pixels.weight, pixels.variance, stamps, corners)[:, 0]
        )
    empty = ~(sums[:, 1] > 0)
    sums[empty, 1] = 1.0
    pairs = _overlapping_pairs(corners, size)
    off = overlap(pixels.weight, pixels.variance, stamps, corners, pairs)
    flux = solve_fluxes(
        sums[:, 0].copy(), sums[:, 1] * (1.0 + _RIDGE), pairs, np.ascontiguousarray(off[:, 0])
    )
    errors = blend_errors(sums, pairs, off, _strongest(sums, pairs, off[:, 0]), _RIDGE)
    residual = pixels.image.copy()
    subtract(residual, stamps, corners, flux)
    chi2 = chi_squared(residual, pixels.precision, size, corners)
    flux[empty] = np.nan
    # A list of neighbours that had to be cut short may give too little.
    variance = np.maximum(errors[:, 0], sums[:, 2] / sums[:, 1] ** 2)
    return _Solution(flux, variance, sums, errors[:, 1], chi2)


def _overlapping_pairs(corners: IntArray, size: int) -> IntArray:
    """Find the pairs of stamps that share pixels, in a fixed order."""
    if len(corners) < 2:
        return np.empty((0, 2), dtype=np.int64)
    pairs = cKDTree(corners).query_pairs(size - 1, p=np.inf, output_type="ndarray").astype(np.int64)
    return np.ascontiguousarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


def _strongest(sums: FloatArray, pairs: IntArray, off: FloatArray) -> IntArray:
    """List the pairs of each source that overlap most, strongest first."""
    chosen = np.full((len(sums), _N_NEIGHBOURS), -1, dtype=np.int64)
    if len(pairs) == 0:
        return chosen
    strength = off / np.sqrt(sums[pairs[:, 0], 1] * sums[pairs[:, 1], 1])
    source = pairs.T.ravel()
    pair = np.tile(np.arange(len(pairs)), 2)
    order = np.lexsort((pair, -np.tile(strength, 2), source))
    source, pair = source[order], pair[order]
    first = np.searchsorted(source, source)
    rank = np.arange(len(source)) - first
    kept = (rank < _N_NEIGHBOURS) & (np.tile(strength, 2)[order] > 1e-4)
    chosen[source[kept], rank[kept]] = pair[kept]
    return chosen


def _collect(
    solved: _Solution,
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
