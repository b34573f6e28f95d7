from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.forced import (
    ForcedSettings,
    fit_psf,
    measure_psf_flux,
    unbias_fitted_fluxes,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import CellPsf, PolynomialPsf


def gaussian_psf(size=21, sigma=1.6):
    offset = (np.arange(2 * size - 1) - (size - 1)) / 2
    knots = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / sigma**2)
    return PolynomialPsf(knots[None], 0, 2, (0, 0, 100, 100), size)


def scene(psf, y, x, flux, *, sky=100.0, shape=(100, 100), seed=None):
    """Draw sources with the PSF; without a seed there is no noise."""
    light = np.zeros((shape[0] + 100, shape[1] + 100))
    half = psf.size // 2
    for stamp, yy, xx, f in zip(psf.stamps(y=y, x=x), y, x, flux, strict=True):
        j, i = int(np.floor(yy + 0.5)) + 50 - half, int(np.floor(xx + 0.5)) + 50 - half
        light[j : j + psf.size, i : i + psf.size] += f * stamp
    light = light[50:-50, 50:-50]
    variance = light + sky
    image = light.copy()
    if seed is not None:
        image = image + np.random.default_rng(seed).normal(size=shape) * np.sqrt(variance)
    planes = Planes(
        image.astype(np.float32), variance.astype(np.float32), np.zeros(shape, np.int32)
    )
    return planes, np.full(shape, sky, np.float32)


def test_exact_scenes_give_exact_fluxes_even_in_blends():
    psf = gaussian_psf()
    y, x = np.array([30.0, 33.2, 60.4, 61.0]), np.array([40.0, 40.7, 60.1, 65.5])
    flux = np.array([1000.0, 5000.0, -300.0, 10.0])
    planes, sky = scene(psf, y, x, flux)
    found = measure_psf_flux(planes, psf, y=y, x=x, sky_variance=sky)
    np.testing.assert_allclose(found.flux, flux, rtol=2e-4, atol=0.05)
    assert (found.chi2 < 1e-3).all()
    assert not found.flag.any()


def test_the_solution_is_that_of_brute_force_least_squares():
    psf = gaussian_psf(size=15)
    rng = np.random.default_rng(3)
    y, x = rng.uniform(10, 50, (2, 12))
    planes, sky = scene(psf, y, x, rng.uniform(100, 1e4, 12), shape=(60, 60), seed=5)
    found = measure_psf_flux(planes, psf, y=y, x=x, sky_variance=sky)
    design = np.stack(
        [scene(psf, y[k : k + 1], x[k : k + 1], [1.0], shape=(60, 60))[0].image for k in range(12)],
        axis=-1,
    ).reshape(-1, 12)
    solution = np.linalg.lstsq(design, planes.image.ravel(), rcond=None)[0]
    np.testing.assert_allclose(found.flux, solution, rtol=1e-3, atol=1.0)
    inverse = np.linalg.pinv(design.astype(float))
    error = np.sqrt((inverse**2) @ planes.variance.ravel())
    np.testing.assert_allclose(found.error, error, rtol=0.02)


@pytest.mark.parametrize("source_noise", [True, False])
def test_errors_are_those_of_the_pixels(star_field, true_psf, source_noise):
    planes = Planes(star_field.image, star_field.variance, star_field.mask)
    sky = np.full(planes.image.shape, star_field.sky_variance, np.float32)
    found = measure_psf_flux(
        planes, true_psf, y=star_field.y, x=star_field.x, sky_variance=sky,
        settings=ForcedSettings(source_noise=source_noise),
    )  # fmt: skip
    pull = (found.flux - star_field.flux) / found.error
    assert not found.flag.any()
    if source_noise:
        n = len(pull)
        assert abs(pull.mean()) < 3.5 / np.sqrt(n)
        assert abs(pull.std() - 1) < 3.5 / np.sqrt(2 * n)
        assert np.median(found.chi2 / found.n_pixels) == pytest.approx(1.0, abs=0.03)
    else:
        stamps = true_psf.stamps(y=star_field.y, x=star_field.x)
        limit = np.sqrt(star_field.sky_variance / (stamps**2).sum(axis=(1, 2)))
        whole = ~found.edge
        np.testing.assert_allclose(found.error[whole], limit[whole], rtol=0.01)


def test_photon_weights_reach_the_photon_limit_without_bias():
    psf, flux = gaussian_psf(), 3e4
    limit, found = [], {False: [], True: []}
    y, x = (c.ravel() for c in np.meshgrid([25.3, 50.1, 75.4], [24.8, 50.0, 75.2]))
    for seed in range(60):
        planes, sky = scene(psf, y, x, np.full(9, flux), sky=20.0, seed=seed)
        for photon in found:
            settings = ForcedSettings(photon_weights=float(photon))
            fit = measure_psf_flux(planes, psf, y=y, x=x, sky_variance=sky, settings=settings)
            found[photon].append(fit.flux)
            pull = (fit.flux - flux) / fit.error
            assert abs(pull.mean()) < 5 / 3
    for yy, xx in zip(y, x, strict=True):
        stamp = psf.stamp(y=yy, x=xx)
        limit.append(np.sqrt(1.0 / np.sum(stamp**2 / (flux * stamp + 20.0))))
    weighted, plain = np.array(found[True]), np.array(found[False])
    ratio = weighted.std() / np.mean(limit)
    assert abs(ratio - 1) < 3.5 / np.sqrt(2 * weighted.size)
    assert plain.std() > 1.1 * weighted.std()
    assert abs(weighted.mean() / flux - 1) < 3.5 * ratio * np.mean(limit) / flux / np.sqrt(540)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_the_power_of_the_photons_sets_what_a_background_adds_and_how_fluxes_scatter(power):
    # Weights P**-s on P = A exp(-r^2 / 2 sigma^2); the integral of P**k is A**(k - 1) / k.
    flux, offset = 1e6, 1.0
    psf = gaussian_psf(size=29)
    y, x = np.array([50.0]), np.array([50.0])
    planes, sky = scene(psf, y, x, [flux], sky=1e-4)
    planes.image[:] += offset
    settings = ForcedSettings(photon_weights=power)
    found = measure_psf_flux(planes, psf, y=y, x=x, sky_variance=sky, settings=settings)
    noise_area = 1 / np.sum(psf.stamp(y=50.0, x=50.0) ** 2)
    added = offset * noise_area / 2 * (2 - power) / (1 - power)
    assert found.flux[0] - flux == pytest.approx(added, rel=0.02)
    variance = flux * (2 - power) ** 2 / (3 - 2 * power)
    assert found.error[0] == pytest.approx(np.sqrt(variance), rel=0.02)


def test_empty_sky_has_unit_pulls():
    rng = np.random.default_rng(9)
    image = rng.normal(0, 10, (400, 400)).astype(np.float32)
    planes = Planes(image, np.full((400, 400), 100, np.float32), np.zeros((400, 400), np.int32))
    grid = np.arange(15.0, 390.0, 22.0)
    y, x = (c.ravel() + 0.3 for c in np.meshgrid(grid, grid))
    found = measure_psf_flux(planes, gaussian_psf(), y=y, x=x, sky_variance=planes.variance)
    pull = found.flux / found.error
    assert abs(pull.mean()) < 3.5 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 3.5 / np.sqrt(2 * pull.size)


def test_flags_tell_what_is_wrong():
    psf = gaussian_psf()
    y, x = np.array([50.0, 1.0, -5.0, 30.0, np.nan]), np.array([50.0, 50.0, 50.0, 30.0, 3.0])
    planes, sky = scene(psf, y[:4], x[:4], np.full(4, 1000.0))
    planes.mask[25:36, 30:36] = int(MaskPlane.BAD)
    planes.image[25:36, 30:36] = 1e6
    found = measure_psf_flux(planes, psf, y=y, x=x, sky_variance=sky)
    np.testing.assert_array_equal(found.off_image, [False, False, True, False, True])
    np.testing.assert_array_equal(found.edge, [False, True, True, False, True])
    np.testing.assert_array_equal(found.flag, [False, False, True, True, True])
    np.testing.assert_array_equal(np.isnan(found.flux), [False, False, True, False, True])
    np.testing.assert_allclose(found.flux[[0, 1]], 1000.0, rtol=0.1)
    assert 0.5 < found.masked_share[3] < 0.7


def test_two_positions_at_one_place_are_flagged():
    psf = gaussian_psf()
    planes, sky = scene(psf, np.array([50.0]), np.array([50.0]), [1000.0])
    found = measure_psf_flux(
        planes, psf, y=np.array([50.0, 50.0]), x=np.array([50.0, 50.0]), sky_variance=sky
    )
    assert found.flag.all()
    assert found.flux.sum() == pytest.approx(1000.0, rel=1e-3)


def test_a_local_background_is_taken_off():
    psf = gaussian_psf()
    y, x = np.array([50.2]), np.array([49.7])
    planes, sky = scene(psf, y, x, [1000.0])
    planes.image[:] += 3.0
    settings = ForcedSettings(annulus=(12.0, 18.0))
    found = measure_psf_flux(planes, psf, y=y, x=x, sky_variance=sky, settings=settings)
    assert found.flux[0] == pytest.approx(1000.0, rel=2e-3)


def test_coordinates_are_absolute():
    cell = CellPsf(gaussian_psf().stamp(y=0.0, x=0.0)[None, None], 500, 700, 100)
    here, sky = scene(cell, np.array([40.3]), np.array([50.6]), [1000.0])
    there = Planes(here.image, here.variance, here.mask, y0=500, x0=700)
    found = measure_psf_flux(
        there, cell, y=np.array([540.3]), x=np.array([750.6]), sky_variance=sky
    )
    assert found.flux[0] == pytest.approx(1000.0, rel=1e-4)


def test_fitted_positions_reach_the_cramer_rao_bound():
    psf = gaussian_psf()
    rng = np.random.default_rng(17)
    grid = np.arange(20.0, 380.0, 24.0)
    y, x = (c.ravel() + rng.uniform(-0.5, 0.5, c.size) for c in np.meshgrid(grid, grid))
    flux = np.full(y.size, 4000.0)
    planes, sky = scene(psf, y, x, flux, sky=1000.0, shape=(400, 400), seed=21)
    start = rng.uniform(-0.6, 0.6, (2, y.size))
    found = fit_psf(planes, psf, y=y + start[0], x=x + start[1], sky_variance=sky)
    assert not found.flag.any()
    drawn = psf.gradients(y=y, x=x)
    stamp_variance = 1000.0 + flux[:, None, None] * drawn[:, 0]
    for offset, error, slope in (
        (found.y - y, found.y_error, drawn[:, 1]),
        (found.x - x, found.x_error, drawn[:, 2]),
    ):
        bound = 1 / np.sqrt((flux[:, None, None] ** 2 * slope**2 / stamp_variance).sum(axis=(1, 2)))
        assert abs(offset.mean()) < 4 * bound.mean() / np.sqrt(y.size)
        assert offset.std() < 1.15 * bound.mean()
        np.testing.assert_allclose(error, bound, rtol=0.25)


def test_photon_weights_bring_bright_sources_to_their_bound_without_bias():
    psf, level, rng = gaussian_psf(), 20.0, np.random.default_rng(5)
    grid = np.arange(20.0, 380.0, 24.0)
    y, x = (c.ravel() + rng.uniform(-0.5, 0.5, c.size) for c in np.meshgrid(grid, grid))
    flux = np.tile([3e3, 3e4, 3e5], 75)
    drawn = psf.gradients(y=y, x=x)
    slopes = np.stack([drawn[:, 0], *(flux[:, None, None] * drawn[:, k] for k in (1, 2))])
    variance = level + flux[:, None, None] * drawn[:, 0]
    fisher = np.einsum("anji,bnji,nji->nab", slopes, slopes, 1 / variance)
    bound = np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2)).T
    scatter = {}
    for photon in (False, True):
        pulls = []
        for seed in range(3):
            planes, sky = scene(psf, y, x, flux, sky=level, shape=(400, 400), seed=seed)
            settings = ForcedSettings(photon_weights=float(photon), n_iterations=3)
            found = fit_psf(planes, psf, y=y + 0.2, x=x - 0.3, sky_variance=sky, settings=settings)
            pulls.append(np.stack([found.fluxes.flux - flux, found.y - y, found.x - x]) / bound)
            if photon:
                error = np.stack([found.fluxes.error, found.y_error, found.x_error])
                ratio = (error / bound).reshape(3, -1, 3).mean(axis=1)
                np.testing.assert_allclose(ratio, 1.0, atol=0.005)
        # Axes: flux, y, x; seed and place; brightness.
        pull = np.stack(pulls, axis=1).reshape(3, -1, 3)
        scatter[photon], n = pull.std(axis=1), pull.shape[1]
        assert (np.abs(pull.mean(axis=1)) < 4 * scatter[photon] / np.sqrt(n)).all()
    assert (np.abs(scatter[True] - 1) < 3.5 / np.sqrt(2 * n)).all()
    assert (scatter[False][1:, 1:] > 1.15 * scatter[True][1:, 1:]).all()


@pytest.mark.parametrize("snr", [6.0, 10.0])
def test_fitted_positions_make_faint_stars_brighter_and_that_is_taken_off(snr):
    # Two free coordinates add 1 / snr^2 (Portillo et al. 2020).
    psf = gaussian_psf()
    y, x = (c.ravel() for c in np.meshgrid([25.3, 50.1, 75.4], [24.8, 50.0, 75.2]))
    raw, freed, sky_level = [], [], 100.0  # no photons of the stars: one error for all
    flux = snr * np.sqrt(sky_level / np.sum(psf.stamp(y=50.0, x=50.0) ** 2))
    exact, sky = scene(psf, y, x, np.full(9, flux), sky=sky_level)
    for seed in range(250):
        noise = np.random.default_rng(seed).normal(scale=np.sqrt(sky_level), size=sky.shape)
        planes = Planes(exact.image + noise.astype(np.float32), sky, exact.mask)
        fit = fit_psf(planes, psf, y=y, x=x, sky_variance=sky)
        raw.append(fit.fluxes.flux[~fit.flag] / flux - 1)
        freed.append(unbias_fitted_fluxes(fit.fluxes.flux, fit.fluxes.error)[~fit.flag] / flux - 1)
    before, after = np.concatenate(raw), np.concatenate(freed)
    error = before.std() / np.sqrt(len(before))
    assert len(before) > 0.99 * 9 * 250
    assert abs(before.mean() - 1 / snr**2) < 3.5 * error + 0.5 / snr**4
    assert before.mean() > 5 * error
    assert abs(after.mean()) < 3.5 * error + 0.5 / snr**4


def test_fluxes_without_bias_keep_sign_and_order():
    flux = np.linspace(-5.0, 5.0, 101)
    freed = unbias_fitted_fluxes(flux, np.ones(101))
    assert (np.diff(freed) >= 0).all()
    np.testing.assert_array_equal(np.sign(freed), np.sign(flux))
    assert freed[-1] == pytest.approx(5 * 25 / 26)


def test_a_position_that_runs_away_is_flagged_and_goes_back():
    psf = gaussian_psf()
    planes, sky = scene(psf, np.array([50.0]), np.array([50.0]), [5000.0])
    found = fit_psf(planes, psf, y=np.array([53.5]), x=np.array([50.0]), sky_variance=sky)
    assert found.flag[0]
    assert found.y[0] == 53.5
