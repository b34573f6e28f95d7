from __future__ import annotations

import numpy as np

from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_stars import StarCandidates, select_psf_stars
from lsstpipe.image.mask import MaskPlane


def candidates(n=200, seed=6):
    """Stars of width 1.5, 50 pixels apart; the first 40 are galaxies of many widths."""
    rng = np.random.default_rng(seed)
    y, x = np.divmod(np.arange(n), 20)
    sigma = 1.5 * (1 + 0.01 * rng.normal(size=n) + 0.03 * (x - 10) / 10)
    sigma[:40] = rng.uniform(1.8, 5.0, 40)
    flux = np.exp(rng.uniform(np.log(1e3), np.log(1e6), n))
    found = StarCandidates(50.0 * y + 25, 50.0 * x + 25, flux, np.sqrt(flux + 2500), sigma)
    empty = np.zeros((550, 1050), np.float32)
    return found, Planes(empty, empty + 1, empty.astype(np.int32))


def test_only_objects_of_the_size_of_a_star_are_chosen():
    sources, planes = candidates()
    chosen = select_psf_stars(planes, sources)
    assert (chosen.index >= 40).all()
    bright = np.flatnonzero(sources.flux / sources.flux_error > 50)
    assert len(chosen.index) > 0.9 * (bright >= 40).sum()
    assert 1.4 < chosen.sigma < 1.6


def test_the_knots_of_a_galaxy_are_not_taken_for_the_stars_though_they_are_more():
    sources, planes = candidates(60)
    rng = np.random.default_rng(9)
    knots = {
        "y": 525 + rng.uniform(-25, 25, 60),
        "x": 525 + rng.uniform(-25, 25, 60),
        "flux": np.full(60, 1e5),
        "flux_error": np.full(60, 300.0),
        "sigma": rng.normal(6.0, 0.05, 60),
    }
    both = {name: np.append(getattr(sources, name), more) for name, more in knots.items()}
    chosen = select_psf_stars(planes, StarCandidates(**both))
    assert len(chosen.index) > 5
    assert ((chosen.index >= 40) & (chosen.index < 60)).all()


def test_one_star_in_five_is_reserved_at_every_brightness():
    sources, planes = candidates()
    chosen = select_psf_stars(planes, sources)
    assert (np.diff(sources.flux[chosen.index]) <= 0).all()
    np.testing.assert_array_equal(chosen.is_reserved, np.arange(len(chosen.index)) % 5 == 2)


def test_stars_with_a_neighbour_an_invalid_pixel_or_an_edge_are_left_out():
    sources, planes = candidates()
    stars = select_psf_stars(planes, sources).index
    near, spoilt, edge = stars[10], stars[20], stars[30]
    sources.y[edge] = 2.0
    planes.mask[int(sources.y[spoilt]) + 3, int(sources.x[spoilt])] = int(MaskPlane.SAT)
    extra = {name: np.append(getattr(sources, name), getattr(sources, name)[near])
             for name in ("y", "x", "flux", "flux_error", "sigma")}  # fmt: skip
    extra["x"][-1] += 6.0
    chosen = select_psf_stars(planes, StarCandidates(**extra)).index
    assert not set(chosen) & {near, spoilt, edge, 200}
    # The width of the locus changes a little with the stars on it.
    assert len(set(stars) - set(chosen)) <= 5


def test_no_source_gives_no_star():
    _, planes = candidates()
    none = np.empty(0)
    chosen = select_psf_stars(planes, StarCandidates(none, none, none, none, none))
    assert len(chosen.index) == 0
