from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.image.aperture_correction import ApertureCorrection


def test_the_series_is_evaluated_at_absolute_positions():
    correction = ApertureCorrection(((1.1, 0.02), (0.03, 0.0)), (100, 200, 51, 101))
    assert correction.factor(y=125.0, x=250.0) == pytest.approx(1.1)
    assert correction.factor(y=150.5, x=250.0) == pytest.approx(1.13)
    assert correction.factor(y=125.0, x=199.5) == pytest.approx(1.08)


def test_outside_the_box_the_value_at_its_edge_holds():
    correction = ApertureCorrection(((1.0, 0.5), (0.0, 0.0)), (0, 0, 10, 10))
    values = correction.factor(y=np.array([5.0, 5.0]), x=np.array([9.5, 1e6]))
    np.testing.assert_allclose(values, 1.5)


def test_a_constant_is_constant_and_keeps_the_shape():
    correction = ApertureCorrection(((1.05,),), (0, 0, 10, 10))
    np.testing.assert_allclose(correction.factor(y=np.zeros((2, 3)), x=4.0), np.full((2, 3), 1.05))
