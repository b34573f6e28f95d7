"""The linear fit of overlapping stamps to an image: all fluxes together, and their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lsstpipe.algorithms._forced_kernel import (
    blend_errors,
    chi_squared,
    overlap,
    project,
    solve_fluxes,
    subtract,
)
from lsstpipe.algorithms._photon_kernel import add_photons, photon_slope
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_RIDGE = 1e-7
_N_NEIGHBOURS = 8
_N_DRAWN = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """What the fit reads of an image.

    Attributes
    ----------
    image
        Values; 0 where a pixel is not usable.
    weight
        Weights of the fit; 0 where a pixel is not usable.
    variance
        Variance that the errors come from.
    precision
        Its inverse; 0 where a pixel is not usable.
    """

    image: FloatImage
    weight: FloatImage
    variance: FloatImage
    precision: FloatImage


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What the fit gives for each source.

    Attributes
    ----------
    flux, variance
        Flux, NaN where no pixel is usable, and its variance.
    sums
        Weighted sums over the stamp: data, stamp squared, its variance, usable share of the stamp.
    blend_factor
        Variance of the flux over what it were without neighbours.
    chi2
        Sum of squared residuals over variances, and number of pixels.
    """

    flux: FloatArray
    variance: FloatArray
    sums: FloatArray
    blend_factor: FloatArray
    chi2: FloatArray


def prepare_pixels(
    planes: Planes, sky_variance: FloatImage, *, exclude: MaskPlane, source_noise: bool
) -> Pixels:
    """Prepare image, weights and variance for the fit.

    Parameters
    ----------
    planes
        Image without background, variance (with source noise) and mask.
    sky_variance
        Variance of sky and read noise, shape ``(ny, nx)``.
    exclude
        Mask planes whose pixels get no weight.
    source_noise
        Whether the errors hold the photon noise of the sources.
    """
    usable = planes.usable(exclude) & (sky_variance > 0)
    source = planes.variance if source_noise else sky_variance
    variance = np.where(usable, source, np.float32(1.0))
    weight, precision = np.zeros((2, *usable.shape), dtype=np.float32)
    np.divide(1.0, sky_variance, out=weight, where=usable)
    np.divide(1.0, variance, out=precision, where=usable)
    image = np.where(usable, planes.image, np.float32(0.0))
    return Pixels(image, weight, variance, precision)


def weigh_photons(
    pixels: Pixels,
    variances: tuple[FloatImage, FloatImage],
    sources: tuple[FloatImage, IntArray, FloatArray],
) -> Pixels:
    """Add the photon noise of the fitted sources to the weights.

    Variance for each unit of flux is the slope of what the variance plane has above the sky against
    the model: one number an image, so that no pixel's noise gets into its own weight.

    Parameters
    ----------
    pixels
        Pixels with the weights of the sky alone.
    variances
        Variance plane, and variance of the sky alone.
    sources
        Stamps, their first pixels, and the fluxes with the weights of the sky.
    """
    stamps, corners, flux = sources
    light = np.zeros(pixels.image.shape, dtype=np.float32)
    subtract(light, stamps, corners, -np.clip(np.nan_to_num(flux), 0.0, None))
    slope = photon_slope(light, pixels.weight, *variances)
    weight = pixels.weight.copy()
    add_photons(weight, light, variances[1], slope)
    return replace(pixels, weight=weight)


def draw_stamps(psf: Psf, y: FloatArray, x: FloatArray) -> FloatImage:
    """Draw the PSF at many positions in single precision.

    Parameters
    ----------
    psf
        PSF in absolute coordinates.
    y, x
        Absolute positions, shape ``(n,)``.
    """
    stamps = np.empty((len(y), psf.size, psf.size), dtype=np.float32)
    for first in range(0, len(y), _N_DRAWN):
        part = slice(first, first + _N_DRAWN)
        stamps[part] = psf.stamps(y=y[part], x=x[part])
    return stamps


def draw_gradients(psf: Psf, y: FloatArray, x: FloatArray) -> FloatImage:
    """Draw the PSF and its derivatives by y and x at many positions in single precision.

    Parameters
    ----------
    psf
        PSF in absolute coordinates.
    y, x
        Absolute positions, shape ``(n,)``.
    """
    stamps = np.empty((len(y), 3, psf.size, psf.size), dtype=np.float32)
    for first in range(0, len(y), _N_DRAWN):
        part = slice(first, first + _N_DRAWN)
        stamps[part] = psf.gradients(y=y[part], x=x[part])
    return stamps


def first_pixels(planes: Planes, y: FloatArray, x: FloatArray, size: int) -> IntArray:
    """Find the first pixel of each stamp in array coordinates, shape ``(n, 2)``.

    Parameters
    ----------
    planes
        The image.
    y, x
        Absolute positions of the sources, shape ``(n,)``.
    size
        Side of a stamp.
    """
    corner = np.stack([nearest_pixel(y) - planes.y0, nearest_pixel(x) - planes.x0], axis=1)
    return corner - size // 2


def solve_stamps(
    pixels: Pixels, stamps: FloatImage, corners: IntArray, background: FloatArray
) -> Solution:
    """Solve for the fluxes of all sources on an image together.

    Parameters
    ----------
    pixels
        The image.
    stamps, corners
        PSF of each source, shape ``(n, s, s)``, and its first pixel, shape ``(n, 2)``.
    background
        Local background of each source, shape ``(n,)``.
    """
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
    return Solution(flux, variance, sums, errors[:, 1], chi2)


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
