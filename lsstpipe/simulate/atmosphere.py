"""The PSF: a Moffat profile whose width and shape vary over the field.

It is the profile of the light that pixels collect, pixel included: a star's image is the profile at
the centres of the pixels, times its flux.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.image.detector import Detector
from lsstpipe.simulate.optics import focal_plane
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.survey import Exposure, Survey

FloatArray = npt.NDArray[np.float64]

BETA = 3.5
"""Exponent of the Moffat profile."""

_WIDTH_VARIATION = 0.04
_SHAPE_VARIATION = 0.01


@dataclass(frozen=True, slots=True)
class PsfShapes:
    """Moffat profiles ``(1 + q)**-BETA`` with ``q = (a dx**2 + 2 b dx dy + c dy**2) / alpha**2``.

    Attributes
    ----------
    fwhm_pix
        Full width at half maximum of the round profile of equal area, pixels.
    alpha_pix
        Width, pixels.
    a, b, c
        Quadratic form of determinant 1.
    """

    fwhm_pix: FloatArray
    alpha_pix: FloatArray
    a: FloatArray
    b: FloatArray
    c: FloatArray


def psf_shapes(
    survey: Survey, exposure: Exposure, detector: Detector, *, y: FloatArray, x: FloatArray
) -> PsfShapes:
    """Give the PSF at pixels of a detector.

    Parameters
    ----------
    survey
        Its camera and seed.
    exposure
        A visit: its seeing and shear.
    detector
        One of its detectors.
    y, x
        Pixel positions, one shape.
    """
    rng = random_for("psf", survey.seed, exposure.number)
    focal_y, focal_x = focal_plane(detector, y, x)
    radius = field_radius_pix(survey)
    v, u = focal_y / radius, focal_x / radius
    tilt = rng.normal(scale=0.5, size=2)
    wave = tilt[0] * u + tilt[1] * v + rng.uniform(0.3, 1.0) * (u * u + v * v)
    fwhm = exposure.seeing_arcsec / survey.camera.pixel_scale_arcsec
    fwhm = fwhm * (1 + _WIDTH_VARIATION * wave)
    bends = rng.normal(scale=_SHAPE_VARIATION / 2, size=(2, 5))
    terms = np.stack([u, v, u * u, u * v, v * v])
    g1 = exposure.shear[0] + np.tensordot(bends[0], terms, axes=1)
    g2 = exposure.shear[1] + np.tensordot(bends[1], terms, axes=1)
    if detector.quarter_turns % 2:
        g1, g2 = -g1, -g2
    norm = 1 - g1 * g1 - g2 * g2
    return PsfShapes(
        fwhm_pix=fwhm,
        alpha_pix=fwhm / (2 * math.sqrt(2 ** (1 / BETA) - 1)),
        a=((1 - g1) ** 2 + g2 * g2) / norm,
        b=-2 * g2 / norm,
        c=((1 + g1) ** 2 + g2 * g2) / norm,
    )


def field_radius_pix(survey: Survey) -> float:
    """Give the distance of the farthest pixel from the centre of the field, pixels.

    Parameters
    ----------
    survey
        Its camera.
    """
    return max(
        math.hypot(d.focal_y_pix, d.focal_x_pix) + math.hypot(d.ny, d.nx) / 2
        for d in survey.camera.detectors.values()
    )
