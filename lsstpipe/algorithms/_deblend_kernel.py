"""Compiled loops of `deblend`: templates that are symmetric and fall outward, and flux sharing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def symmetric_minimum(
    image: FloatArray, footprint: BoolArray, centre: tuple[float, float], out: FloatArray
) -> None:
    """Take the smaller of each pixel and its mirror image about a centre.

    Parameters
    ----------
    image
        Pixels, shape ``(ny, nx)``.
    footprint
        Pixels of the blend; a pixel whose mirror image is not one of them gets 0.
    centre
        Row and column to mirror about; rounded to half pixels.
    out
        Receives the template, never negative.
    """
    ny, nx = image.shape
    twice_y, twice_x = int(np.floor(2.0 * centre[0] + 0.5)), int(np.floor(2.0 * centre[1] + 0.5))
    for y in range(ny):
        for x in range(nx):
            out[y, x] = 0.0
            v, u = twice_y - y, twice_x - x
            if footprint[y, x] and 0 <= v < ny and 0 <= u < nx and footprint[v, u]:
                out[y, x] = max(min(image[y, x], image[v, u]), 0.0)


@njit(cache=True)
def make_monotonic(template: FloatArray, peak: tuple[int, int]) -> None:
    """Lower pixels, in place, until the template rises nowhere on the way out from its peak.

    Each pixel is compared with the point one step nearer on the straight line to the peak, between
    two pixels of the square ring inside its own; rings are done from the inside outward.

    Parameters
    ----------
    template
        Pixels, shape ``(ny, nx)``.
    peak
        Row and column of the peak pixel.
    """
    ny, nx = template.shape
    py, px = peak
    last = max(max(py, ny - 1 - py), max(px, nx - 1 - px))
    for ring in range(1, last + 1):
        for y in range(max(py - ring, 0), min(py + ring, ny - 1) + 1):
            step = 1 if abs(y - py) == ring else 2 * ring
            for x in range(px - ring, px + ring + 1, step):
                if 0 <= x < nx:
                    v, u = py + (y - py) * (ring - 1) / ring, px + (x - px) * (ring - 1) / ring
                    j, i = min(int(v), ny - 1), min(int(u), nx - 1)
                    k, h = min(j + 1, ny - 1), min(i + 1, nx - 1)
                    # Only one of the two fractions is not 0, for the ring inside is a square too.
                    part_y, part_x = v - j, u - i
                    inner = (1.0 - part_y) * (1.0 - part_x) * template[j, i]
                    inner += part_y * (1.0 - part_x) * template[k, i]
                    inner += (1.0 - part_y) * part_x * template[j, h]
                    inner += part_y * part_x * template[k, h]
                    template[y, x] = min(template[y, x], inner)


@njit(cache=True)
def share_flux(
    image: FloatArray,
    footprint: BoolArray,
    templates: FloatArray,
    peaks: FloatArray,
    out: npt.NDArray[np.float32],
) -> None:
    """Divide each pixel among the children in proportion to their templates.

    Parameters
    ----------
    image
        Pixels of the blend, shape ``(ny, nx)``.
    footprint
        Pixels to divide.
    templates
        Weighted templates, none negative, shape ``(n, ny, nx)``.
    peaks
        Row and column of the peaks, shape ``(n, 2)``: where no template reaches, a pixel is divided
        by the inverse square of the distance.
    out
        Receives the children, shape ``(n, ny, nx)``: they sum to the image.
    """
    n = templates.shape[0]
    share = np.empty(n)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if footprint[y, x]:
                total = 0.0
                for i in range(n):
                    share[i] = templates[i, y, x]
                    total += share[i]
                if not total > 0.0:
                    total = 0.0
                    for i in range(n):
                        distance = (y - peaks[i, 0]) ** 2 + (x - peaks[i, 1]) ** 2
                        share[i] = 1.0 / (1.0 + distance)
                        total += share[i]
                for i in range(n):
                    out[i, y, x] = image[y, x] * (share[i] / total)
