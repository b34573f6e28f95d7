"""Poisson numbers by a compiled loop: those that numpy draws, in a fraction of its time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def draw_few(
    rng: np.random.Generator, mean: FloatImage, log_factorial: FloatArray, drawn: FloatImage
) -> None:
    """Draw a Poisson number for each pixel.

    Uniform numbers are used as `numpy.random.Generator.poisson` uses them, so that its numbers come
    out; logarithms are taken only where the quick test of Hörmann (1993, Insurance: Mathematics and
    Economics 12, 39; algorithm PTRS) leaves it open, and log(k!) comes from a table.

    Parameters
    ----------
    rng
        Draws.
    mean
        Expectations, not negative, any shape.
    log_factorial
        Logarithms of k!, as far as numbers mostly come.
    drawn
        Takes the result, shape of ``mean``.
    """
    expected, result = mean.ravel(), drawn.ravel()
    for i in range(len(expected)):
        value = np.float64(expected[i])
        if value >= 10.0:
            result[i] = _by_rejection(rng, value, log_factorial)
        elif value > 0.0:
            result[i] = _by_product(rng, value)
        else:
            result[i] = 0.0


@njit(cache=True)
def _by_product(rng: np.random.Generator, mean: float) -> int:
    """Count how many uniform numbers can be multiplied until exp(-mean) is reached."""
    least, product, k = math.exp(-mean), 1.0, 0
    while True:
        product *= rng.random()
        if product <= least:
            return k
        k += 1


@njit(cache=True)
def _by_rejection(rng: np.random.Generator, mean: float, log_factorial: FloatArray) -> int:
    """Transform uniform numbers, and reject some of them."""
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    quick = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = rng.random() - 0.5
        v = rng.random()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= quick:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
        log_k = log_factorial[k] if k < len(log_factorial) else math.lgamma(k + 1.0)
        if math.log(v * inverse_alpha / (a / (us * us) + b)) <= k * math.log(mean) - mean - log_k:
            return k
