"""Linearity: from the signal that an amplifier reports to the one that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from lsstpipe.algorithms._linearity_kernel import add_from_table

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

_N_STEPS = 4096
_LARGEST_ADU = 65536.0


@dataclass(frozen=True, slots=True, eq=False)
class Linearizer:
    """How far each amplifier of a detector is from linear.

    All levels are ADU above the bias level: it is the chain from the output of the amplifier to the
    converter that bends, whatever the gain is found to be.

    Attributes
    ----------
    amplifiers
        Names, in the order of the detector.
    kind
        ``quadratic``: ``measured = true * (1 - c * true)``. ``spline``: a monotonic piecewise cubic
        through what was measured at the knots (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17,
        238).
    coefficients
        Of a quadratic: c, per ADU, shape ``(n, 1)``. Of a spline: true minus measured signal at the
        knots, ADU, shape ``(n, k)``. NaN in the row of an amplifier that is not corrected.
    knots_adu
        Measured signal at the knots of a spline, rising from 0, shape ``(n, k)``; of shape
        ``(n, 0)`` for a quadratic.
    """

    amplifiers: tuple[str, ...]
    kind: Literal["quadratic", "spline"]
    coefficients: FloatArray
    knots_adu: FloatArray

    def __post_init__(self) -> None:
        """Check that the shapes agree."""
        n = len(self.amplifiers)
        k = self.coefficients.shape[-1]
        knots = (n, 0) if self.kind == "quadratic" else (n, k)
        if self.coefficients.shape != (n, k) or self.knots_adu.shape != knots or k == 0:
            raise ValueError(
                f"a {self.kind} linearizer of {n} amplifiers has coefficients of shape "
                f"{self.coefficients.shape} and knots of shape {self.knots_adu.shape}"
            )

    def correction(self, amplifier: int, measured_adu: npt.ArrayLike) -> FloatArray:
        """Tell what is to be added to a measured signal.

        Parameters
        ----------
        amplifier
            Which, from 0.
        measured_adu
            Signal above the bias level, ADU, any shape.

        Returns
        -------
        numpy.ndarray
            ADU, of the same shape. 0 below zero signal; beyond the last knot of a spline, or the
            crest of a quadratic, what it is there.
        """
        measured = np.clip(np.asarray(measured_adu, dtype=np.float64), 0, None)
        row = self.coefficients[amplifier]
        if not np.isfinite(row).all():
            return np.zeros_like(measured)
        if self.kind == "quadratic":
            c = float(row[0])
            crest = 0.25 / c if c > 0 else np.inf
            inside = np.minimum(measured, crest)
            # 2 m / (1 + sqrt(1 - 4 c m)) is the root that stays accurate as c goes to 0.
            root = np.sqrt(np.clip(1 - 4 * c * inside, 0, None))
            return np.asarray(2 * inside / (1 + root) - inside, dtype=np.float64)
        knots = self.knots_adu[amplifier]
        inside = np.clip(measured, knots[0], knots[-1])
        curve = PchipInterpolator(knots, knots + row)
        return np.asarray(curve(inside) - inside, dtype=np.float64)

    def to_json_dict(self) -> dict[str, Any]:
        """Give the plain values, for a JSON document."""
        return {
            "amplifiers": list(self.amplifiers),
            "kind": self.kind,
            "coefficients": self.coefficients.tolist(),
            "knots_adu": self.knots_adu.tolist(),
        }

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, Any]) -> Linearizer:
        """Make the value that `to_json_dict` gave the plain values of.

        Parameters
        ----------
        plain
            Field names to plain values.
        """
        names = tuple(plain["amplifiers"])
        coefficients, knots = (
            np.array(plain[name], dtype=np.float64).reshape(len(names), -1)
            for name in ("coefficients", "knots_adu")
        )
        return cls(names, plain["kind"], coefficients, knots)


def linearize(
    electrons: FloatImage, linearizer: Linearizer, amplifier: int, *, gain: float
) -> None:
    """Make the signal of an amplifier linear, in place.

    The curve is looked up in a table of 4096 steps; between its entries a quadratic of
    ``2e-7 / ADU`` is met to 2e-5 ADU.

    Parameters
    ----------
    electrons
        Signal above the bias level, shape ``(ny, nx)``; changed in place.
    linearizer
        How far the amplifier is from linear, in ADU.
    amplifier
        Which of its amplifiers, from 0.
    gain
        Electrons per ADU that the signal was multiplied by.
    """
    step = _LARGEST_ADU / _N_STEPS
    table = linearizer.correction(amplifier, np.arange(_N_STEPS + 1) * step)
    if table.any():
        add_from_table(electrons, (gain * table).astype(np.float32), np.float32(gain * step))
