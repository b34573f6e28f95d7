"""Fringes: the pattern that lines of the night sky make by interference in the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._fringe_kernel import sum_cells
from lsstpipe.errors import AlgorithmError

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

_CELL_PIX = 8
_N_SIGMA = 3.0
_N_ITERATIONS = 20
_N_LEAST = 100


@dataclass(frozen=True, slots=True)
class FringeAmplitude:
    """How strong the fringes of an exposure are.

    Attributes
    ----------
    amplitude, amplitude_err
        In units of the fringe frame, electrons where that has amplitude 1.
    n_cells
        Cells of the image that it was fitted to.
    """

    amplitude: float
    amplitude_err: float
    n_cells: int


def fit_fringe(
    image: FloatImage, fringe: FloatImage, good: npt.NDArray[np.bool_]
) -> FringeAmplitude:
    """Fit the amplitude of the fringes of an exposure.

    Both images are averaged over cells of 8 pixels, the sky is a polynomial of second degree, and
    cells that deviate by more than 3 standard deviations, such as those with a source, are left out
    in turn (in the manner of Rubin's ``FringeTask``, which takes medians of sampled boxes).

    Parameters
    ----------
    image
        Electrons, after the flat, shape ``(ny, nx)``.
    fringe
        The pattern, of mean 0.
    good
        Pixels to use.

    Raises
    ------
    AlgorithmError
        If there are fewer than 100 cells of which most pixels are good.
    """
    values, pattern, y, x = _cells(image, fringe, good)
    if len(values) < _N_LEAST:
        raise AlgorithmError(
            f"Fringes are fitted to at least {_N_LEAST} cells of {_CELL_PIX} x {_CELL_PIX} pixels; "
            f"{len(values)} are good."
        )
    design = np.stack([pattern, np.ones_like(y), y, x, y * y, y * x, x * x], axis=1)
    # Sources are far from a fit to all cells; the median of all is a better start.
    used = np.abs(values - np.median(values)) < 2 * _N_SIGMA * _spread(values)
    for _ in range(_N_ITERATIONS):
        kept = design[used]
        # The columns are near to orthogonal, so that normal equations do, at a fifth of the time.
        normal = kept.T @ kept
        solution = np.linalg.lstsq(normal, kept.T @ values[used], rcond=None)[0]
        residual = values - design @ solution
        before, used = used, np.abs(residual) < _N_SIGMA * _spread(residual[used])
        if (used == before).all():
            break
    covariance = np.linalg.pinv(normal)
    sigma = float(np.std(residual[used]))
    return FringeAmplitude(
        amplitude=float(solution[0]),
        amplitude_err=sigma * float(np.sqrt(covariance[0, 0])),
        n_cells=int(used.sum()),
    )


def _spread(values: FloatArray) -> float:
    """Estimate the standard deviation by the median deviation from the median."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _cells(
    image: FloatImage, fringe: FloatImage, good: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Average both images over the good pixels of cells; give them and where they lie, -1 to 1."""
    sums = sum_cells(image, fringe, good, _CELL_PIX)
    count = sums[2]
    enough = count > _CELL_PIX * _CELL_PIX / 2
    ny, nx = count.shape
    y, x = np.meshgrid(np.linspace(-1, 1, ny), np.linspace(-1, 1, nx), indexing="ij")
    values, pattern = (plane[enough] / count[enough] for plane in sums[:2])
    return values, pattern, y[enough], x[enough]
