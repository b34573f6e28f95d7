"""Fit of the ratio of a calibration aperture's flux to the PSF flux over an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import AlgorithmError
from lsstpipe.image.aperture_correction import ApertureCorrection, normalise

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ApertureCorrectionSettings:
    """How to fit an aperture correction.

    Attributes
    ----------
    max_order
        Highest total degree of the Chebyshev series.
    stars_per_term
        Stars for each term; with fewer the degree is lowered.
    min_stars
        Fewer stars than this are not enough.
    n_sigma, n_iterations
        Stars further than this many deviations from the series are left out, this many times.
    """

    max_order: int = 2
    stars_per_term: int = 5
    min_stars: int = 3
    n_sigma: float = 4.0
    n_iterations: int = 4


def fit_aperture_correction(
    ratio: FloatArray,
    ratio_error: FloatArray,
    *,
    y: FloatArray,
    x: FloatArray,
    box: tuple[int, int, int, int],
    settings: ApertureCorrectionSettings | None = None,
) -> ApertureCorrection:
    """Fit aperture flux over PSF flux as a Chebyshev series of the position.

    Parameters
    ----------
    ratio, ratio_error
        Aperture flux over PSF flux of bright isolated stars, and its standard error, ``(n,)``.
    y, x
        Their absolute positions, shape ``(n,)``.
    box
        ``(y0, x0, ny, nx)`` of the image.
    settings
        How to fit.

    Returns
    -------
    ApertureCorrection
        The series, the scatter of the stars about it beyond their errors, and how many were used.

    Raises
    ------
    AlgorithmError
        If there are too few stars.
    """
    chosen = settings or ApertureCorrectionSettings()
    kept = np.isfinite(ratio) & np.isfinite(ratio_error) & (ratio_error > 0)
    if kept.sum() < chosen.min_stars:
        raise AlgorithmError(
            f"An aperture correction needs at least {chosen.min_stars} stars, "
            f"{kept.sum()} were found."
        )
    order = chosen.max_order
    while order > 0 and kept.sum() < chosen.stars_per_term * len(_terms(order)):
        order -= 1
    v, u = normalise(box, y=y, x=x)
    terms = _terms(order)
    unit = np.eye(order + 1)
    chebval = np.polynomial.chebyshev.chebval
    design = np.stack([chebval(v, unit[i]) * chebval(u, unit[j]) for i, j in terms], axis=1)
    # A floor on the errors keeps a few very bright stars from deciding alone.
    error = np.hypot(ratio_error, 0.002)
    center = float(np.median(ratio[kept]))
    solution: FloatArray = np.zeros(len(terms))
    for iteration in range(chosen.n_iterations + 1):
        deviation = np.abs(ratio - (design @ solution if iteration else center))
        width = np.maximum(1.4826 * float(np.median(deviation[kept])), error)
        kept = kept & (deviation <= chosen.n_sigma * width)
        weighted = design[kept] / error[kept, None]
        solution = np.asarray(np.linalg.lstsq(weighted, ratio[kept] / error[kept], rcond=None)[0])
    table = np.zeros((order + 1, order + 1))
    for (i, j), coefficient in zip(terms, solution, strict=True):
        table[i, j] = coefficient
    residual = (ratio - design @ solution)[kept]
    excess = float(np.mean(residual**2 - ratio_error[kept] ** 2))
    return ApertureCorrection(
        coefficients=tuple(tuple(float(c) for c in row) for row in table),
        box=box,
        error=float(np.sqrt(max(excess, 0.0))),
        n_stars=int(kept.sum()),
    )


def _terms(order: int) -> list[tuple[int, int]]:
    """List the degrees in y and x of the terms of a series."""
    return [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
