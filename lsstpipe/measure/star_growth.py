"""How stars grow with flux, held against what the brighter-fatter effect makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import INVALID, MaskPlane, has
from lsstpipe.measure.visit_truth import VisitTruth

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

_LEAST_SHARE, _MOST_SHARE = 0.03, 0.9
_HALF_WIDTHS, _CORE_WIDTHS = 5.0, 3.0
_ALONE_PIX, _ALONE_SHARE = 15.0, 0.01
_CLOSE_PIX, _CLOSE_SHARE = 8.0, 0.001
_SPOILT = INVALID | MaskPlane.CR | MaskPlane.INTRP | MaskPlane.EDGE


@dataclass(frozen=True, slots=True, eq=False)
class StarGrowth:
    """Relative growth of the second moments of stars over those of the true PSF, shape ``(n,)``.

    Attributes
    ----------
    predicted
        Growth that the effect makes where it is not corrected.
    measured, error
        Growth on the image, and its standard error.
    """

    predicted: FloatArray
    measured: FloatArray
    error: FloatArray


def measure_growth(
    image: Exposure, truth: VisitTruth, kernel: FloatArray, flat: FloatImage, *, full_well: float
) -> StarGrowth:
    """Measure the growth of the bright isolated stars of an image.

    Moments are taken around the true position with a Gaussian weight of the width of the PSF, of
    the image and of the true star before and after the effect.

    Parameters
    ----------
    image
        The calibrated image, nJy.
    truth
        What is true of it.
    kernel
        True potential of one electron.
    flat
        True response of the pixels, shape ``(ny, nx)``.
    full_well
        Electrons at which a pixel is full; stars above 90 % of it are left out.
    """
    scale = float(image.metadata["nanojansky_per_electron"])
    placed, spoilt = truth.placed, has(image.mask, _SPOILT)
    share = truth.peak_electron / full_well
    bright = (placed.columns["kind"] == 0) & (share > _LEAST_SHARE) & (share < _MOST_SHARE)
    found = []
    for row in np.flatnonzero(bright & _alone(truth)):
        width = float(placed["psfFwhm"][row]) / 2.3548
        y, x = float(placed["y"][row]), float(placed["x"][row])
        own = _cut(y, x, math.ceil(_HALF_WIDTHS * width), image.image.shape)
        if own is None or spoilt[_cut(y, x, math.ceil(_CORE_WIDTHS * width), spoilt.shape)].any():
            continue
        star = _draw_star(truth, int(row), own)
        response = float(flat[own].mean())
        charge = response * (star + truth.sky_electron)
        grown = push_aside(charge, kernel) / response - truth.sky_electron
        weight = _Weight(y, x, width, own)
        size = weight.size(star)
        noise = np.sqrt(image.variance[own].astype(np.float64)) / scale
        found.append(
            (
                weight.size(grown) / size - 1.0,
                weight.size(image.image[own].astype(np.float64) / scale) / size - 1.0,
                weight.size_error(star, noise) / size,
            )
        )
    return StarGrowth(*np.array(found, dtype=np.float64).reshape(-1, 3).T)


def join_growth(tables: Sequence[StarGrowth]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Stack predicted growth, measured growth and its error of several images.

    Parameters
    ----------
    tables
        At least one.
    """
    predicted, measured, error = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("predicted", "measured", "error")
    )
    return predicted, measured, error


def push_aside(charge: FloatArray, kernel: FloatArray) -> FloatArray:
    """Let charge push the borders of pixels aside: ``F = I - 1/2 div(I grad(K * I))``.

    Coulton et al. (2018, AJ 155, 258), equation 22, on the borders of pixels.

    Parameters
    ----------
    charge
        Electrons that would be collected without the effect, shape ``(ny, nx)``.
    kernel
        Potential of one electron.
    """
    level = float(np.median(charge))
    potential = ndimage.convolve(charge - level, kernel, mode="constant")
    result = charge.copy()
    for axis in (0, 1):
        moved = 0.25 * np.diff(potential, axis=axis)
        moved *= _pairs(charge, axis)
        result -= np.diff(moved, axis=axis, prepend=0.0, append=0.0)
    return result


def _pairs(image: FloatArray, axis: int) -> FloatArray:
    """Add neighbours along an axis."""
    rows = np.moveaxis(image, axis, 0)
    return np.moveaxis(rows[1:] + rows[:-1], 0, axis)


def _alone(truth: VisitTruth) -> npt.NDArray[np.bool_]:
    """Find the objects whose moments no neighbour changes."""
    placed = truth.placed
    place, flux = np.stack([placed["y"], placed["x"]], axis=1), placed["electrons"]
    alone = np.ones(len(flux), dtype=bool)
    pairs = cKDTree(place).query_pairs(_ALONE_PIX, output_type="ndarray")
    for first, second in (pairs.T, pairs[:, ::-1].T):
        is_close = np.hypot(*(place[first] - place[second]).T) < _CLOSE_PIX
        most = np.where(is_close, _CLOSE_SHARE, _ALONE_SHARE)
        alone[first[flux[second] > most * flux[first]]] = False
    return alone


_Slices = tuple[slice, slice]


def _cut(y: float, x: float, half: int, shape: tuple[int, ...]) -> _Slices | None:
    """Cut a square around a position; None where it would leave the image."""
    iy, ix = round(y), round(x)
    if min(iy, ix) < half or iy + half >= shape[0] or ix + half >= shape[1]:
        return None
    return slice(iy - half, iy + half + 1), slice(ix - half, ix + half + 1)


def _draw_star(truth: VisitTruth, row: int, own: _Slices) -> FloatArray:
    """Draw the true star, electrons."""
    placed = truth.placed
    dy = np.arange(own[0].start, own[0].stop)[:, None] - placed["y"][row]
    dx = np.arange(own[1].start, own[1].stop)[None, :] - placed["x"][row]
    a, b, c = (placed[f"psf{letter}"][row] for letter in "ABC")
    form = (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy) / truth.alpha_pix[row] ** 2
    star: FloatArray = truth.peak_electron[row] * (1.0 + form) ** -truth.beta
    return star


class _Weight:
    """A Gaussian weight around a position, and second moments with it."""

    def __init__(self, y: float, x: float, width: float, own: _Slices) -> None:
        dy = np.arange(own[0].start, own[0].stop)[:, None] - y
        dx = np.arange(own[1].start, own[1].stop)[None, :] - x
        self._r2 = dy * dy + dx * dx
        self._weight = np.exp(-0.5 * self._r2 / width**2)

    def size(self, image: FloatArray) -> float:
        """Measure the second moment, pixel**2."""
        lit = self._weight * image
        return float(np.sum(lit * self._r2) / np.sum(lit))

    def size_error(self, star: FloatArray, noise: FloatArray) -> float:
        """Predict its standard error from the noise of the pixels."""
        slope = self._weight * (self._r2 - self.size(star)) / np.sum(self._weight * star)
        return float(np.sqrt(np.sum((slope * noise) ** 2)))
