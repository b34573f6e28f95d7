"""Flat field: response of each pixel, from dithered sky exposures with their sources masked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.algorithms.clipped_mean import clipped_mean
from lsstpipe.algorithms.starlet import shrink_noise
from lsstpipe.errors import AlgorithmError

_SOURCE_SMOOTHING_PIX = 1.5
_SOURCE_N_SIGMA = 2.5
_SOURCE_GROWTH_PIX = 5
_SKY_MESH_PIX = 46


@dataclass(frozen=True, slots=True)
class SkyFlat:
    """Relative response to the sky.

    Attributes
    ----------
    image
        Response, mean 1 over the good pixels, shape ``(ny, nx)``; 1 where it is not known.
    variance
        Variance of ``image``.
    n_used
        Exposures that each pixel was seen on without a source, shape ``(ny, nx)``.
    level
        Median sky of each exposure, electrons.
    """

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    n_used: npt.NDArray[np.int64]
    level: npt.NDArray[np.float64]


def combine_sky(
    skies: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    *,
    read_noise: float,
    n_sigma: float,
    n_iterations: int = 2,
) -> SkyFlat:
    """Average dithered exposures of the sky into a flat, with their sources masked.

    Each exposure is divided by its own sky level and its own slope of the sky; the mean slope over
    the exposures is left in the flat, since it cannot be told from the response (the joint
    photometric fit takes it out).

    Parameters
    ----------
    skies
        Dark-subtracted exposures, electrons, shape ``(n, ny, nx)``.
    bad
        Pixels not to be used: shape ``(ny, nx)`` or ``(n, ny, nx)``.
    read_noise
        Electrons.
    n_sigma
        Clipping distance in standard deviations.
    n_iterations
        Rounds of masking sources by the flat so far.

    Raises
    ------
    AlgorithmError
        If there are fewer than five exposures, or the sky is too faint to show the response.
    """
    n = len(skies)
    if n < 5:
        raise AlgorithmError(f"A sky flat needs at least 5 dithered exposures, got {n}.")
    bad = np.broadcast_to(bad, skies.shape)
    level = np.array([np.median(sky[~b]) for sky, b in zip(skies, bad, strict=True)])
    if np.median(level) < 10 * read_noise:
        raise AlgorithmError(
            f"A sky flat needs a sky of at least {10 * read_noise:.0f} electrons, "
            f"got {np.median(level):.0f}."
        )
    flat = np.ones(skies.shape[1:], dtype=np.float32)
    sigma = (np.sqrt(level + read_noise**2) / level).astype(np.float32)[:, None, None]
    unit = np.empty_like(skies)
    for _ in range(n_iterations):
        for i in range(n):
            np.divide(skies[i], np.float32(level[i]) * flat, out=unit[i])
            unit[i][bad[i] | find_sources(unit[i], bad[i])] = np.nan
        slopes = np.array([_fit_slope(u) for u in unit])
        slopes -= slopes.mean(axis=0)
        for i in range(n):
            unit[i] *= flat / _plane(slopes[i], flat.shape)
        result = clipped_mean(unit, sigma, n_sigma=n_sigma)
        flat = np.where(result.n_used > 0, result.mean, 1.0).astype(np.float32)
        flat /= np.float32(np.mean(flat[result.n_used > 0], dtype=np.float64))
    del unit
    variance = (np.median(sigma) ** 2 / np.maximum(result.n_used, 1)).astype(np.float32)
    flat, variance = shrink_noise(flat, variance, result.n_used > 0)
    return SkyFlat(flat, variance, result.n_used, level)


def find_sources(
    unit: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Mask what stands above the sky, generously.

    Parameters
    ----------
    unit
        Sky over its level, shape ``(ny, nx)``.
    bad
        Pixels without a value.
    """
    filled = np.where(bad, np.float32(1), unit)
    smooth = ndimage.gaussian_filter(filled, _SOURCE_SMOOTHING_PIX)
    residual = smooth - coarse_median(smooth, mesh_pix=_SKY_MESH_PIX)
    spread = 1.4826 * np.median(np.abs(residual))
    found = residual > _SOURCE_N_SIGMA * spread
    # A single smoothed pixel is noise; wings of a star reach further than its threshold.
    found = ndimage.binary_opening(found, iterations=1)
    result: npt.NDArray[np.bool_] = ndimage.binary_dilation(found, iterations=_SOURCE_GROWTH_PIX)
    return result


def coarse_median(image: npt.NDArray[np.float32], *, mesh_pix: int) -> npt.NDArray[np.float32]:
    """Median on a coarse mesh, interpolated back to the pixels.

    Parameters
    ----------
    image
        Any values, shape ``(ny, nx)``; NaN does not count, and a cell of them is 0.
    mesh_pix
        Side of a cell, about.
    """
    ny, nx = image.shape
    my, mx = max(1, round(ny / mesh_pix)), max(1, round(nx / mesh_pix))
    y_edges, x_edges = (np.linspace(0, s, m + 1).astype(int) for s, m in ((ny, my), (nx, mx)))
    mesh = np.array(
        [
            [_median(image[y_edges[i] : y_edges[i + 1], x_edges[j] : x_edges[j + 1]])
             for j in range(mx)]
            for i in range(my)
        ]
    )  # fmt: skip
    rows = (np.arange(ny) + 0.5) * my / ny - 0.5
    columns = (np.arange(nx) + 0.5) * mx / nx - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    result: npt.NDArray[np.float32] = ndimage.map_coordinates(mesh, grid, order=1, mode="nearest")
    return result.astype(np.float32)


def _median(cell: npt.NDArray[np.float32]) -> float:
    """Median of what is not NaN; 0 where there is nothing."""
    known = cell[np.isfinite(cell)]
    return float(np.median(known)) if len(known) else 0.0


def _fit_slope(unit: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Fit a plane to what is not NaN: relative slope per half size in y and x."""
    ny, nx = unit.shape
    step = 4  # every fourth pixel fixes a plane to well below a thousandth
    sample = unit[::step, ::step]
    v, u = np.meshgrid(
        np.linspace(-1, 1, ny)[::step], np.linspace(-1, 1, nx)[::step], indexing="ij"
    )
    good = np.isfinite(sample)
    design = np.stack([np.ones(int(good.sum())), v[good], u[good]], axis=1)
    coefficients = np.linalg.lstsq(design, sample[good].astype(np.float64), rcond=None)[0]
    result: npt.NDArray[np.float64] = coefficients[1:] / coefficients[0]
    return result


def _plane(slope: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Draw the plane of a slope, 1 at the centre."""
    v, u = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None, :]
    result: npt.NDArray[np.float32] = (1 + slope[0] * v + slope[1] * u).astype(np.float32)
    return result
