"""Polynomials of two variables, as nested tuples of coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Polynomial = tuple[tuple[float, ...], ...]


def evaluate_polynomial(
    coefficients: Polynomial, u: FloatArray, v: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Evaluate a polynomial of two variables and its gradient by Horner's rule.

    Parameters
    ----------
    coefficients
        Entry ``[p][q]`` multiplies ``u**p * v**q``; empty means zero everywhere.
    u, v
        Where to evaluate, one shape.

    Returns
    -------
    value, du, dv
        The polynomial and its derivatives by u and by v.
    """
    value, du, dv = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    for row in reversed(coefficients):
        inner, inner_dv = np.zeros_like(u), np.zeros_like(u)
        for coefficient in reversed(row):
            inner_dv = inner_dv * v + inner
            inner = inner * v + coefficient
        du = du * u + value
        value = value * u + inner
        dv = dv * u + inner_dv
    return value, du, dv


def fit_polynomial(u: FloatArray, v: FloatArray, values: FloatArray, order: int) -> Polynomial:
    """Fit the terms of degree 1 to ``order`` of a polynomial of two variables.

    Parameters
    ----------
    u, v
        Positions, shape ``(n,)``.
    values
        What to fit, shape ``(n,)``.
    order
        Highest total degree.

    Returns
    -------
    coefficients
        Entry ``[p][q]`` multiplies ``u**p * v**q``.
    """
    scale = max(float(np.max(np.abs(u))), float(np.max(np.abs(v))), 1.0)
    powers = [(p, q) for p in range(order + 1) for q in range(order + 1 - p) if p + q >= 1]
    design = np.stack([(u / scale) ** p * (v / scale) ** q for p, q in powers], axis=1)
    solution = np.linalg.lstsq(design, values, rcond=None)[0]
    table = np.zeros((order + 1, order + 1))
    for (p, q), coefficient in zip(powers, solution, strict=True):
        table[p, q] = coefficient / scale ** (p + q)
    return tuple(tuple(float(c) for c in row) for row in table)
