"""The true properties of a detector: what calibration is to find out.

Images are rounded to the steps in which their truth is kept on disk, so that the truth that is
written is exactly the one that is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from lsstpipe.image.detector import Detector
from lsstpipe.simulate.atmosphere import field_radius_pix
from lsstpipe.simulate.optics import focal_plane
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.survey import Survey

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

FLAT_STEP, BIAS_STEP, DARK_STEP, FRINGE_STEP = 2e-5, 1e-2, 1e-3, 1e-4
"""Steps of the images."""

DEAD_COLUMN, HOT_COLUMN, CLUSTER, HOT_PIXEL = 1, 2, 4, 8
"""Bits of the image of defects."""

_BIAS_ADU, _BIAS_SPREAD_ADU = 1000.0, 40.0
_GAIN_SPREAD, _READ_NOISE_SPREAD, _RESPONSE_SPREAD = 0.015, 0.03, 0.03
_BIAS_RMS_ELECTRON = 2.0
_DARK_ELECTRON_S, _HOT_FRACTION, _HOT_ELECTRON_S = 0.02, 1e-3, (1.0, 50.0)
_PRNU, _VIGNETTING, _BAND_TERM = 0.01, 0.10, 0.01
_NEIGHBOUR_CROSSTALK, _FAR_CROSSTALK = 1e-4, 1e-5
_FULL_WELL_MARGIN = 1.05
_BRIGHTER_FATTER, _KERNEL_HALF_PIX = 7e-7, 4
_N_DEAD_COLUMNS, _N_HOT_COLUMNS, _N_CLUSTERS = 1, 1, 5
_DEAD_RESPONSE, _CLUSTER_RESPONSE, _HOT_COLUMN_ELECTRON_S = 0.3, 0.6, 20.0
_FRINGE_AMPLITUDE, _FRINGE_PERIOD_PIX = 0.008, 90.0


@dataclass(frozen=True, slots=True, eq=False)
class DetectorTruth:
    """What a detector truly is; lists go by its amplifiers.

    Attributes
    ----------
    detector
        Its geometry, and what its camera says of it.
    gain
        Electrons per ADU.
    read_noise
        Electrons.
    bias_adu
        Mean level without light, ADU.
    nonlinearity
        c of ``measured = true * (1 - c * true)``, per ADU above the bias level.
    crosstalk
        Electrons in the victim (row) per electron in the source (column), shape ``(n, n)``.
    full_well
        Electrons that a pixel holds.
    kernel
        Potential of one electron, by which charge displaces the borders of pixels.
    response
        Flat without the term of its band: sensitivity, vignetting, defects.
    bias
        Electrons, mean 0.
    dark
        Electrons a second.
    fringe
        Share of the sky, mean 0.
    defects
        Bits of what is wrong with a pixel.
    """

    detector: Detector
    gain: FloatArray
    read_noise: FloatArray
    bias_adu: FloatArray
    nonlinearity: FloatArray
    crosstalk: FloatArray
    full_well: float
    kernel: FloatArray
    response: FloatImage
    bias: FloatImage
    dark: FloatImage
    fringe: FloatImage
    defects: npt.NDArray[np.uint8]


@lru_cache(maxsize=1)
def make_detector_truth(survey: Survey, number: int) -> DetectorTruth:
    """Make a detector.

    Parameters
    ----------
    survey
        Its camera and seed.
    number
        Which one.
    """
    detector = survey.camera.detector(number)
    rng = random_for("detector", survey.seed, number)
    n = len(detector.amplifiers)
    gain = np.array([a.gain for a in detector.amplifiers])
    gain = gain * (1 + _GAIN_SPREAD * rng.standard_normal(n))
    noise = np.array([a.read_noise for a in detector.amplifiers])
    saturation = np.array([a.saturation_adu for a in detector.amplifiers])
    bias_adu = _BIAS_ADU + _BIAS_SPREAD_ADU * rng.standard_normal(n)
    nonlinearity = survey.preset.nonlinearity_per_adu * rng.uniform(0.8, 1.2, n)
    # A pixel is full a little above the level from which every amplifier calls it saturated.
    top = (saturation - bias_adu) * (1 + 1.2 * survey.preset.nonlinearity_per_adu * saturation)
    response = _sensitivity(survey, detector, rng)
    dark = _dark(detector, rng)
    defects = _defects(detector, response, dark, rng)
    return DetectorTruth(
        detector=detector,
        gain=gain,
        read_noise=noise * (1 + _READ_NOISE_SPREAD * rng.standard_normal(n)),
        bias_adu=bias_adu,
        nonlinearity=nonlinearity,
        crosstalk=_crosstalk(n, rng),
        full_well=float(_FULL_WELL_MARGIN * np.max(top * gain)),
        kernel=brighter_fatter_kernel(),
        response=_rounded(response, FLAT_STEP),
        bias=_rounded(_bias(detector, rng), BIAS_STEP),
        dark=_rounded(dark, DARK_STEP),
        fringe=_rounded(_fringe(detector, rng), FRINGE_STEP),
        defects=defects,
    )


@lru_cache(maxsize=1)
def flat(truth: DetectorTruth, survey: Survey, band: str) -> FloatImage:
    """Give the response of each pixel to light of a band; look, do not touch.

    Frames of a band follow each other, and all share it.

    Parameters
    ----------
    truth
        The detector.
    survey
        Its seed.
    band
        The band.
    """
    detector = truth.detector
    bands = survey.preset.bands
    rng = random_for("band", survey.seed, detector.number, bands.index(band))
    v = np.linspace(-1, 1, detector.ny)[:, None]
    u = np.linspace(-1, 1, detector.nx)[None, :]
    terms = rng.normal(scale=_BAND_TERM / 2, size=4)
    smooth = 1 + terms[0] * u + terms[1] * v + terms[2] * u * v + terms[3] * (u * u + v * v)
    response = _rounded(truth.response * smooth, FLAT_STEP)
    response.flags.writeable = False
    return response


def brighter_fatter_kernel() -> FloatArray:
    """Give the true potential of one electron: it falls off like that of a charge over a plane.

    Returns
    -------
    kernel
        Shape ``(9, 9)``, most negative in the middle.
    """
    y, x = np.mgrid[
        -_KERNEL_HALF_PIX : _KERNEL_HALF_PIX + 1, -_KERNEL_HALF_PIX : _KERNEL_HALF_PIX + 1
    ]
    kernel: FloatArray = -_BRIGHTER_FATTER * (1.0 + x * x + 0.9 * y * y) ** -1.5
    return kernel


def _rounded(image: npt.NDArray[np.floating], step: float) -> FloatImage:
    """Round to whole steps."""
    return np.asarray(np.rint(image / step) * step, dtype=np.float32)


def _crosstalk(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw the matrix: neighbours see more of each other."""
    i = np.arange(n)
    away = np.abs(i[:, None] - i[None, :])
    matrix = np.where(away == 1, _NEIGHBOUR_CROSSTALK, _FAR_CROSSTALK)
    matrix = matrix * rng.uniform(0.7, 1.3, (n, n))
    np.fill_diagonal(matrix, 0.0)
    return matrix


def _sensitivity(survey: Survey, detector: Detector, rng: np.random.Generator) -> FloatImage:
    """Draw vignetting, steps between amplifiers and the response of single pixels."""
    y, x = np.ogrid[: detector.ny, : detector.nx]
    focal_y, focal_x = focal_plane(detector, y, x)
    radius = (focal_y**2 + focal_x**2) / field_radius_pix(survey) ** 2
    steps = 1 + _RESPONSE_SPREAD * rng.uniform(-0.5, 0.5, len(detector.amplifiers))
    pixels = 1 + _PRNU * rng.standard_normal((detector.ny, detector.nx), dtype=np.float32)
    return np.asarray(
        detector.paint(list(steps)) * (1 - _VIGNETTING * radius) * pixels, dtype=np.float32
    )


def _bias(detector: Detector, rng: np.random.Generator) -> FloatImage:
    """Draw the structure of the bias: columns, smooth clouds, a glow near the amplifiers' edges."""
    columns = rng.standard_normal((1, detector.nx), dtype=np.float32)
    coarse = rng.standard_normal((detector.ny // 16 + 2, detector.nx // 16 + 2))
    clouds = gaussian_filter(coarse, 1.5)
    clouds = np.kron(clouds / clouds.std(), np.ones((16, 16)))[: detector.ny, : detector.nx]
    image = columns + clouds
    image = image - image.mean()
    return np.asarray(_BIAS_RMS_ELECTRON * image / image.std(), dtype=np.float32)


def _dark(detector: Detector, rng: np.random.Generator) -> FloatImage:
    """Draw the dark current: a slope, and hot pixels."""
    slope = np.linspace(0.7, 1.3, detector.ny, dtype=np.float32)[:, None]
    dark = _DARK_ELECTRON_S * np.broadcast_to(slope, (detector.ny, detector.nx)).copy()
    n_hot = round(_HOT_FRACTION * dark.size)
    place = rng.choice(dark.size, n_hot, replace=False)
    low, high = np.log10(_HOT_ELECTRON_S)
    dark.flat[place] += 10 ** rng.uniform(low, high, n_hot)
    return dark.astype(np.float32)


def _defects(
    detector: Detector, response: FloatImage, dark: FloatImage, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Spoil columns and clusters of pixels, in place, and say which."""
    defects = np.zeros((detector.ny, detector.nx), dtype=np.uint8)
    defects[dark > _HOT_ELECTRON_S[0]] |= HOT_PIXEL
    columns = rng.choice(np.arange(8, detector.nx - 8), _N_DEAD_COLUMNS + _N_HOT_COLUMNS, False)
    for i, column in enumerate(columns):
        if i < _N_DEAD_COLUMNS:
            response[:, column] *= _DEAD_RESPONSE
            defects[:, column] |= DEAD_COLUMN
        else:
            dark[:, column] += _HOT_COLUMN_ELECTRON_S
            defects[:, column] |= HOT_COLUMN
    for _ in range(_N_CLUSTERS):
        size = int(rng.integers(3, 7))
        y, x = (int(rng.integers(8, length - 16)) for length in (detector.ny, detector.nx))
        here = (slice(y, y + size), slice(x, x + size))
        response[here] *= _CLUSTER_RESPONSE
        defects[here] |= CLUSTER
    return defects


def _fringe(detector: Detector, rng: np.random.Generator) -> FloatImage:
    """Draw fringes: contour lines of a wavy thickness."""
    coarse = gaussian_filter(rng.standard_normal((24, 24)), 2.0)
    v = np.linspace(4, 19, detector.ny)
    u = np.linspace(4, 19, detector.nx)
    rows = np.clip(v.astype(int), 0, 22)
    columns = np.clip(u.astype(int), 0, 22)
    dv, du = (v - rows)[:, None], (u - columns)[None, :]
    corner = coarse[rows][:, columns] * (1 - dv) * (1 - du)
    corner = corner + coarse[rows + 1][:, columns] * dv * (1 - du)
    corner = corner + coarse[rows][:, columns + 1] * (1 - dv) * du
    corner = corner + coarse[rows + 1][:, columns + 1] * dv * du
    waves = max(detector.ny, detector.nx) / _FRINGE_PERIOD_PIX
    phase = 2 * math.pi * waves * (corner / np.ptp(corner) + 0.5 * v[:, None] / 15)
    wave = np.sin(phase)
    return np.asarray(_FRINGE_AMPLITUDE * (wave - wave.mean()), dtype=np.float32)
