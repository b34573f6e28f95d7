from __future__ import annotations

import math

import numpy as np
import pytest

from lsstpipe.algorithms.stellar_locus import fit_gri_locus


def test_the_line_and_the_width_that_were_put_in_are_found(rng: np.random.Generator) -> None:
    x = rng.uniform(-0.2, 1.5, 5000)
    y = 0.5 * x - 0.05 + 0.01 * math.hypot(1.0, 0.5) * rng.standard_normal(5000)
    locus = fit_gri_locus(x, y)
    assert locus.slope == pytest.approx(0.5, abs=0.01)
    assert locus.intercept == pytest.approx(-0.05, abs=0.006)
    assert locus.width == pytest.approx(0.01, rel=0.07)


def test_outliers_do_not_bend_it(rng: np.random.Generator) -> None:
    x = rng.uniform(0.2, 1.1, 1000)
    y = 0.483 * x - 0.042 + 0.003 * rng.standard_normal(1000)
    y[:50] += rng.uniform(-0.15, 0.15, 50)
    assert fit_gri_locus(x, y).slope == pytest.approx(0.483, abs=0.01)


def test_too_few_stars_have_no_width() -> None:
    locus = fit_gri_locus(np.array([0.5, np.nan]), np.array([0.2, 0.2]))
    assert len(locus.distance) == 0
    assert math.isnan(locus.width)
