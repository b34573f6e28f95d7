"""From light to numbers: everything that a detector does to what falls on it, in physical order.

Light is weighed by the flat, collected as electrons that come one by one, pushed aside by the
charge that is there (brighter-fatter), spilt where a pixel is full, and joined by cosmic rays and
dark current; then amplified by what bends, copied into the neighbours by crosstalk, lifted by the
bias and its wandering rows, and rounded. The removal of the signature runs backward through it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.image.detector import Amplifier
from lsstpipe.simulate._charge_kernel import add_tracks, bleed, convolve, displace
from lsstpipe.simulate._poisson_kernel import draw_few
from lsstpipe.simulate._readout_kernel import amplify, digitize, draw_many
from lsstpipe.simulate.detector import DetectorTruth

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

_ROW_STEP_ADU, _ROW_MEMORY = 0.3, 0.98
_RAMP_ADU, _RAMP_ROWS = 20.0, 400.0
_DEFERRED = np.array([3e-4, 1e-4], dtype=np.float32)
_RAYS_PER_MINUTE_OF_8_MPIX = (100.0, 400.0)
_RAY_LENGTH_PIX, _RAY_ELECTRON, _RAY_LEAST_ELECTRON = 8.0, 1500.0, 300.0
_MOST_ELECTRON = 1e7
_MANY = 500
_LOG_FACTORIAL = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, 1024.0)))])
_BLOCK_ROWS = 64


def collect(
    truth: DetectorTruth, light: FloatImage, dark_time_s: float, rng: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """Collect light in pixels.

    Parameters
    ----------
    truth
        The detector.
    light
        Expected electrons, flat applied, shape ``(ny, nx)``.
    dark_time_s
        Time until the detector is read, seconds.
    rng
        Draws the photons, the dark current and the cosmic rays.

    Returns
    -------
    charge
        Electrons in each pixel.
    rays
        What of it cosmic rays left, electrons.
    """
    charge = photons(light, rng)
    if light.any():
        # A full pixel spills what comes on top: that does not push.
        held = np.minimum(charge, np.float32(truth.full_well))
        charge += broaden(held, truth.kernel) - held
        bleed(charge, np.float32(truth.full_well))
    rays = np.zeros_like(charge)
    add_tracks(rays, _draw_tracks(charge.shape, dark_time_s, rng))
    charge += rays
    if dark_time_s > 0:
        charge += photons(truth.dark * np.float32(dark_time_s), rng)
        np.minimum(charge, np.float32(truth.full_well), out=charge)
    return charge, rays


def photons(expected: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Draw Poisson numbers.

    Parameters
    ----------
    expected
        Expectations; what is negative counts as 0, what is beyond 1e7 as 1e7: it is spilt anyway.
    rng
        Draws them.
    """
    if not expected.any():  # nothing is drawn for 0
        return np.zeros_like(expected)
    expected = np.ascontiguousarray(expected)  # the loops below go through memory
    drawn = np.empty_like(expected)
    # Rows go by blocks: most need but one of the two ways.
    for y in range(0, len(expected), _BLOCK_ROWS):
        rows = slice(y, y + _BLOCK_ROWS)
        mean = np.clip(expected[rows], 0, _MOST_ELECTRON)
        if mean.min() >= _MANY:
            draw_many(mean, rng.standard_normal(mean.shape, dtype=np.float32), drawn[rows])
        else:
            draw_few(rng, mean, _LOG_FACTORIAL, drawn[rows])
    return drawn


def broaden(charge: FloatImage, kernel: FloatArray) -> FloatImage:
    """Let charge push the borders of pixels aside.

    ``F = I - 1/2 div(I grad(K * I))`` on the borders of pixels, with I the charge that would be
    collected without it: the model of Coulton et al. (2018, AJ 155, 258), equation 22.

    Parameters
    ----------
    charge
        Electrons, shape ``(ny, nx)``.
    kernel
        Potential of one electron.
    """
    level = np.float32(np.median(charge[::8, ::8]))
    return displace(charge, convolve(charge, kernel.astype(np.float32), level))


def _draw_tracks(shape: tuple[int, ...], time_s: float, rng: np.random.Generator) -> FloatArray:
    """Draw cosmic rays in proportion to area and time."""
    rate = rng.uniform(*_RAYS_PER_MINUTE_OF_8_MPIX)
    n = int(rng.poisson(rate * time_s / 60 * shape[0] * shape[1] / (2048 * 4096)))
    return np.stack(
        [
            rng.uniform(0, shape[0], n),
            rng.uniform(0, shape[1], n),
            rng.uniform(0, 2 * np.pi, n),
            rng.exponential(_RAY_LENGTH_PIX, n),
            _RAY_LEAST_ELECTRON + rng.exponential(_RAY_ELECTRON, n),
        ],
        axis=1,
    )


def read_out(
    truth: DetectorTruth, charge: FloatImage, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], FloatArray]:
    """Read a detector.

    Parameters
    ----------
    truth
        The detector.
    charge
        Electrons in each pixel, shape ``(ny, nx)``.
    rng
        Draws the wandering of the rows and the read noise.

    Returns
    -------
    raw
        ADU, on the raw box.
    row_level_adu
        True level of each row without light, shape ``(n_amplifiers, raw_ny)``.
    """
    detector = truth.detector
    signal = np.stack([_as_read(charge, a) for a in detector.amplifiers])
    bend = (truth.nonlinearity / truth.gain).astype(np.float32)
    amplify(signal, bend, truth.crosstalk.astype(np.float32))
    width = detector.raw_nx // len(detector.amplifiers)
    raw = np.empty((detector.raw_ny, detector.raw_nx), dtype=np.uint16)
    levels = np.empty((len(detector.amplifiers), detector.raw_ny))
    for i, amplifier in enumerate(detector.amplifiers):
        gain = np.float32(truth.gain[i])
        levels[i] = truth.bias_adu[i] + _row_levels(detector.raw_ny, rng)
        normal = rng.standard_normal((detector.raw_ny, width), dtype=np.float32)
        level = (normal, np.float32(truth.read_noise[i]) / gain, levels[i].astype(np.float32))
        data = amplifier.data.shifted(y=0, x=-i * width)
        corner = (data.y0, data.x0, 1 if reads_from_left(amplifier) else -1)
        raw[:, i * width : (i + 1) * width] = digitize(
            level, signal[i], _as_read(truth.bias, amplifier), gain, corner, _DEFERRED
        )
    return raw, levels


def reads_from_left(amplifier: Amplifier) -> bool:
    """Tell whether the first column of an amplifier in the raw frame is the first that is read.

    Parameters
    ----------
    amplifier
        An amplifier with a serial overscan, which is read last.
    """
    overscan = amplifier.serial_overscan
    return overscan is None or overscan.x0 > amplifier.data.x0


def _as_read(image: FloatImage, amplifier: Amplifier) -> FloatImage:
    """Cut an amplifier out of a detector, in the order in which its pixels are read."""
    box = amplifier.box
    pixels = image[box.y0 : box.y1, box.x0 : box.x1]
    # The order along rows of the raw frame is turned once more if it is read from the right.
    flip_x = amplifier.flip_x != (not reads_from_left(amplifier))
    return pixels[:: -1 if amplifier.flip_y else 1, :: -1 if flip_x else 1]


def _row_levels(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw how the level wanders from row to row, after it has settled."""
    steps = _ROW_STEP_ADU * rng.standard_normal(n)
    walk = np.empty(n)
    level = 0.0
    for i in range(n):
        level = _ROW_MEMORY * level + steps[i]
        walk[i] = level
    return walk + _RAMP_ADU * np.exp(-np.arange(n) / _RAMP_ROWS)
