"""Solutions that hold on a part of a detector only are refused; absent stars are no reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.frame_solution import DetectedStars
from lsstpipe.algorithms.match_coverage import Matched, find_thin_quarters
from lsstpipe.errors import AlgorithmError
from tests.algorithms.test_frame_solution import CCD, WideField

FloatArray = npt.NDArray[np.float64]


def kept(stars: DetectedStars, rows: npt.NDArray[np.bool_]) -> DetectedStars:
    return DetectedStars(*(v[rows] for v in (stars.y, stars.x, stars.flux, stars.err_pix)))


def solve(ccd: WideField) -> float:
    """Solve a frame and give the largest error of its map, milliarcseconds."""
    return ccd.miss_mas(ccd.solve(ccd.guess(off_arcsec=(3.0, -4.0), turn_deg=0.1)).fit.wcs)


@pytest.mark.parametrize("axis", ["y", "x"])
@pytest.mark.parametrize("seed", range(4))
def test_a_map_that_is_right_on_one_half_only_is_refused(seed: int, axis: str) -> None:
    # 300 pixels are 50 arcsec: as wrong as maps of two detectors of Hyper Suprime-Cam once were.
    ccd = WideField(600 + seed)
    place, middle = getattr(ccd.stars, axis), CCD["yx".index(axis)] / 2
    moved = np.where(place > middle, place + 300, place)
    ccd.stars = kept(replace(ccd.stars, **{axis: moved}), moved < 2 * middle)
    with pytest.raises(AlgorithmError, match=r"holds on a part of the frame only.* quarter"):
        solve(ccd)


@pytest.mark.parametrize("dimming", [1.0, 2.5, np.inf])
def test_clouds_over_half_of_a_detector_are_no_reason_to_refuse(dimming: float) -> None:
    for seed in range(4):
        ccd = WideField(700 + seed)
        limit = np.quantile(ccd.stars.flux, 0.1)
        half = ccd.stars.y > CCD[0] / 2
        flux = np.where(half, ccd.stars.flux * 10 ** (-0.4 * dimming), ccd.stars.flux)
        ccd.stars = kept(replace(ccd.stars, flux=flux), flux > limit)
        assert solve(ccd) < 1e3


def test_a_hole_in_the_catalogue_is_no_reason_to_refuse() -> None:
    ccd = WideField(800)
    y, x = ccd.to_sky(np.array([1.0, 4000.0]), np.array([1000.0, 1000.0]))
    axis = np.array([y[1] - y[0], x[1] - x[0]])
    along = (ccd.reference.ra_deg - y[0]) * axis[0] + (ccd.reference.dec_deg - x[0]) * axis[1]
    rows = along < 0.5 * (axis @ axis)
    ccd.reference = replace(
        ccd.reference,
        **{name: getattr(ccd.reference, name)[rows] for name in ("ra_deg", "dec_deg", "mag")},
    )
    assert solve(ccd) < 1e3


def lists(share: FloatArray, n: int, seed: int) -> tuple[Matched, Matched]:
    """Two lists with ``n`` members a quarter, of which given shares are pairs."""
    rng = np.random.default_rng(seed)
    quarter = np.repeat(np.arange(4), n)
    y, x = rng.uniform(0, 50, (2, 4 * n)) + 50 * np.array([quarter // 2, quarter % 2])
    in_pair = rng.random(4 * n) < share[quarter]
    part = Matched(y, x, rng.random(4 * n), in_pair)
    return part, part


def test_quarters_that_match_alike_are_never_found_however_few_their_stars() -> None:
    found = [
        find_thin_quarters(*lists(np.full(4, share), n, seed), (100, 100))
        for share in (0.3, 0.6, 0.95)
        for n in (5, 20, 100)
        for seed in range(300)
    ]
    assert sum(bool(thin) for thin in found) <= 3


def test_the_quarter_without_pairs_is_named_with_what_it_lacks() -> None:
    (thin,) = find_thin_quarters(*lists(np.array([0.9, 0.9, 0.02, 0.9]), 50, 1), (100, 100))
    assert thin.name == "upper left"
    assert thin.n_pairs <= 5
    assert 25 < thin.n_expected < 50


def test_a_quarter_that_lacks_pairs_in_one_list_alone_is_sound() -> None:
    poor, _ = lists(np.array([0.9, 0.9, 0.02, 0.9]), 50, 1)
    good, _ = lists(np.full(4, 0.9), 50, 2)
    assert find_thin_quarters(poor, good, (100, 100)) == []
    assert find_thin_quarters(good, poor, (100, 100)) == []
    nothing = replace(poor, in_pair=np.zeros(200, dtype=bool))
    assert find_thin_quarters(nothing, nothing, (100, 100)) == []
