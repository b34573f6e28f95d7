from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.algorithms.transit import (
    TransitPrior,
    fit_depth,
    fit_transit,
    occulted_flux,
    radius_ratio_of_depth,
    transit_shape,
)
from lsstpipe.errors import AlgorithmError

PRIOR = TransitPrior(duration_h=2.5, duration_err_h=0.2)
MJD = 56095.08 + np.linspace(0.0, 3.667, 24) / 24.0
HOURS = 24.0 * (MJD - MJD[0])
DEPTH, MIDDLE = 0.024, 1.9


def lens_area(z: float, k: float) -> float:
    """Area that two discs of radius 1 and k share, over pi."""
    if z >= 1 + k:
        return 0.0
    if z <= abs(1 - k):
        return min(1.0, k * k)
    first = np.arccos((z * z + 1 - k * k) / (2 * z))
    second = np.arccos((z * z + k * k - 1) / (2 * z * k))
    triangle = 0.5 * np.sqrt((-z + 1 + k) * (z + 1 - k) * (z - 1 + k) * (z + 1 + k))
    return float((first + k * k * second - triangle) / np.pi)


def simulate(
    rng: np.random.Generator, depth: float, noise: float = 0.005
) -> npt.NDArray[np.float64]:
    truth = 1.0 - depth * transit_shape(HOURS - MIDDLE, PRIOR.duration_h, depth, PRIOR)
    return truth * (1.0 + 0.003 * (HOURS - 1.8)) + rng.normal(0.0, noise, len(HOURS))


@given(z=st.floats(0.0, 1.6), k=st.floats(0.02, 0.5))
def test_a_uniform_star_loses_the_area_that_two_discs_share(z: float, k: float) -> None:
    assert occulted_flux([z], k, (0.0, 0.0))[0] == pytest.approx(lens_area(z, k), abs=2e-6)


def test_a_limb_darkened_star_loses_what_a_sum_over_its_pixels_says() -> None:
    u, k, n = (0.4, 0.25), 0.14, 2001
    y, x = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    dim = 1.0 - np.sqrt(np.clip(1.0 - y**2 - x**2, 0.0, None))
    light = np.where(y**2 + x**2 < 1, 1.0 - u[0] * dim - u[1] * dim**2, 0.0)
    for z in (0.0, 0.05, 0.3, 0.85, 0.95, 1.05):
        expected = light[(x - z) ** 2 + y**2 < k * k].sum() / light.sum()
        assert occulted_flux([z], k, u)[0] == pytest.approx(expected, abs=5e-5)


def test_a_small_planet_at_the_centre_takes_its_area_times_the_central_brightness() -> None:
    u1, u2 = 0.4, 0.25
    mean = 1.0 - u1 / 3.0 - u2 / 6.0
    assert occulted_flux([0.0], 0.01, (u1, u2))[0] == pytest.approx(1e-4 / mean, rel=1e-4)


def test_the_radius_of_a_depth_makes_that_depth() -> None:
    ratio = radius_ratio_of_depth(DEPTH, PRIOR)
    depth = occulted_flux([PRIOR.impact], ratio, PRIOR.limb_darkening)[0]
    assert depth == pytest.approx(DEPTH, rel=0.01)


def test_the_shape_is_one_in_the_middle_and_zero_beyond_the_contacts() -> None:
    offsets = np.array([-1.3, -1.2501, 0.0, 1.2501, 2.0])
    shape = transit_shape(offsets, 2.5, DEPTH, PRIOR)
    np.testing.assert_allclose(shape, [0.0, 0.0, 1.0, 0.0, 0.0], atol=1e-12)
    assert np.all(transit_shape(np.array([-1.24, 1.24]), 2.5, DEPTH, PRIOR) > 0.0)


def test_depths_of_simulated_transits_scatter_as_their_errors_say() -> None:
    errors = np.full(len(MJD), 0.005)
    fits = [
        fit_transit(MJD, simulate(np.random.default_rng(seed), DEPTH), errors, PRIOR)
        for seed in range(30)
    ]
    pulls = np.array([(fit.depth - DEPTH) / fit.depth_err for fit in fits])
    assert abs(np.mean(pulls)) < 0.45  # standard error 0.13, and a small bias of a free mid-time
    assert 0.7 < np.std(pulls) < 1.25
    middles = np.array([24 * (fit.mid_mjd - MJD[0]) - MIDDLE for fit in fits])
    assert abs(np.median(middles)) < 0.03
    assert np.median([fit.scatter_out for fit in fits]) == pytest.approx(0.005, rel=0.2)


def test_a_transit_without_noise_is_recovered() -> None:
    fit = fit_transit(
        MJD, simulate(np.random.default_rng(0), DEPTH, 0.0), np.full(len(MJD), 1e-4), PRIOR
    )
    assert fit.depth == pytest.approx(DEPTH, abs=2e-5)
    assert 24 * (fit.mid_mjd - MJD[0]) == pytest.approx(MIDDLE, abs=0.01)
    assert fit.duration_h == pytest.approx(2.5, abs=0.02)
    np.testing.assert_allclose(
        fit.model + fit.residual, simulate(np.random.default_rng(0), DEPTH, 0)
    )


@pytest.mark.parametrize("seed", [1, 2, 66, 67])
def test_no_transit_on_a_grid_of_times_and_durations_fits_better(seed: int) -> None:
    # With 66 and 67 a fit that starts from the prior's duration alone ends beside the best one.
    wide = replace(PRIOR, duration_err_h=0.4)
    flux = simulate(np.random.default_rng(seed), DEPTH, 0.006)
    error = np.full(len(MJD), 0.006)
    fit = fit_transit(MJD, flux, error, wide)
    hours = 24.0 * (MJD - MJD[0])
    trend = hours - hours.mean()

    def cost(mid: float, duration: float) -> float:
        shape = transit_shape(hours - mid, duration, fit.depth, wide)
        design = np.column_stack([np.ones_like(hours), trend, -shape])
        miss = flux - design @ np.linalg.lstsq(design, flux, rcond=None)[0]
        far = (duration - wide.duration_h) / wide.duration_err_h
        return float(np.sum((miss / error) ** 2) + far**2)

    own = fit.chi2 + ((fit.duration_h - wide.duration_h) / wide.duration_err_h) ** 2
    grid = [cost(m, d) for m in np.arange(1.0, 2.8, 0.02) for d in np.arange(1.8, 3.3, 0.05)]
    # The grid's shape is that of the fitted depth, which moves it by less than this.
    assert own < min(grid) + 0.02


def test_a_flat_curve_has_no_transit_at_a_known_time() -> None:
    prior = TransitPrior(2.5, 0.1, mid_mjd=MJD[0] + MIDDLE / 24, mid_err_d=0.1 / 24)
    errors = np.full(len(MJD), 0.005)
    pulls = []
    for seed in range(20):
        flux = 1.0 + np.random.default_rng(seed).normal(0.0, 0.005, len(MJD))
        fit = fit_transit(MJD, flux, errors, prior)
        pulls.append(fit.depth / fit.depth_err)
    assert abs(np.mean(pulls)) < 0.5
    assert 0.6 < np.std(pulls) < 1.3


def test_underestimated_errors_do_not_shrink_the_error_of_the_depth() -> None:
    flux = simulate(np.random.default_rng(3), DEPTH)
    honest = fit_transit(MJD, flux, np.full(len(MJD), 0.005), PRIOR)
    proud = fit_transit(MJD, flux, np.full(len(MJD), 0.001), PRIOR)
    assert proud.depth_err > 0.6 * honest.depth_err


def test_noise_that_lasts_for_several_points_widens_the_error_of_the_depth() -> None:
    rng = np.random.default_rng(5)
    clean = simulate(rng, DEPTH, 0.0)
    ratio: dict[str, list[float]] = {"white": [], "red": []}
    for _ in range(8):
        noise = {
            "white": rng.normal(0.0, 0.004, len(MJD)),
            "red": np.convolve(rng.normal(0.0, 0.004, len(MJD) + 3), np.full(4, 0.5), "valid"),
        }
        for colour, values in noise.items():
            fit = fit_transit(MJD, clean + values, np.full(len(MJD), 0.004), PRIOR)
            ratio[colour].append(fit.depth_err_permutation / fit.depth_err_covariance)
    assert np.median(ratio["red"]) > 1.2 * np.median(ratio["white"])


def test_a_box_of_known_shape_is_the_difference_of_two_means() -> None:
    rng = np.random.default_rng(7)
    inside = (np.arange(20) >= 8).astype(float)
    flux = 1.0 - 0.02 * inside + rng.normal(0.0, 0.003, 20)
    depth, _ = fit_depth(flux, np.full(20, 0.003), inside, np.empty((20, 0)))
    out, low = flux[:8].mean(), flux[8:].mean()
    assert depth == pytest.approx(1.0 - low / out, rel=1e-9)


def test_too_few_points_are_refused_with_their_number() -> None:
    with pytest.raises(AlgorithmError, match="got 5"):
        fit_transit(MJD[:5], np.ones(5), np.full(5, 0.01), PRIOR)
