"""The joint fits of a camera with several detectors in two bands, against a known truth."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.photocalib import photo_calib_from_json
from lsstpipe.tasks import joint_astrometry, joint_photometry
from lsstpipe.tasks.base import Json
from tests.tasks.simulated_survey import BANDS, CAMERA, MJD, Plan, Survey

FloatArray = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def survey() -> Survey:
    return Survey(Plan())


def fit_astrometry(survey: Survey, **settings: float) -> Json:
    inputs = joint_astrometry.Inputs(survey.stars(), survey.summaries(), survey.reference())
    config = joint_astrometry.Config(**settings)  # type: ignore[arg-type]
    return joint_astrometry.fit_visits(inputs, config, CAMERA)


def fit_photometry(survey: Survey, **settings: float) -> Json:
    inputs = joint_photometry.Inputs(survey.stars(), survey.summaries(), survey.reference())
    config = joint_photometry.Config(**settings)  # type: ignore[arg-type]
    return joint_photometry.fit_bands(inputs, config, CAMERA)


@pytest.fixture(scope="module")
def astrometry(survey: Survey) -> Json:
    return fit_astrometry(survey)


@pytest.fixture(scope="module")
def photometry(survey: Survey) -> Json:
    return fit_photometry(survey)


def maps_of(fit: Json) -> dict[tuple[int, int], SkyWcs]:
    return {(d["visit"], d["detector"]): SkyWcs.from_json_dict(d["wcs"]) for d in fit["detectors"]}


def map_errors_mas(maps: dict[tuple[int, int], SkyWcs], survey: Survey) -> FloatArray:
    """Give the distance of every map from the truth on a grid over its detector."""
    errors = []
    for key, truth in survey.truth.items():
        detector = CAMERA.detector(key[1])
        grid = np.meshgrid(
            np.linspace(20, detector.ny - 21, 9), np.linspace(20, detector.nx - 21, 7)
        )
        y, x = (g.ravel() for g in grid)
        found = maps[key].pixel_to_sky(y=y, x=x)
        errors.append(angular_separation_deg(*truth.pixel_to_sky(y=y, x=x), *found) * 3.6e6)
    return np.stack(errors)


def test_every_map_of_every_detector_is_the_true_one(survey: Survey, astrometry: Json) -> None:
    maps = maps_of(astrometry)
    assert set(maps) == set(survey.truth)
    before, after = map_errors_mas(survey.first, survey), map_errors_mas(maps, survey)
    assert np.median(before) > 8
    # The catalogue is right to 0.3 mas, a centroid to 3 mas: a map of 100 stars to half a mas.
    assert np.median(after) < 1.5
    assert after.max() < 10


def positions_mas(survey: Survey, maps: dict[tuple[int, int], SkyWcs]) -> FloatArray:
    """Give the position of each bright star on each visit of a band, without its motion, in mas."""
    table = survey.table
    visits = np.unique(table["visit"])
    plane = np.full((len(survey.ra), len(visits), 2), np.nan)
    bright = (survey.mag < 20.5).all(axis=0)
    for (visit, detector), wcs in maps.items():
        rows = (table["visit"] == visit) & (table["detector"] == detector)
        rows &= bright[table["star"].astype(np.int64)]
        ra, dec = wcs.pixel_to_sky(y=table["y"][rows], x=table["x"][rows])
        star = table["star"][rows].astype(np.int64)
        years = (survey.dates[visit] - MJD) / 365.25
        cos = np.cos(np.deg2rad(survey.dec[star]))
        plane[star, int(np.searchsorted(visits, visit))] = np.stack(
            [
                (dec * 3.6e6) - survey.motion[star, 1] * years,
                (ra - 150.0) * 3.6e6 * cos - survey.motion[star, 0] * years,
            ],
            axis=1,
        )
    return plane


def test_distances_repeat_as_required(survey: Survey, astrometry: Json) -> None:
    # AM1: rms over the visits of the distance of pairs 5 arcmin apart, median over pairs.
    plane = positions_mas(survey, maps_of(astrometry))
    plane = plane[np.isfinite(plane[..., 0]).sum(axis=1) > 8]
    mean = np.nanmean(plane, axis=1)
    first, second = np.random.default_rng(1).choice(len(plane), (2, 20000))
    apart = np.hypot(*(mean[first] - mean[second]).T) / 60000
    chosen = (apart > 4) & (apart < 6)
    distance = np.hypot(*np.moveaxis(plane[first[chosen]] - plane[second[chosen]], -1, 0))
    distance = distance[np.isfinite(distance).sum(axis=1) > 5]
    rms = np.nanstd(distance, axis=1, ddof=1)
    assert len(rms) > 500
    # Two centroids of 0.014 to 0.03 pixels make 4 mas: the maps add next to nothing.
    assert 1.0 < np.median(rms) < 5.0
    # AF1: share of distances that are off by more than 20 mas.
    off = np.abs(distance - np.nanmean(distance, axis=1, keepdims=True))
    assert np.mean(off[np.isfinite(off)] > 20) < 0.01


def test_reserved_stars_lie_where_they_are(survey: Survey, astrometry: Json) -> None:
    # AA1, against the truth instead of another catalogue.
    plane = positions_mas(survey, maps_of(astrometry))
    true = np.stack(
        [survey.dec * 3.6e6, (survey.ra - 150.0) * 3.6e6 * np.cos(np.deg2rad(survey.dec))], axis=1
    )
    seen = np.isfinite(plane[..., 0]).any(axis=1)
    offset = np.nanmean(plane[seen] - true[seen, None, :], axis=1)
    assert len(offset) > 200
    assert np.median(np.hypot(*offset.T)) < 3.0
    assert np.abs(np.median(offset, axis=0)).max() < 1.0
    assert astrometry["repeatability_reserved_pix"]["x"] < 0.04


def test_proper_motions_are_fitted_where_the_dates_allow(survey: Survey, astrometry: Json) -> None:
    motions = astrometry["motions"]
    assert motions["span_yr"] == pytest.approx(3.0, abs=0.05)
    star = survey.star[np.array(motions["star"])]
    assert len(star) > 500
    found = np.stack([motions["pm_ra_mas_yr"], motions["pm_dec_mas_yr"]], axis=1)
    miss = found - survey.motion[star]
    pull = miss / np.array(motions["pm_err_mas_yr"])[:, None]
    assert 0.7 < 1.4826 * np.median(np.abs(pull)) < 1.3
    assert np.abs(np.median(miss, axis=0)).max() < 0.3
    assert np.median(np.abs(miss)) < 0.15 * np.median(np.abs(survey.motion))
    assert not [s for s in astrometry["degeneracies"] if "Proper motions" in s]


def test_the_error_of_a_map_is_the_one_that_is_given(survey: Survey, astrometry: Json) -> None:
    after = map_errors_mas(maps_of(astrometry), survey)
    given = np.array([d["map_err_pix"] for d in astrometry["detectors"]]) * 168
    assert (given > 0).all()
    # Corners are worst: what is given bounds the typical error of an axis on the grid.
    rms = np.sqrt((after**2).mean(axis=1) / 2)
    assert (rms < 3 * given).all()
    assert given.max() < 10


def test_every_zero_point_of_both_bands_is_the_true_one(survey: Survey, photometry: Json) -> None:
    before = np.array([survey.first_zero_point[k] - v for k, v in survey.zero_point.items()])
    after = {
        (d["visit"], d["detector"]): d["zero_point_mag"]
        - survey.zero_point[d["visit"], d["detector"]]
        for d in photometry["detectors"]
    }
    assert set(after) == set(survey.zero_point)
    miss = np.array(list(after.values()))
    assert before.std() > 0.005
    # PHO-1: 3 mmag by the joint fit; 48 detectors.
    assert np.sqrt(np.mean(miss**2)) < 0.003
    for number, band in enumerate(BANDS):
        own = np.array([v for (visit, _), v in after.items() if survey.band[visit] == number])
        entry = next(b for b in photometry["bands"] if b["band"] == band)
        assert abs(own.mean()) < 4 * entry["anchor_err_mag"]


def test_calibrated_fluxes_are_the_true_ones_all_over_the_detectors(
    survey: Survey, photometry: Json
) -> None:
    table, miss = survey.table, []
    for d in photometry["detectors"]:
        rows = (table["visit"] == d["visit"]) & (table["detector"] == d["detector"])
        calib = photo_calib_from_json(d["photo_calib"])
        flux = table["psfFlux"][rows] * calib.factor(y=table["y"][rows], x=table["x"][rows])
        star = table["star"][rows].astype(np.int64)
        mag = survey.mag[survey.band[d["visit"]]][star]
        bright = mag < 20.0
        miss.append((-2.5 * np.log10(flux) + 31.4 - mag)[bright])
    joined = np.concatenate(miss)
    assert len(joined) > 1900
    assert joined.std() < 0.0065
    per_detector = np.array([m.mean() for m in miss])
    assert np.sqrt(np.mean(per_detector**2)) < 0.003


def test_a_star_has_a_magnitude_in_each_band(survey: Survey, photometry: Json) -> None:
    assert [b["band"] for b in photometry["bands"]] == ["i", "r"]
    assert all(b["n_visit"] == 6 and b["n_detector"] == 4 for b in photometry["bands"])
    assert photometry["floor_mmag"] < 4
    assert photometry["n_star"] > 1000


def test_fits_of_a_camera_are_json(astrometry: Json, photometry: Json) -> None:
    for fit in (astrometry, photometry):
        assert json.loads(json.dumps(fit, allow_nan=False)) == fit


def test_the_same_catalogues_give_the_same_bits(survey: Survey, photometry: Json) -> None:
    assert fit_photometry(survey) == photometry


def test_visits_of_one_night_say_that_motions_are_not_fitted() -> None:
    survey = Survey(Plan(years=0.01, n_stars=500))
    fit = fit_astrometry(survey)
    (said,) = [s for s in fit["degeneracies"] if "Proper motions" in s]
    assert "span 0.02 years, needed are 0.9" in said
    assert "the catalogue's are used" in said
    assert fit["motions"]["n_fitted"] == 0
    assert np.median(map_errors_mas(maps_of(fit), survey)) < 3


def test_a_catalogue_without_motions_is_said_to_leave_their_mean_open() -> None:
    fit = fit_astrometry(Survey(Plan(has_motions=False, n_stars=500)))
    assert any("relative to the mean of all stars" in s for s in fit["degeneracies"])


def test_visits_that_are_only_shifted_leave_the_slope_to_the_catalogue(survey: Survey) -> None:
    still = Survey(Plan(turn_deg=0.0, dither_pix=100.0, n_stars=500))
    reference = still.reference()
    blank = np.full(len(reference), np.nan)
    few = np.where(np.arange(len(reference)) < 12, reference["r_flux"], blank)
    columns = {**reference.columns, "r_flux": few, "i_flux": few, "fluxErr": few}
    inputs = joint_photometry.Inputs(
        still.stars(), still.summaries(), type(reference)(reference.schema, columns)
    )
    fit = joint_photometry.fit_bands(inputs, joint_photometry.Config(), CAMERA)
    assert any("slope of the camera's term along" in s for s in fit["degeneracies"])
    usual = fit_photometry(survey)
    assert not any("slope of the camera's term along" in s for s in usual["degeneracies"])


def test_a_band_that_cannot_be_fitted_does_not_stop_the_other(survey: Survey) -> None:
    reference = survey.reference()
    columns = {**reference.columns, "i_flux": np.full(len(reference), np.nan)}
    inputs = joint_photometry.Inputs(
        survey.stars(), survey.summaries(), type(reference)(reference.schema, columns)
    )
    fit = joint_photometry.fit_bands(inputs, joint_photometry.Config(), CAMERA)
    assert [b["band"] for b in fit["bands"]] == ["r"]
    assert any("Band i is not fitted" in s for s in fit["degeneracies"])
