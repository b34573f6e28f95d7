"""Polynomials of two variables, as nested tuples of coefficients."""

from __future__ import annotations

from functools import lru_cache

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
    # Most commands that know the sky load no compiled code.
    from lsstpipe.geometry._polynomial_kernel import evaluate

    table, lengths = _tabulate(coefficients)
    u, v = np.broadcast_arrays(u, v)
    value, du, dv = evaluate(table, lengths, u.ravel(), v.ravel())
    return value.reshape(u.shape), du.reshape(u.shape), dv.reshape(u.shape)


@lru_cache(maxsize=1024)
def _tabulate(coefficients: Polynomial) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Put the rows of coefficients, which have several lengths, into a table."""
    lengths = [len(row) for row in coefficients]
    table = np.zeros((len(lengths), max(lengths, default=0)))
    for p, row in enumerate(coefficients):
        table[p, : len(row)] = row
    return table, np.array(lengths, dtype=np.int64)


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
