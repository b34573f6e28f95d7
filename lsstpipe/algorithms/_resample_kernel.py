"""Compiled loops of `resample`: Lanczos interpolation of image, mask and variance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float32]]


@njit(cache=True)
def tap_weights(table: FloatArray, phase: float, weights: FloatArray) -> None:
    """Interpolate the weights of one axis linearly in a table of phases.

    Parameters
    ----------
    table
        Weights at phases 0, 1/n ... 1, shape ``(n + 1, n_taps)``, each row of sum 1.
    phase
        Fraction of a pixel, in [0, 1).
    weights
        Receives the weights, shape ``(n_taps,)``.
    """
    position = phase * (table.shape[0] - 1)
    low = min(int(position), table.shape[0] - 2)
    part = position - low
    for tap in range(table.shape[1]):
        weights[tap] = (1.0 - part) * table[low, tap] + part * table[low + 1, tap]


@njit(cache=True)
def _careful_pixel(
    source: Planes, y0: int, x0: int, wy: FloatArray, wx: FloatArray, floor: float
) -> tuple[bool, float, float]:
    """Interpolate where taps are missing: valid if each of them has next to no weight."""
    image, _, variance = source
    total, value, spread = 0.0, 0.0, 0.0
    for j in range(wy.shape[0]):
        for i in range(wx.shape[0]):
            weight = wy[j] * wx[i]
            y, x = y0 + j, x0 + i
            inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
            if inside and np.isfinite(image[y, x]) and np.isfinite(variance[y, x]):
                total += weight
                value += weight * image[y, x]
                spread += weight * weight * variance[y, x]
            elif abs(weight) > floor:
                return False, 0.0, 0.0
    if total < 0.5:
        return False, 0.0, 0.0
    return True, value / total, spread / (total * total)


@njit(cache=True)
def _mask_of_taps(
    mask: npt.NDArray[np.int32], y0: int, x0: int, wy: FloatArray, wx: FloatArray, floor: float
) -> int:
    bits = 0
    for j in range(max(0, -y0), min(wy.shape[0], mask.shape[0] - y0)):
        for i in range(max(0, -x0), min(wx.shape[0], mask.shape[1] - x0)):
            if abs(wy[j] * wx[i]) > floor:
                bits |= mask[y0 + j, x0 + i]
    return bits


@njit(cache=True)
def _quick_pixel(
    source: Planes, y0: int, x0: int, wy: FloatArray, wx: FloatArray
) -> tuple[float, float, int]:
    """Interpolate where all taps are inside; the mask is that of all taps."""
    image, mask, variance = source
    value, spread, bits = 0.0, 0.0, 0
    # Unsigned indices save the test for negative ones, which is half of the time.
    first_y, first_x = np.uint64(y0), np.uint64(x0)
    for j in range(wy.shape[0]):
        y = first_y + np.uint64(j)
        row_value, row_spread = 0.0, 0.0
        for i in range(wx.shape[0]):
            x = first_x + np.uint64(i)
            row_value += wx[i] * image[y, x]
            row_spread += wx[i] * wx[i] * variance[y, x]
            bits |= mask[y, x]
        value += wy[j] * row_value
        spread += wy[j] * wy[j] * row_spread
    return value, spread, bits


@njit(cache=True)
def _interpolate_nodes(nodes: FloatArray, step: int, y: int, line: FloatArray) -> None:
    """Interpolate source row, source column and area bilinearly along one target row."""
    j = y // step
    v = (y - j * step) / step
    for plane in range(3):
        for i in range(nodes.shape[2] - 1):
            left = (1.0 - v) * nodes[plane, j, i] + v * nodes[plane, j + 1, i]
            right = (1.0 - v) * nodes[plane, j, i + 1] + v * nodes[plane, j + 1, i + 1]
            slope = (right - left) / step
            for k in range(min(step, line.shape[1] - i * step)):
                line[plane, i * step + k] = left + k * slope


@njit(cache=True)
def warp_planes(
    source: Planes, nodes: FloatArray, step: int, table: FloatArray, floor: float, out: Planes
) -> None:
    """Resample three planes to where a grid of nodes says each target pixel lies in the source.

    Parameters
    ----------
    source
        Image, mask and variance, shape ``(ny, nx)``.
    nodes
        Row and column in the arrays of the source, and area in its pixels, at every ``step``-th
        target pixel from the first on, shape ``(3, n_nodes_y, n_nodes_x)``.
    step
        Distance of the nodes, target pixels; the last of each axis must lie beyond the last pixel.
    table
        Kernel weights at phases 0 ... 1, shape ``(n + 1, n_taps)``.
    floor
        Weight below which a tap that is missing or masked does no harm.
    out
        Image, mask and variance to fill; untouched where the source does not reach.
    """
    ny, nx = source[0].shape
    n_taps = table.shape[1]
    wy, wx = np.empty(n_taps), np.empty(n_taps)
    line = np.empty((3, out[0].shape[1]))
    for row in range(out[0].shape[0]):
        _interpolate_nodes(nodes, step, row, line)
        for column in range(out[0].shape[1]):
            y, x, area = line[0, column], line[1, column], line[2, column]
            # Written so that NaN, where the map does not exist, is outside too.
            if not (y > -1.0 and y < ny and x > -1.0 and x < nx):
                continue
            floor_y, floor_x = int(np.floor(y)), int(np.floor(x))
            tap_weights(table, y - floor_y, wy)
            tap_weights(table, x - floor_x, wx)
            y0, x0 = floor_y - n_taps // 2 + 1, floor_x - n_taps // 2 + 1
            value, spread, bits = np.nan, np.nan, 0
            if y0 >= 0 and x0 >= 0 and y0 + n_taps <= ny and x0 + n_taps <= nx:
                value, spread, bits = _quick_pixel(source, y0, x0, wy, wx)
            if not (np.isfinite(value) and np.isfinite(spread)):
                valid, value, spread = _careful_pixel(source, y0, x0, wy, wx, floor)
                if not valid:
                    continue
                bits = -1
            if bits != 0:
                bits = _mask_of_taps(source[1], y0, x0, wy, wx, floor)
            out[0][row, column] = area * value
            out[1][row, column] = bits
            out[2][row, column] = area * area * spread
