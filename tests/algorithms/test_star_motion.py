from __future__ import annotations

import numpy as np

from lsstpipe.algorithms.star_motion import MotionPrior, StarDates, find_movers, improve_motions


def dates(n_stars: int = 50, n_visits: int = 8, *, span: float = 4.0) -> StarDates:
    star = np.repeat(np.arange(n_stars), n_visits)
    years = np.tile(np.linspace(-span / 2, span / 2, n_visits) + 0.7, n_stars)
    return StarDates(star, years, np.full(len(star), 1 / 0.02**2))


def test_the_slope_of_what_is_left_is_the_motion() -> None:
    own, rng = dates(), np.random.default_rng(1)
    true = rng.normal(0, 0.05, (50, 2))
    residual = true[own.star] * own.years[:, None] + rng.normal(0, 0.02, (len(own.star), 2))
    free = MotionPrior(np.zeros((50, 2)), np.full((50, 2), 1e3))
    motion, error = improve_motions(residual, own, np.zeros((50, 2)), free)
    pull = (motion - true) / error
    assert abs(pull.std() - 1) < 3 / np.sqrt(200)
    # Least squares by hand, of one star and one axis.
    here = own.star == 7
    slope = np.polyfit(own.years[here], residual[here, 1], 1)[0]
    np.testing.assert_allclose(motion[7, 1], slope, rtol=1e-5)


def test_a_known_motion_is_kept_as_well_as_it_is_known() -> None:
    own = dates()
    prior = MotionPrior(np.full((50, 2), 0.3), np.zeros((50, 2)))
    prior.error[:25] = 1e-6
    residual = np.random.default_rng(2).normal(0, 0.02, (len(own.star), 2))
    motion, error = improve_motions(residual, own, np.full((50, 2), 0.3), prior)
    np.testing.assert_allclose(motion, 0.3, atol=1e-6)
    assert (error[25:] == 0).all()


def test_only_stars_seen_often_and_long_enough_move() -> None:
    star = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
    years = np.array([0.0, 1.0, 2.0, 0.0, 0.1, 0.2, 0.0, 5.0, 0.0, 1.0, 3.0])
    weight = np.ones(11)
    weight[-1] = 0.0
    can_move = find_movers(StarDates(star, years, weight), 5, min_years=0.9)
    assert can_move.tolist() == [True, False, False, False, False]
