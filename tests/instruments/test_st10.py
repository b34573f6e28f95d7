"""Constants of the ST-10 against its own frames."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lsstpipe.instruments import get_camera, read_raw

ST10 = get_camera("st10")
DETECTOR = ST10.detector(0)


def _pixels(folder: Path, *numbers: str) -> list[np.ndarray]:
    """Read frames by the number in their name."""
    return [read_raw(folder / f"tres1-{n}.fits.fz", ST10).image.astype(float) for n in numbers]


def _mad(values: np.ndarray) -> float:
    """Estimate a standard deviation from the median deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def test_the_read_noise_is_that_of_a_pair_of_darks(tres1: Path) -> None:
    one, other = _pixels(tres1, "013d", "016d")
    assert _mad(one - other) / np.sqrt(2) * DETECTOR.gain == pytest.approx(
        DETECTOR.read_noise, rel=0.06
    )


def test_the_gain_is_that_of_the_photon_transfer(tres1: Path) -> None:
    """Neighbouring pixels of successive frames: faint stars cancel, photon noise does not."""
    dark = np.median(_pixels(tres1, "008d", "011d", "013d", "016d", "018d"), axis=0)
    sums = np.zeros(2)
    for pair in (("024", "033"), ("113", "122"), ("219", "228")):
        one, other = (frame - dark for frame in _pixels(tres1, *pair))
        levels = np.median(one), np.median(other)
        dark_sky = dark < np.median(dark) + 70
        for frame, level in zip((one, other), levels, strict=True):
            smooth = ndimage.gaussian_filter(frame / level, 1.5)
            around = np.kron(ndimage.median_filter(smooth[::4, ::4], 15), np.ones((4, 4)))
            stars = smooth - around[: frame.shape[0], : frame.shape[1]] > 0.01
            dark_sky &= ~ndimage.binary_dilation(stars, iterations=3)
        ratio = one / levels[0] - other / levels[1]
        step = (ratio[:, 1:] - ratio[:, :-1])[dark_sky[:, 1:] & dark_sky[:, :-1]]
        inverse = 1 / np.array(levels)
        read_noise_adu = DETECTOR.read_noise / DETECTOR.gain
        sums += inverse.sum(), _mad(step) ** 2 / 2 - read_noise_adu**2 * (inverse**2).sum()
    assert sums[0] / sums[1] == pytest.approx(DETECTOR.gain, rel=0.03)
