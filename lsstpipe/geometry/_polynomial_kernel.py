"""Compiled loop over polynomials of two variables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]

_BLOCK = 128


@njit(cache=True)
def evaluate(
    table: FloatArray, lengths: npt.NDArray[np.int64], u: FloatArray, v: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Evaluate a polynomial and its gradient by Horner's rule.

    Parameters
    ----------
    table
        Entry ``[p, q]`` multiplies ``u**p * v**q``.
    lengths
        How many entries of each row count.
    u, v
        Where to evaluate, shape ``(n,)``.

    Returns
    -------
    value, du, dv
        The polynomial and its derivatives, shape ``(n,)``: three arrays, so that what is not
        wanted takes no memory.
    """
    values, by_u, by_v = np.empty(len(u)), np.empty(len(u)), np.empty(len(u))
    # Point by point each step would wait for the one before; blocks become vector instructions.
    value, du, dv = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    inner, inner_dv = np.empty(_BLOCK), np.empty(_BLOCK)
    here_u, here_v = np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, len(u), _BLOCK):
        n = min(_BLOCK, len(u) - start)
        for i in range(n):
            here_u[i], here_v[i] = u[start + i], v[start + i]
            value[i], du[i], dv[i] = 0.0, 0.0, 0.0
        for p in range(len(lengths) - 1, -1, -1):
            for i in range(n):
                inner[i], inner_dv[i] = 0.0, 0.0
            for q in range(lengths[p] - 1, -1, -1):
                coefficient = table[p, q]
                for i in range(n):
                    inner_dv[i] = inner_dv[i] * here_v[i] + inner[i]
                    inner[i] = inner[i] * here_v[i] + coefficient
            for i in range(n):
                du[i] = du[i] * here_u[i] + value[i]
                value[i] = value[i] * here_u[i] + inner[i]
                dv[i] = dv[i] * here_u[i] + inner_dv[i]
        for i in range(n):
            values[start + i], by_u[start + i], by_v[start + i] = value[i], du[i], dv[i]
    return values, by_u, by_v
