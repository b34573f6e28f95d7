"""Photometric calibration of an image: nJy per image unit, smooth over the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from lsstpipe.geometry.box import Box

AB_NJY = 31.4
"""AB magnitude of 1 nJy."""


@dataclass(frozen=True, slots=True)
class PhotoCalib:
    """The factor from image units to nJy: a scale times a smooth term of mean about one.

    Attributes
    ----------
    scale
        nJy per image unit.
    scale_err
        Its standard error, nJy per image unit.
    coefficients
        Coefficients ``c`` of the term ``10**(-0.4 * sum(c_ij * P_i(v) * P_j(u)))``, with Legendre
        polynomials ``P``, in magnitudes, shape ``(order + 1, order + 1)``; zero for no term.
    center
        Pixel ``(y, x)`` at which ``u = v = 0``.
    half_size
        Pixels ``(y, x)`` for which ``v = 1`` and ``u = 1``.
    """

    scale: float
    scale_err: float
    coefficients: tuple[tuple[float, ...], ...] = ((0.0,),)
    center: tuple[float, float] = (0.0, 0.0)
    half_size: tuple[float, float] = (1.0, 1.0)

    def factor(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Evaluate nJy per image unit.

        Parameters
        ----------
        y, x
            Absolute pixel positions; their shapes broadcast.
        """
        v = (np.asarray(y, dtype=np.float64) - self.center[0]) / self.half_size[0]
        u = (np.asarray(x, dtype=np.float64) - self.center[1]) / self.half_size[1]
        mag = legendre.legval2d(v, u, np.asarray(self.coefficients))
        result: npt.NDArray[np.float64] = self.scale * 10 ** (-0.4 * mag)
        return result

    def factor_image(self, box: Box) -> npt.NDArray[np.float64]:
        """Evaluate nJy per image unit on all pixels of a box.

        Parameters
        ----------
        box
            The pixels.

        Returns
        -------
        numpy.ndarray
            Shape ``(ny, nx)``.
        """
        v = (np.arange(box.y0, box.y1) - self.center[0]) / self.half_size[0]
        u = (np.arange(box.x0, box.x1) - self.center[1]) / self.half_size[1]
        mag = legendre.leggrid2d(v, u, np.asarray(self.coefficients))
        result: npt.NDArray[np.float64] = self.scale * 10 ** (-0.4 * mag)
        return result


def magnitude(flux_njy: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert fluxes to AB magnitudes; NaN where the flux is not positive.

    Parameters
    ----------
    flux_njy
        Fluxes in nJy, any shape.
    """
    flux = np.asarray(flux_njy, dtype=np.float64)
    result = np.full(flux.shape, np.nan)
    good = flux > 0
    result[good] = AB_NJY - 2.5 * np.log10(flux[good])
    return result


def photo_calib_to_json(calib: PhotoCalib) -> dict[str, object]:
    """Give the plain values of a calibration, for a JSON document."""
    return {
        "scale": calib.scale,
        "scale_err": calib.scale_err,
        "coefficients": [list(row) for row in calib.coefficients],
        "center": list(calib.center),
        "half_size": list(calib.half_size),
    }


def photo_calib_from_json(values: Mapping[str, Any]) -> PhotoCalib:
    """Build the calibration that `photo_calib_to_json` gave the values of.

    Parameters
    ----------
    values
        The plain values.
    """
    center, half_size = values["center"], values["half_size"]
    return PhotoCalib(
        scale=float(values["scale"]),
        scale_err=float(values["scale_err"]),
        coefficients=tuple(tuple(float(c) for c in row) for row in values["coefficients"]),
        center=(float(center[0]), float(center[1])),
        half_size=(float(half_size[0]), float(half_size[1])),
    )
