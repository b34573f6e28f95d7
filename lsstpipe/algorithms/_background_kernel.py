"""Compiled loop over the meshes of a background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_CLIPS = 5
_N_LANES = 32
"""Sums that are kept apart: independent sums let the compiler use vector instructions."""

_N_SORTED = 256
"""Values that the first quartiles are taken from; the clipping forgets where it began."""


@njit(cache=True)
def quartiles(values: FloatImage) -> tuple[float, float]:
    """Return the median and the standard deviation that the quartiles of a Gaussian would have.

    Parameters
    ----------
    values
        At least one; only evenly spaced ones are looked at where there are many.
    """
    step = max(1, len(values) // _N_SORTED)
    some = np.sort(values[::step])
    last = len(some) - 1
    width = (some[round(0.75 * last)] - some[round(0.25 * last)]) / 1.349
    return float(some[round(0.5 * last)]), float(width)


@njit(cache=True)
def clipped_mean(values: FloatImage) -> tuple[float, float]:
    """Return the mean and standard deviation of the values within 3 deviations of the mean.

    Parameters
    ----------
    values
        At least one.
    """
    center, width = quartiles(values)
    lanes = np.empty((3, _N_LANES))
    n_before = -1
    for _ in range(_MAX_CLIPS):
        n, total, squares = clipped_sums(values, center, 3.0 * width, lanes)
        if n < 3:
            break
        mean = total / n
        center += mean
        # 0.9866: standard deviation of a unit Gaussian cut at 3.
        width = max(np.sqrt(max(squares / n - mean * mean, 0.0)) / 0.9866, 1e-12)
        if n == n_before:
            break
        n_before = n
    return center, width


@njit(cache=True)
def clipped_sums(
    values: FloatImage, center: float, limit: float, lanes: FloatArray
) -> tuple[int, float, float]:
    """Count the values near a centre, and sum their offsets from it and the squares of these.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    center, limit
        Values within the limit of the centre count.
    lanes
        Work space, shape ``(3, l)``.
    """
    n_lanes = lanes.shape[1]
    lanes[:] = 0.0
    for first in range(0, len(values), n_lanes):
        some = values[first : first + n_lanes]
        for i in range(len(some)):
            offset = some[i] - center
            kept = 1.0 if abs(offset) <= limit else 0.0
            lanes[0, i] += kept
            lanes[1, i] += kept * offset
            lanes[2, i] += kept * offset * offset
    return int(lanes[0].sum()), float(lanes[1].sum()), float(lanes[2].sum())


@njit(cache=True)
def mesh_statistics(
    image: FloatImage,
    surface: FloatImage | None,
    good: BoolArray,
    edges_y: IntArray,
    edges_x: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """Take the clipped mean and standard deviation of every mesh.

    Parameters
    ----------
    image
        Pixels, shape ``(ny, nx)``.
    surface
        What is taken off them, same shape, if anything.
    good
        Pixels that count.
    edges_y, edges_x
        First row and column of each mesh, and the end of the last.

    Returns
    -------
    level, rms
        One value a mesh; NaN where fewer than a tenth of the pixels, or than 16, count.
    """
    shape = (len(edges_y) - 1, len(edges_x) - 1)
    level, rms = np.full(shape, np.nan), np.full(shape, np.nan)
    largest = np.max(np.diff(edges_y)) * np.max(np.diff(edges_x))
    values = np.empty(largest, np.float32)
    for j in range(shape[0]):
        for i in range(shape[1]):
            n = 0
            for y in range(edges_y[j], edges_y[j + 1]):
                for x in range(edges_x[i], edges_x[i + 1]):
                    if good[y, x]:
                        values[n] = image[y, x] if surface is None else image[y, x] - surface[y, x]
                        n += 1
            n_pixels = (edges_y[j + 1] - edges_y[j]) * (edges_x[i + 1] - edges_x[i])
            if n >= max(16, 0.1 * n_pixels):
                level[j, i], rms[j, i] = clipped_mean(values[:n])
    return level, rms


@njit(cache=True)
def add_surface(
    surface: FloatImage, first: IntArray, weights: FloatArray, across: FloatArray
) -> None:
    """Add a spline surface to an image, in place.

    Parameters
    ----------
    surface
        Shape ``(ny, nx)``; changed.
    first, weights
        First of the coefficients that each row depends on, shape ``(ny,)``, and their weights,
        shape ``(ny, k)``.
    across
        Coefficients along the first axis, evaluated along the second, shape ``(m, nx)``.
    """
    ny, nx = surface.shape
    row = np.empty(nx)
    for y in range(ny):
        row[:] = 0.0
        for k in range(weights.shape[1]):
            weight, line = weights[y, k], across[first[y] + k]
            for x in range(nx):
                row[x] += weight * line[x]
        for x in range(nx):
            surface[y, x] += np.float32(row[x])


@njit(cache=True)
def smooth_line(before: FloatImage, after: FloatImage, weight: float, out: FloatArray) -> None:
    """Add what two lines at one distance give to their smoothed middle.

    Parameters
    ----------
    before, after
        The lines, shape ``(n,)``.
    weight
        Of either.
    out
        Changed, shape ``(n,)``.
    """
    for x in range(len(out)):
        out[x] += (np.float64(before[x]) + np.float64(after[x])) * weight


@njit(cache=True)
def find_bright(
    image: FloatImage,
    surface: FloatImage,
    usable: BoolArray,
    weights: FloatArray,
    limits: tuple[float, float],
) -> tuple[BoolArray, BoolArray]:
    """Find the pixels that stand out of a surface once both axes are smoothed.

    Beyond the edge the smoothing sees the pixels at the edge.

    Parameters
    ----------
    image, surface, usable
        Pixels, what is taken off them, and which count; others count as 0. Shape ``(ny, nx)``.
    weights
        Of the smoothing, from the middle outward, shape ``(r + 1,)``.
    limits
        Absolute values of found pixels and of seeds.

    Returns
    -------
    found, seed
        Shape ``(ny, nx)``.
    """
    ny, nx = image.shape
    reach = len(weights) - 1
    n_kept = 2 * reach + 1
    rows = np.empty((n_kept, nx), np.float32)
    line = np.empty(nx + 2 * reach, np.float32)
    total = np.empty(nx)
    found, seed = np.empty(image.shape, np.bool_), np.empty(image.shape, np.bool_)
    n_read = 0
    for y in range(ny):
        while n_read < min(ny, y + reach + 1):
            row = rows[n_read % n_kept]
            for x in range(nx):
                value = image[n_read, x] - surface[n_read, x]
                row[x] = value if usable[n_read, x] else np.float32(0)
            n_read += 1
        total[:] = 0.0
        smooth_line(rows[y % n_kept], rows[y % n_kept], 0.5 * weights[0], total)
        for k in range(reach, 0, -1):
            above, below = max(0, y - k) % n_kept, min(ny - 1, y + k) % n_kept
            smooth_line(rows[above], rows[below], weights[k], total)
        for x in range(nx):
            line[reach + x] = total[x]
        line[:reach], line[reach + nx :] = line[reach], line[reach + nx - 1]
        total[:] = 0.0
        smooth_line(line[reach:], line[reach:], 0.5 * weights[0], total)
        for k in range(reach, 0, -1):
            smooth_line(line[reach - k :], line[reach + k :], weights[k], total)
        for x in range(nx):
            height = abs(np.float32(total[x]))
            found[y, x], seed[y, x] = height > limits[0], height > limits[1]
    return found, seed
