from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.epoch_offset import fit_epoch_offset


def test_a_date_that_is_off_shows_in_the_misses() -> None:
    rng = np.random.default_rng(1)
    motion = rng.normal(0, 10, (200, 2)) + np.array([3.0, -8.0])
    wrong = fit_epoch_offset(15.5 * motion + rng.normal(0, 8, (200, 2)), motion)
    assert wrong.years == pytest.approx(15.5, abs=4 * wrong.error)
    expected = 8 / np.sqrt(((motion - motion.mean(axis=0)) ** 2).sum())
    assert wrong.error == pytest.approx(expected, rel=0.12)
    assert wrong.is_wrong
    right = fit_epoch_offset(rng.normal(0, 8, (200, 2)), motion)
    assert abs(right.years) < 4 * right.error
    assert not right.is_wrong


def test_stars_that_do_not_move_tell_nothing() -> None:
    found = fit_epoch_offset(np.ones((50, 2)), np.zeros((50, 2)))
    assert np.isnan(found.years)
    assert not found.is_wrong
    assert np.isnan(fit_epoch_offset(np.ones((5, 2)), np.ones((5, 2))).years)
