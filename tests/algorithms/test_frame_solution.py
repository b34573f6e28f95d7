"""The solution of one frame, from a pointing that is roughly known or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.astrometry import TanSipConfig
from lsstpipe.algorithms.blind_match import PointingGuess
from lsstpipe.algorithms.frame_solution import (
    AstrometrySolution,
    DetectedStars,
    ReferenceStars,
    SolveConfig,
    solve_frame,
)
from lsstpipe.algorithms.pointed_match import Pointing, match_pointed
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import angular_separation_deg, gnomonic_deproject
from lsstpipe.geometry.wcs import SkyWcs
from tests.algorithms.test_astrometry import SHAPE, miss_pix, true_map

FloatArray = npt.NDArray[np.float64]


def frame(seed: int) -> tuple[DetectedStars, ReferenceStars, SkyWcs]:
    """A frame of 40 catalogue stars, of which the catalogue lacks some, and 200 faint ones."""
    rng = np.random.default_rng(seed)
    truth = true_map(0.0)
    y, x = rng.uniform(-600, 1400, 220), rng.uniform(-700, 1800, 220)
    ra, dec = truth.pixel_to_sky(y=y, x=x)
    mag = rng.uniform(8.0, 12.0, 220)
    inside = (y > 0) & (y < SHAPE[0]) & (x > 0) & (x < SHAPE[1]) & (rng.random(220) > 0.2)
    faint_y, faint_x = rng.uniform(0, SHAPE[0], 200), rng.uniform(0, SHAPE[1], 200)
    mags = np.concatenate([mag[inside], rng.uniform(11.5, 15.0, 200)])
    err = np.full(len(mags), 0.05)
    stars = DetectedStars(
        np.concatenate([y[inside], faint_y]) + rng.normal(0, 0.05, len(mags)),
        np.concatenate([x[inside], faint_x]) + rng.normal(0, 0.05, len(mags)),
        10.0 ** (-0.4 * mags),
        err,
    )
    return stars, ReferenceStars(ra, dec, mag), truth


GUESS = PointingGuess(286.1, 36.75, 13.0, 2.374 * 1.015, 0.02)


def test_a_frame_is_solved_from_a_rough_guess() -> None:
    for seed in range(5):
        stars, reference, truth = frame(seed)
        solution = solve_frame(stars, reference, GUESS, shape=SHAPE, config=SolveConfig())
        assert miss_pix(solution.fit.wcs, truth) < 0.2
        matched = angular_separation_deg(
            *truth.pixel_to_sky(y=stars.y[solution.detection], x=stars.x[solution.detection]),
            reference.ra_deg[solution.reference],
            reference.dec_deg[solution.reference],
        )
        assert np.median(matched) * 3600 < 0.3
        assert matched.max() * 3600 < 3.2 * 2.374
        assert len(solution.detection) == len(solution.fit.used)
        assert max(solution.fit.rms_y_pix, solution.fit.rms_x_pix) < 0.1


def test_every_catalogue_star_in_the_frame_is_matched() -> None:
    stars, reference, truth = frame(11)
    solution = solve_frame(stars, reference, GUESS, shape=SHAPE, config=SolveConfig())
    y, x = truth.sky_to_pixel(reference.ra_deg, reference.dec_deg)
    distance = np.hypot(stars.y[:, None] - y, stars.x[:, None] - x).min(axis=0)
    detected = np.flatnonzero(distance < 0.3)
    assert set(detected) <= set(solution.reference.tolist())


def test_catalogue_stars_count_by_their_errors() -> None:
    given, equal = [], []
    for seed in range(10):
        stars, reference, truth = frame(seed)
        rng = np.random.default_rng(seed)
        arcsec = np.where(np.arange(len(reference.mag)) % 2 == 0, 1.5, 0.03)
        ra = reference.ra_deg + rng.normal(size=len(arcsec)) * arcsec / 3600 / np.cos(0.64)
        dec = reference.dec_deg + rng.normal(size=len(arcsec)) * arcsec / 3600
        for err, misses in ((arcsec, given), (0.5, equal)):
            moved = ReferenceStars(ra, dec, reference.mag, err)
            solution = solve_frame(stars, moved, GUESS, shape=SHAPE, config=SolveConfig())
            misses.append(miss_pix(solution.fit.wcs, truth))
    assert np.median(given) < 0.5 * np.median(equal)


def test_a_solution_that_misses_is_refused() -> None:
    stars, reference, _ = frame(2)
    config = SolveConfig(max_rms_pix=0.001)
    with pytest.raises(AlgorithmError, match=r"allowed are 0\.001"):
        solve_frame(stars, reference, GUESS, shape=SHAPE, config=config)


CCD = (4176, 2048)
HSC_SCALE = 0.168
FIELD_EDGE_DEG = 0.75
HSC_DISTORTION = 0.025
"""Stretch of the sky at the edge of the field of Hyper Suprime-Cam, as a share of the radius."""


class WideField:
    """One detector of a camera with the distortion of Hyper Suprime-Cam, somewhere in its field.

    The distortion is that of the whole field, so the detector has turned, stretched and curved
    axes; detections are half galaxies, and the catalogue lacks a fifth of the stars.
    """

    def __init__(self, seed: int, *, n_reference: int = 300, n_detected: int = 7000) -> None:
        rng = np.random.default_rng(seed)
        self.field = (float(rng.uniform(0, 360)), float(rng.uniform(-60, 60)))
        self.turn = float(rng.uniform(0, 360))
        self.middle = rng.uniform(-0.6, 0.6, 2) * FIELD_EDGE_DEG * 3600 / HSC_SCALE / np.sqrt(2)
        y, x = rng.uniform(-800, 4976, n_reference * 3), rng.uniform(-800, 2848, n_reference * 3)
        ra, dec = self.to_sky(y, x)
        mag = np.log10(rng.uniform(10**3.4, 10**4.2, len(y))) * 5
        known = rng.random(len(y)) < 0.8
        self.reference = ReferenceStars(ra[known], dec[known], mag[known])
        inside = (y > 0) & (y < CCD[0]) & (x > 0) & (x < CCD[1]) & (rng.random(len(y)) < 0.95)
        n_other = n_detected - int(inside.sum())
        seen_mag = np.concatenate(
            [mag[inside], np.log10(rng.uniform(10**3.6, 10**4.8, n_other)) * 5]
        )
        self.stars = DetectedStars(
            np.concatenate([y[inside], rng.uniform(0, CCD[0], n_other)])
            + rng.normal(0, 0.02, n_detected),
            np.concatenate([x[inside], rng.uniform(0, CCD[1], n_other)])
            + rng.normal(0, 0.02, n_detected),
            10 ** (-0.4 * seen_mag),
            np.full(n_detected, 0.02),
        )
        self.n_common = int((inside & known).sum())

    def to_sky(self, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        on_y = self.middle[0] + y - (CCD[0] - 1) / 2
        on_x = self.middle[1] + x - (CCD[1] - 1) / 2
        radius_deg = np.hypot(on_y, on_x) * HSC_SCALE / 3600
        stretch = HSC_SCALE / 3600 * (1 + HSC_DISTORTION * (radius_deg / FIELD_EDGE_DEG) ** 2)
        angle = np.deg2rad(self.turn)
        east = stretch * (on_y * np.sin(angle) - on_x * np.cos(angle))
        north = stretch * (on_y * np.cos(angle) + on_x * np.sin(angle))
        return gnomonic_deproject(east, north, centre_deg=self.field)

    def guess(self, *, off_arcsec: tuple[float, float], turn_deg: float) -> PointingGuess:
        """Point near the centre of the detector, where the header thinks that it is."""
        middle = np.array([(CCD[0] - 1) / 2]), np.array([(CCD[1] - 1) / 2])
        ra, dec = (float(v[0]) for v in self.to_sky(*middle))
        ra, dec = (
            float(v)
            for v in gnomonic_deproject(
                off_arcsec[1] / 3600, off_arcsec[0] / 3600, centre_deg=(ra, dec)
            )
        )
        return PointingGuess(ra, dec, 2.0, HSC_SCALE, 0.05, self.turn + turn_deg, False)

    def solve(self, guess: PointingGuess, config: SolveConfig | None = None) -> AstrometrySolution:
        chosen = config or SolveConfig(fit=TanSipConfig(max_order=4))
        return solve_frame(self.stars, self.reference, guess, shape=CCD, config=chosen)

    def miss_mas(self, wcs: SkyWcs) -> float:
        """Give the largest error of a map over the detector."""
        y, x = (g.ravel() for g in np.meshgrid(np.linspace(0, 4175, 30), np.linspace(0, 2047, 15)))
        apart = angular_separation_deg(*self.to_sky(y, x), *wcs.pixel_to_sky(y=y, x=x))
        return float(apart.max()) * 3.6e6


def test_every_detector_of_a_wide_camera_is_solved_from_a_usual_pointing_error() -> None:
    # AST-1: 5 arcsec and 0.1 degrees; 40 detectors of 40 bound the failures below 7 % (95 %).
    for seed in range(40):
        ccd, angle = WideField(seed), seed * 0.7
        guess = ccd.guess(
            off_arcsec=(5 * np.cos(angle), 5 * np.sin(angle)), turn_deg=0.1 * (-1) ** seed
        )
        solution = ccd.solve(guess)
        assert ccd.miss_mas(solution.fit.wcs) < 10
        assert len(solution.detection) > 0.9 * ccd.n_common


@pytest.mark.parametrize("seed", range(6))
def test_pointings_off_by_250_pixels_and_a_degree_are_found(seed: int) -> None:
    ccd, angle = WideField(100 + seed), 1.1 * seed
    off = (250 * HSC_SCALE * np.cos(angle), 250 * HSC_SCALE * np.sin(angle))
    solution = ccd.solve(ccd.guess(off_arcsec=off, turn_deg=(-1.0) ** seed))
    assert ccd.miss_mas(solution.fit.wcs) < 10


def test_a_crowded_detector_is_solved() -> None:
    ccd = WideField(200, n_reference=2500, n_detected=20000)
    solution = ccd.solve(ccd.guess(off_arcsec=(4.0, -3.0), turn_deg=0.1))
    assert ccd.miss_mas(solution.fit.wcs) < 5
    assert len(solution.detection) > 0.9 * ccd.n_common


def test_a_sparse_detector_is_solved() -> None:
    ccd = WideField(201, n_reference=10, n_detected=1500)
    assert 10 < ccd.n_common < 30
    solution = ccd.solve(ccd.guess(off_arcsec=(4.0, -3.0), turn_deg=0.1))
    assert ccd.miss_mas(solution.fit.wcs) < 1000


def test_a_wrong_rotation_in_the_header_is_survived_by_the_blind_match() -> None:
    stars, reference, truth = frame(1)
    wrong = replace(GUESS, rotation_deg=77.0)
    solution = solve_frame(stars, reference, wrong, shape=SHAPE, config=SolveConfig())
    assert miss_pix(solution.fit.wcs, truth) < 0.2


def test_a_catalogue_that_is_an_arcminute_off_is_refused_beyond_the_radius() -> None:
    ccd = WideField(300)
    moved = replace(ccd.reference, dec_deg=ccd.reference.dec_deg + 1 / 60)
    guess = ccd.guess(off_arcsec=(1.0, 1.0), turn_deg=0.0)
    near = replace(guess, radius_arcmin=0.5)
    with pytest.raises(AlgorithmError, match=r"within 0\.5 arcmin of the guess"):
        solve_frame(ccd.stars, moved, near, shape=CCD, config=SolveConfig())
    solution = solve_frame(ccd.stars, moved, guess, shape=CCD, config=SolveConfig())
    y, x = np.array([2087.5]), np.array([1023.5])
    _, dec = ccd.to_sky(y, x)
    assert solution.fit.wcs.pixel_to_sky(y=y, x=x)[1] - dec == pytest.approx(1 / 60, abs=1e-4)


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0.0, 37.0, 200.0])
def test_the_header_is_read_in_the_sense_of_the_camera(
    *, is_mirrored: bool, rotation_deg: float
) -> None:
    # +y looks from north through east; +x is to the west of it, or to the east if mirrored.
    rng = np.random.default_rng(3)
    y, x = rng.uniform(0, 500, 60), rng.uniform(0, 400, 60)
    angle, hand = np.deg2rad(rotation_deg), 1 if is_mirrored else -1
    along_y = (y - 249.5) / 3600
    along_x = hand * (x - 199.5) / 3600
    east = along_y * np.sin(angle) + along_x * np.cos(angle)
    north = along_y * np.cos(angle) - along_x * np.sin(angle)
    ra, dec = gnomonic_deproject(east, north, centre_deg=(10.0, 20.0))
    found = match_pointed(
        detections=(y, x, np.arange(60.0) + 1),
        reference=(ra, dec, -np.arange(60.0)),
        pointing=Pointing(10.0, 20.0, rotation_deg, is_mirrored, 1.0, radius_pix=20.0),
        shape=(500, 400),
    )
    assert np.array_equal(found.detection, np.arange(60))
    assert np.array_equal(found.reference, np.arange(60))
    assert np.hypot(*found.shift_pix) < 0.01


def test_chance_is_not_taken_for_a_match() -> None:
    refused = 0
    for seed in range(6):
        ccd, other = WideField(400 + seed), WideField(500 + seed)
        guess = other.guess(off_arcsec=(0.0, 0.0), turn_deg=0.0)
        pointing = Pointing(
            guess.ra_deg, guess.dec_deg, guess.rotation_deg, False, HSC_SCALE, scale_tolerance=0.05
        )
        with pytest.raises(AlgorithmError, match="better than chance"):
            match_pointed(
                detections=(ccd.stars.y, ccd.stars.x, ccd.stars.flux),
                reference=(other.reference.ra_deg, other.reference.dec_deg, other.reference.mag),
                pointing=pointing,
                shape=CCD,
            )
        refused += 1
    assert refused == 6
