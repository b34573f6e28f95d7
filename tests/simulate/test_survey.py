"""Presets give the visits that they promise, on the same sky."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.errors import UserError
from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.simulate.headers import header_pointing
from lsstpipe.simulate.optics import true_wcs
from lsstpipe.simulate.presets import PRESETS, find_preset
from lsstpipe.simulate.sky import make_scene, positions_at
from lsstpipe.simulate.survey import make_survey


@pytest.mark.parametrize(
    ("preset", "n_raws", "n_visits"),
    [("unit", 3, 3), ("ci_small", 20, 10), ("ci_hsc", 33, 11), ("medium", 120, 30)],
)
def test_a_preset_has_its_raws_and_visits(preset: str, n_raws: int, n_visits: int) -> None:
    survey = make_survey(find_preset(preset), 1)
    assert len(survey.science()) == n_visits
    assert sum(exposure.kind == "science" for exposure, _ in survey.frames()) == n_raws
    numbers = [exposure.number for exposure in survey.exposures]
    assert len(set(numbers)) == len(numbers)


def test_bands_of_the_hsc_have_the_raws_of_rubins_test() -> None:
    survey = make_survey(find_preset("ci_hsc"), 1)
    raws = {
        band: sum(len(e.detectors) for e in survey.science() if e.band == band) for band in "ri"
    }
    assert raws == {"r": 17, "i": 16}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_visit_covers_the_centre_of_the_field_to_half_a_detector(preset: str) -> None:
    survey = make_survey(find_preset(preset), 1)
    ra0, dec0 = survey.preset.centre_deg
    for exposure in survey.science():
        detectors = [survey.camera.detector(number) for number in exposure.detectors]
        distances = []
        for detector in detectors:
            wcs = true_wcs(survey, exposure, detector)
            ra, dec = wcs.pixel_to_sky(y=(detector.ny - 1) / 2, x=(detector.nx - 1) / 2)
            distances.append(float(angular_separation_deg(ra, dec, ra0, dec0)))
        pixels = max(np.hypot(d.ny, d.nx) for d in detectors)
        assert min(distances) < pixels / 2 * survey.camera.pixel_scale_arcsec / 3600 + 0.06


@pytest.mark.parametrize("preset", PRESETS)
def test_the_sky_reaches_beyond_every_pixel(preset: str) -> None:
    survey = make_survey(find_preset(preset), 1)
    ra0, dec0 = survey.preset.centre_deg
    for exposure in survey.science():
        for detector in map(survey.camera.detector, exposure.detectors):
            y, x = detector.box.corners()
            ra, dec = true_wcs(survey, exposure, detector).pixel_to_sky(y=y, x=x)
            away = angular_separation_deg(ra, dec, ra0, dec0)
            assert away.max() < survey.radius_deg()


def test_one_visit_has_bad_seeing_and_one_a_satellite() -> None:
    for preset in ("ci_small", "ci_hsc", "medium"):
        visits = make_survey(find_preset(preset), 1).science()
        assert sum(visit.seeing_arcsec > 2 for visit in visits) == 1
        assert sum(visit.has_trail for visit in visits) == 1


def test_one_header_of_the_hsc_misleads_by_more_than_a_solver_searches() -> None:
    survey = make_survey(find_preset("ci_hsc"), 1)
    away = {
        (exposure.number, detector.number): abs(
            header_pointing(survey, exposure, detector)[1] - exposure.dec_deg
        )
        for exposure, detector in survey.frames()
        if exposure.kind == "science"
    }
    assert [name for name, degrees in away.items() if degrees > 0.01] == [(903344, 0)]
    detector = survey.camera.detector(0)
    diagonal_deg = np.hypot(detector.ny, detector.nx) * survey.camera.pixel_scale_arcsec / 3600
    assert away[903344, 0] > 1.2 * diagonal_deg


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no preset 'huge'; there are unit, ci_small, ci_hsc"):
        find_preset("huge")


def test_stars_lie_on_the_locus_and_their_counts_rise_as_they_should() -> None:
    scene = make_scene(make_survey(find_preset("ci_hsc"), 1))
    stars = scene.kind == 0
    g, r, i = scene.mags[stars, :3].T
    np.testing.assert_allclose(-0.227 * g + 0.792 * r - 0.567 * i + 0.050, 0, atol=1e-9)
    bright, faint = np.sum((r > 19) & (r < 20)), np.sum((r > 23) & (r < 24))
    assert np.log10(faint / bright) / 4 == pytest.approx(0.15, abs=0.02)


def test_stars_move_by_their_proper_motion() -> None:
    scene = make_scene(make_survey(find_preset("unit"), 1))
    ra, dec = positions_at(scene, 57388.5 + 3652.5)
    moved = angular_separation_deg(ra, dec, scene.ra_deg, scene.dec_deg) * 3600e3
    expected = 10 * np.hypot(scene.pm_ra_mas, scene.pm_dec_mas)
    np.testing.assert_allclose(moved, expected, atol=0.01)
    assert (moved[scene.kind != 0] < 1e-6).all()
