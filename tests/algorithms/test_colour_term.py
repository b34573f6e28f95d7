from __future__ import annotations

import numpy as np

from lsstpipe.algorithms.colour_term import apply_colour_term


def test_magnitudes_follow_the_polynomial_of_the_colour() -> None:
    p, s = np.array([20.0, 21.0]), np.array([19.0, 21.5])
    flux = apply_colour_term(10 ** (-0.4 * p), 10 ** (-0.4 * s), (0.01, -0.1, 0.02))
    colour = p - s
    expected = p + 0.01 - 0.1 * colour + 0.02 * colour**2
    np.testing.assert_allclose(-2.5 * np.log10(flux), expected, rtol=1e-12)


def test_a_star_without_a_colour_has_no_flux() -> None:
    flux = apply_colour_term(
        np.array([1.0, 0.0, np.nan]), np.array([np.nan, 1.0, 1.0]), (0.0, 0.1, 0.0)
    )
    assert np.isnan(flux).all()
