"""The signature that a detector leaves, measured back from its raw frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chisquare, poisson, skew

from lsstpipe.simulate.detector import DetectorTruth, flat, make_detector_truth
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.readout import collect, photons, read_out
from lsstpipe.simulate.survey import make_survey

SURVEY = make_survey(find_preset("unit"), 7)


@pytest.fixture(scope="module")
def truth() -> DetectorTruth:
    return make_detector_truth(SURVEY, 0)


@pytest.fixture(scope="module")
def plain(truth: DetectorTruth) -> DetectorTruth:
    """A detector whose pixels are all alike, without brighter-fatter effect."""
    zero = np.zeros_like(truth.bias)
    return replace(
        truth,
        response=np.ones_like(zero),
        bias=zero,
        dark=zero,
        kernel=np.zeros_like(truth.kernel),
        crosstalk=np.zeros_like(truth.crosstalk),
        nonlinearity=np.zeros_like(truth.nonlinearity),
    )


def amplifier_images(truth: DetectorTruth, raw: npt.NDArray[np.uint16]) -> list[np.ndarray]:
    """Pixels of each amplifier in ADU above the level of its overscan."""
    images = []
    for amplifier in truth.detector.amplifiers:
        data, overscan = amplifier.data, amplifier.serial_overscan
        assert overscan is not None
        rows = slice(data.y0, data.y1)
        level = np.mean(raw[rows, overscan.x0 + 3 : overscan.x1], axis=1, dtype=float)
        images.append(raw[rows, data.x0 : data.x1] - level[:, None])
    return images


def flat_frame(truth: DetectorTruth, level: float, seed: int) -> npt.NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    light = np.full_like(truth.bias, level)
    return read_out(truth, collect(truth, light, 0.0, rng)[0], rng)[0]


def test_photon_transfer_gives_the_true_gain(plain: DetectorTruth) -> None:
    level = 20000.0
    pairs = [flat_frame(plain, level, seed) for seed in range(6)]
    for i, gain in enumerate(plain.gain):
        images = [amplifier_images(plain, raw)[i] for raw in pairs]
        variance = np.mean(
            [np.var(a - b) / 2 for a, b in zip(images[::2], images[1::2], strict=True)]
        )
        noise = plain.read_noise[i] / gain
        mean = np.mean(images)
        # Three pairs of 131072 pixels: 0.23 %. The 29 columns of the overscan add their share.
        assert mean / (variance - noise**2 * (1 + 1 / 29)) == pytest.approx(gain, rel=0.008)


def test_the_read_noise_is_that_of_the_overscan(truth: DetectorTruth) -> None:
    raw = flat_frame(truth, 0.0, 1)
    for i, amplifier in enumerate(truth.detector.amplifiers):
        overscan = amplifier.serial_overscan
        assert overscan is not None
        columns = raw[overscan.y0 : overscan.y1, overscan.x0 + 3 : overscan.x1].astype(float)
        scatter = np.sqrt(np.var(columns, axis=1, ddof=1).mean())
        expected = np.sqrt((truth.read_noise[i] / truth.gain[i]) ** 2 + 1 / 12)
        assert scatter == pytest.approx(expected, rel=0.02)


def test_the_rows_of_the_overscan_are_the_wandering_level(truth: DetectorTruth) -> None:
    rng = np.random.default_rng(5)
    raw, levels = read_out(truth, np.zeros_like(truth.bias), rng)
    for i, amplifier in enumerate(truth.detector.amplifiers):
        overscan = amplifier.serial_overscan
        assert overscan is not None
        rows = slice(overscan.y0, overscan.y1)
        seen = np.mean(raw[rows, overscan.x0 + 3 : overscan.x1], axis=1, dtype=float)
        error = truth.read_noise[i] / truth.gain[i] / np.sqrt(29)
        assert np.std(seen - levels[i][rows]) == pytest.approx(error, rel=0.1)
        assert np.ptp(levels[i]) > 10


def test_neighbouring_pixels_of_flats_vary_together_as_the_kernel_says(
    plain: DetectorTruth,
) -> None:
    kernel = make_detector_truth(SURVEY, 0).kernel
    truth = replace(plain, kernel=kernel)
    level, middle = 60000.0, len(kernel) // 2
    laplacian = sum(
        kernel[middle + dy, middle + dx] - kernel[middle, middle]
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
    )
    sums, n_frames = np.zeros(3), 8
    for seed in range(n_frames):
        charge, _ = collect(
            truth, np.full_like(truth.bias, level), 0.0, np.random.default_rng(seed)
        )
        inner = charge[8:-8, 8:-8] - level
        sums += [
            inner.var(),
            np.mean(inner[1:] * inner[:-1]),
            np.mean(inner[:, 1:] * inner[:, :-1]),
        ]
    variance, along_y, along_x = sums / n_frames
    error = level / np.sqrt(n_frames * inner.size)
    assert level - variance == pytest.approx(level**2 * laplacian, abs=0.06 * level**2 * laplacian)
    for got, dy, dx in ((along_y, 1, 0), (along_x, 0, 1)):
        around = kernel[middle + dy - 1 : middle + dy + 2, middle + dx - 1 : middle + dx + 2]
        own = around[0, 1] + around[2, 1] + around[1, 0] + around[1, 2] - 4 * around[1, 1]
        # To first order in the kernel; the next order is a tenth of it.
        assert got == pytest.approx(-(level**2) * own, abs=4 * error + 0.1 * abs(level**2 * own))


def test_a_star_far_beyond_the_full_well_leaves_no_pixel_below_the_sky(
    truth: DetectorTruth,
) -> None:
    light = np.full(truth.bias.shape, 500.0, np.float32)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    light += (1e7 * (1 + ((y - 200) ** 2 + (x - 100) ** 2) / 9.0) ** -3.5).astype(np.float32)
    charge, _ = collect(truth, light, 0.0, np.random.default_rng(3))
    assert charge.min() > 500 - 7 * np.sqrt(500)
    assert charge.max() <= 1.01 * truth.full_well
    assert charge[200, 100] == pytest.approx(truth.full_well, rel=1e-5)


def test_crosstalk_is_found_by_regression_of_the_victim_on_the_source(
    truth: DetectorTruth, plain: DetectorTruth
) -> None:
    detector = replace(plain, crosstalk=truth.crosstalk, read_noise=np.full(2, 1e-3))
    rng = np.random.default_rng(2)
    charge = np.zeros_like(truth.bias)
    source = truth.detector.amplifiers[0].box
    charge[source.y0 : source.y1, source.x0 : source.x1] = rng.uniform(0, 9e4, source.shape)
    raw, levels = read_out(detector, charge, rng)
    first, second = (
        (raw[a.data.y0 : a.data.y1, a.data.x0 : a.data.x1] - levels[i][a.data.y0 : a.data.y1, None])
        * detector.gain[i]
        for i, a in enumerate(detector.detector.amplifiers)
    )
    slope = np.sum(first * second) / np.sum(first * first)
    assert slope == pytest.approx(truth.crosstalk[1, 0], rel=0.01)


def test_the_signal_bends_by_the_quadratic_term(truth: DetectorTruth, plain: DetectorTruth) -> None:
    detector = replace(plain, nonlinearity=truth.nonlinearity, read_noise=np.full(2, 1e-3))
    raw, levels = read_out(detector, np.full_like(truth.bias, 80000), np.random.default_rng(1))
    for i, a in enumerate(detector.detector.amplifiers):
        rows = slice(a.data.y0, a.data.y1)
        seen = np.mean(raw[rows, a.data.x0 : a.data.x1] - levels[i][rows, None])
        true = 80000 / detector.gain[i]
        assert seen == pytest.approx(true * (1 - truth.nonlinearity[i] * true), abs=0.1)
        assert true - seen > 300


def test_a_flat_over_a_flat_is_the_truth_to_its_noise(truth: DetectorTruth) -> None:
    response = flat(truth, SURVEY, "r")
    light = np.float32(20000) * response
    mean = np.mean([photons(light, np.random.default_rng(i)) for i in range(10)], axis=0) / 20000
    pull = (mean - response) / np.sqrt(response / 200000)
    assert np.std(pull) == pytest.approx(1, abs=0.01)
    assert np.std(response[truth.defects == 0]) > 0.01


def test_a_full_pixel_is_called_saturated_by_every_amplifier(truth: DetectorTruth) -> None:
    charge = np.full_like(truth.bias, truth.full_well)
    raw, _ = read_out(truth, charge, np.random.default_rng(3))
    for amplifier in truth.detector.amplifiers:
        data = amplifier.data
        assert raw[data.y0 : data.y1, data.x0 : data.x1].min() >= amplifier.saturation_adu


def test_cosmic_rays_come_in_proportion_to_time(truth: DetectorTruth) -> None:
    counts = {}
    for time_s in (60.0, 1200.0):
        frames = [
            collect(truth, np.zeros_like(truth.bias), time_s, np.random.default_rng(i))[1]
            for i in range(5)
        ]
        counts[time_s] = sum(np.count_nonzero(rays) for rays in frames)
    assert counts[1200.0] / counts[60.0] == pytest.approx(20, rel=0.5)


def test_photons_do_not_depend_on_how_the_light_lies_in_memory(rng: np.random.Generator) -> None:
    light = rng.uniform(0.0, 40.0, (200, 30)).astype(np.float32)
    drawn = [photons(one, np.random.default_rng(3)) for one in (light, np.asfortranarray(light))]
    np.testing.assert_array_equal(*drawn)


def test_photons_are_those_of_one_draw_over_the_whole_detector(rng: np.random.Generator) -> None:
    expected = rng.uniform(-5.0, 40.0, (150, 20)).astype(np.float32)
    expected[3, 4] = 1e9
    drawn = photons(expected, np.random.default_rng(3))
    whole = np.random.default_rng(3).poisson(np.clip(expected, 0, 1e7))
    np.testing.assert_array_equal(drawn, whole.astype(np.float32))


@pytest.mark.parametrize("mean", [500, 20000])
def test_many_photons_are_drawn_from_the_distribution_of_poisson(mean: int) -> None:
    drawn = photons(np.full((1024, 1024), mean, np.float32), np.random.default_rng(5))
    edges = poisson.ppf(np.linspace(0.02, 0.98, 49), mean)
    expected = np.diff(poisson.cdf(edges, mean)) * drawn.size
    seen = np.histogram(drawn, edges + 0.5)[0]
    assert chisquare(seen * (expected.sum() / seen.sum()), expected).pvalue > 0.01
    assert skew(drawn, axis=None) == pytest.approx(mean**-0.5, abs=0.01)


def test_darkness_draws_nothing() -> None:
    used, fresh = np.random.default_rng(3), np.random.default_rng(3)
    assert not photons(np.zeros((90, 8), np.float32), used).any()
    assert used.random() == fresh.random()
