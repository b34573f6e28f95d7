"""Metrics of the crosstalk that is left, against the truth of a simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.image.detector import Detector
from lsstpipe.measure._smooth_kernel import smooth
from lsstpipe.measure.acceptance import judge
from lsstpipe.measure.metric import Metric

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_AROUND_PIX, _N_SIGMA = 8.0, 4.0


def crosstalk_matrix_residual(
    measured: Sequence[FloatArray], errors: Sequence[FloatArray], injected: Sequence[FloatArray]
) -> Metric:
    """Measure the share of the crosstalk coefficients that is left: ISR-5.

    Parameters
    ----------
    measured, errors
        Coefficients that are subtracted, and their standard errors, one matrix a detector, shape
        ``(n, n)``.
    injected
        True ones.

    Notes
    -----
    The root of the mean square over all pairs of amplifiers, of what is left over what was put in.
    What was put in is known, so that the value has no error; that of the estimate is in the note.
    """
    apart = [~np.eye(len(matrix), dtype=bool) for matrix in injected]
    found, error, true = (
        np.concatenate([np.zeros(0), *(m[pairs] for m, pairs in zip(part, apart, strict=True))])
        for part in (measured, errors, injected)
    )
    total = float(np.sum(true**2))
    if not total > 0:
        return judge("ISR-5", math.nan, n=0)
    left, expected = (100.0 * math.sqrt(float(np.sum(v**2)) / total) for v in (found - true, error))
    worst = int(np.argmax(np.abs(found - true)))
    note = f"{expected:.1f} % by the errors of the coefficients; the worst is " \
           f"{found[worst]:.2e} instead of {true[worst]:.2e}."  # fmt: skip
    return judge("ISR-5", left, n=len(true), note=note)


def crosstalk_residual(
    residual: FloatArray, variance: FloatArray, injected: FloatArray, row: npt.NDArray[np.int64]
) -> Metric:
    """Measure the share of the crosstalk that is left in the pixels of images: ISR-5b.

    Parameters
    ----------
    residual, variance
        Pixels minus the true sky and sources, and their variance, electrons, shape ``(n,)``.
    injected
        Crosstalk that was put into each, electrons, shape ``(n,)``.
    row
        Number of the row of an image that each is of, shape ``(n,)``: the pixels of a row share
        what is wrong with its bias level, and are one value for the error.
    """
    weight = injected / variance
    total = float(np.sum(weight * injected))
    if not total > 0:
        return judge("ISR-5b", math.nan, n=0)
    share = float(np.sum(weight * residual)) / total
    _, which = np.unique(row, return_inverse=True)
    of_rows = np.bincount(which, weights=weight * (residual - share * injected))
    error = max(math.sqrt(total), math.sqrt(float(np.sum(of_rows**2)))) / total
    return judge("ISR-5b", 100.0 * abs(share), n=len(injected), error=100.0 * error,
                 note=f"Signed: {100.0 * share:+.1f} %; of {len(of_rows)} rows.")  # fmt: skip


def crosstalk_pattern(
    image: FloatImage, detector: Detector, coefficients: FloatArray
) -> FloatImage:
    """Work out the crosstalk that an image puts into itself.

    Parameters
    ----------
    image
        Electrons on the assembled detector, sky included, shape ``(ny, nx)``.
    detector
        Its amplifiers, of one size, and how they are read.
    coefficients
        Electrons in the victim (row) per electron in the source (column), shape ``(n, n)``.

    Returns
    -------
    numpy.ndarray
        Electrons, shape ``(ny, nx)``.
    """
    boxes = [amplifier.box.slices_in(detector.box) for amplifier in detector.amplifiers]
    turns = [
        tuple(slice(None, None, -1 if flip else 1) for flip in (a.flip_y, a.flip_x))
        for a in detector.amplifiers
    ]
    as_read = np.stack([image[box][turn] for box, turn in zip(boxes, turns, strict=True)])
    mixed = np.tensordot(coefficients, as_read, axes=1).astype(np.float32)
    result = np.zeros_like(image)
    for i, (box, turn) in enumerate(zip(boxes, turns, strict=True)):
        result[box] = mixed[i][turn]
    return result


def subtract_surroundings(image: FloatImage, dark: BoolArray) -> FloatImage:
    """Subtract from each pixel the mean of the dark ones around it.

    What fringes and the background leave would else be taken for crosstalk: ghosts lie in clumps.

    Parameters
    ----------
    image
        Electrons, shape ``(ny, nx)``.
    dark
        Pixels without light and without ghosts, same shape.
    """
    reach = min(int(_N_SIGMA * _AROUND_PIX), *(length - 1 for length in image.shape))
    half: FloatArray = np.exp(-0.5 * (np.arange(reach + 1) / _AROUND_PIX) ** 2)
    weights = (half / (2.0 * half.sum() - half[0])).astype(np.float32)
    share = smooth(dark.astype(np.float32), weights)
    around = smooth(np.where(dark, image, np.float32(0)), weights)
    return np.asarray(image - around / np.maximum(share, np.float32(1e-6)), dtype=np.float32)
