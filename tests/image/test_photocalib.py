"""Photometric calibration against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.image.photocalib import PhotoCalib, magnitude


def test_without_a_spatial_term_the_factor_is_the_scale_everywhere() -> None:
    calib = PhotoCalib(3.5, 0.1)
    np.testing.assert_allclose(calib.factor(y=[0, 100], x=[5, 900]), 3.5)


def test_the_spatial_term_is_in_magnitudes_of_the_normalised_position() -> None:
    calib = PhotoCalib(2.0, 0.1, ((0.0, 0.1), (0.2, 0.0)), (100.0, 200.0), (100.0, 200.0))
    factor = calib.factor(y=[200.0, 100.0, 0.0], x=[200.0, 400.0, 200.0])
    np.testing.assert_allclose(factor, 2.0 * 10 ** (-0.4 * np.array([0.2, 0.1, -0.2])))


@given(st.floats(-10, 40))
def test_magnitudes_are_ab(mag: float) -> None:
    assert magnitude(10 ** (-0.4 * (mag - 31.4))) == pytest.approx(mag)


def test_a_flux_that_is_not_positive_has_no_magnitude() -> None:
    assert np.isnan(magnitude([0.0, -1.0, np.nan])).all()
    # 3631 Jy is AB magnitude 0, within the rounding of the constant 31.4.
    assert magnitude(3631e9) == pytest.approx(0, abs=1e-4)
