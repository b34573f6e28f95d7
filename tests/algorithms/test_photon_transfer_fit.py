"""Gains of simulated photon transfer curves against the truth."""

import numpy as np
import pytest

from lsstpipe.algorithms.flat_pairs import PairNoise
from lsstpipe.algorithms.photon_transfer_fit import fit_gain
from lsstpipe.errors import AlgorithmError

GAIN, NOISE, BEND = 1.6, 5.0, -2e-6
N_PIXELS = 256 * 256


def make_pair(rng: np.random.Generator, level: float, *, bend: float = BEND) -> PairNoise:
    electrons = level * GAIN
    push = 2 * bend * electrons
    rise = np.expm1(push) / push if bend else 1.0
    truth = electrons * rise / GAIN**2 + NOISE**2
    error = truth * np.sqrt(2 / N_PIXELS)
    return PairNoise(level, rng.normal(truth, error), error, 1.0)


def test_a_ramp_gives_the_gain_the_noise_and_the_bend(rng: np.random.Generator) -> None:
    pairs = [make_pair(rng, level) for level in np.geomspace(200, 40000, 12)]
    fit = fit_gain(pairs, read_noise_adu=NOISE)
    assert fit.gain_err < 0.01 * GAIN
    assert abs(fit.gain - GAIN) < 4 * fit.gain_err
    assert fit.bend == pytest.approx(BEND, rel=0.1)
    assert fit.read_noise_adu == pytest.approx(NOISE, rel=0.1)
    assert np.isnan(fit.turnoff_adu)


def test_the_error_of_the_gain_is_its_scatter() -> None:
    fits = [
        fit_gain(
            [make_pair(np.random.default_rng(seed), v) for v in np.geomspace(500, 40000, 8)],
            read_noise_adu=NOISE,
        )
        for seed in range(60)
    ]
    scatter = np.std([fit.gain for fit in fits])
    assert scatter == pytest.approx(np.mean([fit.gain_err for fit in fits]), rel=0.35)
    assert abs(np.mean([fit.gain for fit in fits]) - GAIN) < 4 * scatter / np.sqrt(60)


def test_one_pair_gives_the_gain_with_the_read_noise_of_the_biases(
    rng: np.random.Generator,
) -> None:
    fit = fit_gain([make_pair(rng, 20000.0, bend=0.0)], read_noise_adu=NOISE)
    assert abs(fit.gain - GAIN) < 4 * fit.gain_err
    assert fit.gain_err == pytest.approx(GAIN * np.sqrt(2 / N_PIXELS), rel=0.02)
    assert fit.read_noise_adu == NOISE


def test_the_variance_drops_at_full_well_and_levels_beyond_do_not_count(
    rng: np.random.Generator,
) -> None:
    pairs = [make_pair(rng, level) for level in np.linspace(5000, 40000, 8)]
    full = [PairNoise(level, 9000.0, 30.0, 1.0) for level in (45000.0, 50000.0)]
    fit = fit_gain([*full, *pairs], read_noise_adu=NOISE)
    assert fit.turnoff_adu == 40000.0
    assert fit.n_used == 8
    assert abs(fit.gain - GAIN) < 4 * fit.gain_err


def test_no_pair_and_no_photons_are_refused() -> None:
    with pytest.raises(AlgorithmError, match="at least one pair"):
        fit_gain([], read_noise_adu=NOISE)
    with pytest.raises(AlgorithmError, match="no more than the read-out"):
        fit_gain([PairNoise(100.0, 20.0, 0.1, 1.0)], read_noise_adu=NOISE)
