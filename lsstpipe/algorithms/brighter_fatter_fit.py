"""Brighter-fatter kernel from the covariances of flats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]

_N_ITERATIONS = 10


def leave_push(
    level: float, covariance: FloatArray, error: FloatArray, *, read_noise: float, gain_error: float
) -> tuple[FloatArray, FloatArray]:
    """Take off the variance of a flat that of photons and read-out: the rest is what charge pushed.

    Parameters
    ----------
    level
        Electrons.
    covariance, error
        Covariances of a flat and their errors, electron**2, the variance in the middle, shape
        ``(k, k)``.
    read_noise
        Electrons.
    gain_error
        Relative error of the gain that the electrons come from; the number of photons has it too.
    """
    left, uncertain = covariance.copy(), error.copy()
    left[0, 0] -= level + read_noise**2
    uncertain[0, 0] = np.hypot(error[0, 0], gain_error * level)
    return left, uncertain


def average_pushes(
    levels: FloatArray, covariances: FloatArray, errors: FloatArray, *, min_significance: float
) -> tuple[FloatArray, FloatArray]:
    """Average what flats of several levels tell of the push of a charge on the borders around it.

    Noise n of variance mu that is pushed by half of ``mu a`` convolved with it has the covariance
    ``mu**2 a + mu**3 / 4 (a convolved with a)``; the second term is a tenth of the first where
    the variance lacks a fifth.

    Parameters
    ----------
    levels
        Electrons, shape ``(n,)``.
    covariances, errors
        Covariances of the flats and their errors, electron**2, from `leave_push`, shape
        ``(n, k, k)``.
    min_significance
        What the covariance of the nearest neighbours must be over its error.

    Returns
    -------
    push, error
        a, per electron, shape ``(k, k)``; changed within the errors so that the sum over all
        distances is 0, as charge is neither made nor lost. Faint ones are kept: to leave out what
        does not stand out of the noise loses a sixth of the effect.

    Raises
    ------
    AlgorithmError
        If the nearest neighbours do not stand out: the flats are too few or too faint.
    """
    square = (levels**2)[:, None, None]
    weights = (square / errors) ** 2
    total = weights.sum(axis=0)
    first = np.sum(weights * covariances / square, axis=0) / total
    error = 1 / np.sqrt(total)
    near = np.array([first[0, 1] / error[0, 1], first[1, 0] / error[1, 0]])
    if near.max() < min_significance:
        raise AlgorithmError(
            f"The covariance of neighbours is {near.max():.1f} times its error; at least "
            f"{min_significance:g} are needed to see a brighter-fatter effect."
        )
    mean_level = np.sum(weights * levels[:, None, None], axis=0) / total
    push = _balance(first, error)
    for _ in range(_N_ITERATIONS):
        own = _unfold(push)
        second = signal.fftconvolve(own, own, mode="same")
        half = len(push) - 1
        push = _balance(first - mean_level / 4 * second[half:, half:], error)
    return push, error


def _unfold(quadrant: FloatArray) -> FloatArray:
    """Give the whole of a symmetric map of which a quadrant is known, middle and axes included."""
    size = len(quadrant)
    distance = np.abs(np.arange(2 * size - 1) - size + 1)
    whole: FloatArray = quadrant[np.ix_(distance, distance)]
    return whole


def _balance(push: FloatArray, error: FloatArray) -> FloatArray:
    """Make the sum of the whole map 0 by the least changes in units of the errors.

    Far pushes are many and uncertain: left as they are, their sum would drown that of the near
    ones.
    """
    times = np.full(push.shape, 4.0)
    times[0], times[:, 0], times[0, 0] = 2.0, 2.0, 1.0
    give = times * error**2
    balanced: FloatArray = push - give * np.sum(times * push) / np.sum(times * give)
    return balanced


def solve_kernel(push: FloatArray) -> FloatArray:
    """Solve Poisson's equation for the potential whose field makes these pushes.

    ``laplacian(K) = -push`` with five points, as the correction takes differences, and K = 0
    outside (Coulton et al. 2018, AJ 155, 258, section 4).

    Parameters
    ----------
    push
        Covariance over the square of the level by distance in y and x, per electron, shape
        ``(k, k)``.

    Returns
    -------
    kernel
        Symmetric, shape ``(2 k - 1, 2 k - 1)``.
    """
    source = -_unfold(push)
    size = len(source)
    one = np.eye(size)
    second = np.eye(size, k=1) + np.eye(size, k=-1) - 2 * one
    laplacian = np.kron(second, one) + np.kron(one, second)
    kernel = np.linalg.solve(laplacian, source.ravel()).reshape(size, size)
    # Rounding differs from corner to corner; the truth does not.
    kernel = (kernel + kernel[::-1]) / 2
    symmetric: FloatArray = (kernel + kernel[:, ::-1]) / 2
    return symmetric
