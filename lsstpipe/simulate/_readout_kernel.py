"""Compiled loops of drawing electrons and reading them: one pass where numpy takes six."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def draw_many(mean: FloatImage, z: FloatImage, drawn: FloatImage) -> None:
    """Turn normal numbers into Poisson numbers of large means, in a third of the time of drawing.

    Mean, variance and skewness are right: the quantile of Cornish and Fisher (1937, Rev. Inst.
    Int. Stat. 5, 307) to the order of the skewness.

    Parameters
    ----------
    mean
        Expectations.
    z
        Normal numbers.
    drawn
        Takes the result.
    """
    one, six = np.float32(1), np.float32(6)
    for y in range(mean.shape[0]):
        for x in range(mean.shape[1]):
            m, n = mean[y, x], z[y, x]
            drawn[y, x] = np.rint(m + np.sqrt(m) * n + (n * n - one) / six)


@njit(cache=True)
def amplify(
    charge: FloatImage, bend: npt.NDArray[np.float32], crosstalk: npt.NDArray[np.float32]
) -> None:
    """Bend the signal of each amplifier, then let each see its share of the others, in place.

    Parameters
    ----------
    charge
        Electrons, in the order in which pixels are read, shape ``(n, ny, nx)``.
    bend
        c of ``true * (1 - c * true)``, per electron, shape ``(n,)``.
    crosstalk
        Electrons in the victim (row) per electron in the source (column), shape ``(n, n)``.
    """
    n, ny, nx = charge.shape
    one = np.float32(1)
    bent, mixed = np.empty((n, nx), np.float32), np.empty(nx, np.float32)
    for y in range(ny):
        for i in range(n):
            for x in range(nx):
                bent[i, x] = charge[i, y, x] * (one - bend[i] * charge[i, y, x])
        for victim in range(n):
            mixed[:] = bent[victim]
            for source in range(n):
                share = crosstalk[victim, source]
                if share != 0:
                    for x in range(nx):
                        mixed[x] += share * bent[source, x]
            charge[victim, y] = mixed


@njit(cache=True)
def digitize(
    level: tuple[FloatImage, np.float32, npt.NDArray[np.float32]],
    signal: FloatImage,
    bias: FloatImage,
    gain: np.float32,
    corner: tuple[int, int, int],
    deferred: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint16]:
    """Put the signal of an amplifier on top of its level, and round to whole numbers.

    Parameters
    ----------
    level
        Normal numbers for all pixels that are read, shape ``(ny, width)``; the noise that they
        become, ADU; and the level of each row, ADU.
    signal, bias
        Electrons, in the order in which pixels are read.
    gain
        Electrons per ADU.
    corner
        First row and first column that the signal goes to; 1 where the pixel that is read first is
        the first of its row in the raw frame, -1 where it is the last.
    deferred
        Shares of the last column's signal that come with the pixels read after it.
    """
    normal, noise, rows = level
    ny, width = normal.shape
    data_ny, data_nx = signal.shape
    y0, x0, step = corner
    largest, none = np.float32(65535), np.float32(0)
    raw = np.empty((ny, width), np.uint16)
    row = np.empty(width, np.float32)
    first = x0 if step == 1 else x0 + data_nx - 1
    for y in range(ny):
        for x in range(width):
            row[x] = normal[y, x] * noise + rows[y]
        j = y - y0
        if 0 <= j < data_ny:
            for x in range(data_nx):
                row[first + step * x] += (signal[j, x] + bias[j, x]) / gain
            for k in range(len(deferred)):
                row[first + step * (data_nx + k)] += deferred[k] * signal[j, data_nx - 1] / gain
        for x in range(width):
            raw[y, x] = np.uint16(min(max(np.rint(row[x]), none), largest))
    return raw
