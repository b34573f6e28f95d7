from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.aperture_correction import fit_aperture_correction
from lsstpipe.errors import AlgorithmError

BOX = (0, 0, 1000, 2000)


def truth(y, x):
    v, u = (y - 499.5) / 500, (x - 999.5) / 1000
    return 1.03 + 0.01 * u - 0.006 * v + 0.004 * u * v + 0.003 * (2 * u**2 - 1)


def stars(n=150, seed=2):
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(0, 1000, n), rng.uniform(0, 2000, n)
    error = rng.uniform(0.002, 0.006, n)
    return y, x, truth(y, x) + error * rng.normal(size=n), error


def test_a_quadratic_field_is_recovered_within_its_errors():
    y, x, ratio, error = stars()
    ratio[:5] += 0.2
    fit = fit_aperture_correction(ratio, error, y=y, x=x, box=BOX)
    grid = np.meshgrid(np.linspace(0, 999, 9), np.linspace(0, 1999, 9))
    residual = fit.factor(y=grid[0], x=grid[1]) - truth(*grid)
    # 6 terms from 145 stars of error 0.004.
    assert np.sqrt(np.mean(residual**2)) < 0.0015
    assert 135 <= fit.n_stars <= 145
    assert fit.error < 0.002


def test_scatter_beyond_the_errors_is_reported():
    y, x, ratio, error = stars(400)
    ratio = ratio + 0.01 * np.random.default_rng(3).normal(size=400)
    fit = fit_aperture_correction(ratio, error, y=y, x=x, box=BOX)
    assert fit.error == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize(("n", "order"), [(4, 0), (20, 1), (60, 2)])
def test_the_order_follows_the_number_of_stars(n, order):
    y, x, ratio, error = stars(n)
    fit = fit_aperture_correction(ratio, error, y=y, x=x, box=BOX)
    assert len(fit.coefficients) == order + 1


def test_too_few_stars_are_an_algorithm_error():
    y, x, ratio, error = stars(5)
    ratio[:3] = np.nan
    with pytest.raises(AlgorithmError, match="at least 3 stars, 2 were found"):
        fit_aperture_correction(ratio, error, y=y, x=x, box=BOX)
