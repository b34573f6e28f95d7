"""A shift from a few stars of rough positions, against frames made with known pointing."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.few_star_astrometry import (
    FewStarSettings,
    OrientedGuess,
    solve_few_stars,
)
from lsstpipe.algorithms.frame_solution import DetectedStars, ReferenceStars
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]

SHAPE = (1000, 800)
TRUE = OrientedGuess(200.0, -9.0, 182.0, 0.37, is_mirrored=True, radius_arcmin=0.6)
ROUGH = FewStarSettings(position_error_pix=10.0)
STANDARDS = np.array([[120.0, 110.0], [480.0, 560.0], [710.0, 90.0], [300.0, 700.0]])
STANDARD_MAG = np.array([14.0, 13.4, 13.5, 13.9])


def off_by(guess: OrientedGuess, *, east_arcsec: float, north_arcsec: float) -> OrientedGuess:
    ra, dec = gnomonic_deproject(
        east_arcsec / 3600, north_arcsec / 3600, centre_deg=(guess.ra_deg, guess.dec_deg)
    )
    return replace(guess, ra_deg=float(ra), dec_deg=float(dec))


def observe(
    rng: np.random.Generator, *, error_pix: float, n_field: int = 40
) -> tuple[DetectedStars, ReferenceStars, FloatArray]:
    """Detect standards among fainter field stars; the catalogue has them beside their places."""
    wcs = TRUE.wcs(SHAPE)
    field = rng.uniform((0, 0), SHAPE, (n_field, 2))
    y, x = np.concatenate([field, STANDARDS]).T
    mag = np.concatenate([rng.uniform(14.0, 19.0, n_field), STANDARD_MAG])
    error = rng.uniform(-error_pix, error_pix, STANDARDS.shape)
    placed = STANDARDS + error
    ra, dec = wcs.pixel_to_sky(y=placed[:, 0], x=placed[:, 1])
    measured = mag + rng.normal(0, 0.03, len(mag))
    stars = DetectedStars(y, x, 10 ** (-0.4 * (measured - 23.0)), np.full(len(y), 0.02))
    return stars, ReferenceStars(ra, dec, STANDARD_MAG), error.mean(axis=0)


def offset_pix(wcs: SkyWcs) -> FloatArray:
    """Where the true place of the centre is on a map, from the centre."""
    y, x = wcs.sky_to_pixel(TRUE.ra_deg, TRUE.dec_deg)
    return np.array([float(y) - (SHAPE[0] - 1) / 2, float(x) - (SHAPE[1] - 1) / 2])


@pytest.mark.parametrize("seed", range(5))
def test_the_pointing_is_found_to_the_mean_error_of_the_catalogue(seed: int) -> None:
    stars, reference, mean_error = observe(np.random.default_rng(seed), error_pix=8.0)
    guess = off_by(TRUE, east_arcsec=-20.0, north_arcsec=14.0)
    solution = solve_few_stars(stars, reference, guess, shape=SHAPE, settings=ROUGH)
    assert solution.detection.tolist() == [40, 41, 42, 43]
    assert solution.reference.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(offset_pix(solution.fit.wcs), -mean_error, atol=0.05)
    assert solution.log10_odds > 3


def test_a_catalogue_without_errors_gives_the_pointing_exactly() -> None:
    stars, reference, _ = observe(np.random.default_rng(1), error_pix=0.0)
    guess = off_by(TRUE, east_arcsec=12.0, north_arcsec=-7.0)
    solution = solve_few_stars(stars, reference, guess, shape=SHAPE, settings=ROUGH)
    np.testing.assert_allclose(offset_pix(solution.fit.wcs), 0.0, atol=0.02)
    assert max(solution.fit.rms_y_pix, solution.fit.rms_x_pix) < 0.02


def test_a_standard_that_is_not_seen_does_not_matter() -> None:
    stars, reference, _ = observe(np.random.default_rng(2), error_pix=3.0)
    kept = np.arange(len(stars.y)) != 41
    fewer = DetectedStars(stars.y[kept], stars.x[kept], stars.flux[kept], stars.err_pix[kept])
    settings = FewStarSettings(position_error_pix=4.0)
    solution = solve_few_stars(fewer, reference, TRUE, shape=SHAPE, settings=settings)
    assert solution.reference.tolist() == [0, 2, 3]


@pytest.mark.parametrize("seed", range(10))
def test_a_field_without_the_standards_is_not_solved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stars, reference, _ = observe(rng, error_pix=3.0)
    field = np.arange(len(stars.y)) < 40
    others = DetectedStars(stars.y[field], stars.x[field], stars.flux[field], stars.err_pix[field])
    with pytest.raises(AlgorithmError):
        solve_few_stars(others, reference, TRUE, shape=SHAPE, settings=ROUGH)


def test_a_catalogue_of_another_field_is_not_tried() -> None:
    stars, reference, _ = observe(np.random.default_rng(3), error_pix=3.0)
    elsewhere = replace(TRUE, ra_deg=TRUE.ra_deg + 1.0)
    with pytest.raises(AlgorithmError, match="has 0 stars where the frame may look; at least 3"):
        solve_few_stars(stars, reference, elsewhere, shape=SHAPE, settings=ROUGH)


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_the_map_of_a_guess_has_its_direction_scale_and_hand(is_mirrored: bool) -> None:
    guess = replace(TRUE, rotation_deg=30.0, is_mirrored=is_mirrored)
    wcs = guess.wcs(SHAPE)
    (a, b), (c, d) = wcs.cd
    assert np.rad2deg(np.arctan2(b, d)) == pytest.approx(30.0)
    assert wcs.pixel_scale_arcsec == pytest.approx(0.37)
    assert (a * d - b * c > 0) == is_mirrored
