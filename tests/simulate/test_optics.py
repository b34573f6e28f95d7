"""Where light comes from: the true map, and what headers make of it."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.simulate.optics import focal_plane, true_wcs
from lsstpipe.simulate.presets import PRESETS, find_preset
from lsstpipe.simulate.survey import make_survey


@pytest.mark.parametrize("preset", PRESETS)
def test_pixels_go_to_the_sky_and_back(preset: str) -> None:
    survey = make_survey(find_preset(preset), 1)
    for exposure in survey.science()[:3]:
        for detector in map(survey.camera.detector, exposure.detectors):
            wcs = true_wcs(survey, exposure, detector)
            y, x = np.mgrid[0 : detector.ny : 5j, 0 : detector.nx : 5j]
            again_y, again_x = wcs.sky_to_pixel(*wcs.pixel_to_sky(y=y, x=x))
            np.testing.assert_allclose(again_y, y, atol=1e-6)
            np.testing.assert_allclose(again_x, x, atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_header_points_each_detector_within_the_error_of_the_telescope(preset: str) -> None:
    survey = make_survey(find_preset(preset), 2)
    for exposure in survey.science():
        for detector in map(survey.camera.detector, exposure.detectors):
            wcs = true_wcs(survey, exposure, detector)
            y, x = (detector.ny - 1) / 2, (detector.nx - 1) / 2
            ra, dec = wcs.pixel_to_sky(y=y, x=x)
            above_ra, above_dec = wcs.pixel_to_sky(y=y + 10, x=x)
            seen_ra, seen_dec, seen_rotation = survey.camera.point(
                detector,
                ra_deg=exposure.header_ra_deg,
                dec_deg=exposure.header_dec_deg,
                rotation_deg=exposure.header_rotation_deg,
            )
            rotation = np.degrees(
                np.arctan2((above_ra - ra) * np.cos(np.radians(dec)), above_dec - dec)
            )
            off = float(angular_separation_deg(ra, dec, seen_ra, seen_dec)) * 3600
            # 5 arcsec, 0.05 degrees at up to 0.75 degrees, a few pixels of the detector's own.
            assert off < 5 + 2.4 + 1
            assert abs((seen_rotation - rotation + 180) % 360 - 180) < 0.1


def test_the_distortion_of_the_hsc_moves_a_corner_by_hundreds_of_pixels() -> None:
    survey = make_survey(find_preset("ci_hsc"), 1)
    exposure = survey.science()[0]
    detector = survey.camera.detector(22)
    wcs = true_wcs(survey, exposure, detector)
    y, x = np.array(0.0), np.array(0.0)
    radius = np.hypot(*focal_plane(detector, y, x))
    ra, dec = wcs.pixel_to_sky(y=y, x=x)
    sky = float(angular_separation_deg(ra, dec, exposure.ra_deg, exposure.dec_deg)) * 3600 / 0.168
    assert radius - sky == pytest.approx(1.096e-10 * radius**3, rel=0.02)
    assert radius - sky > 500
