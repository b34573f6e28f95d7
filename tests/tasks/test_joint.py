from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.image.columns import SOURCE
from lsstpipe.image.photocalib import PhotoCalib, photo_calib_from_json
from lsstpipe.tasks import calibrate, isolated_star, joint_photometry, visit_summary
from lsstpipe.tasks.base import Json
from tests.tasks.conftest import TRACT_ID, Joint
from tests.tasks.simulated_world import (
    CALIBRATION_RADIUS,
    DIMMED_MAG,
    DIMMED_VISIT,
    N_VISITS,
    PAIR,
    SATURATED,
    SCALE_ARCSEC,
    VARIABLE,
    World,
    aperture_share,
)

EVERY_VISIT = pytest.mark.parametrize("index", range(N_VISITS))


def true_star(world: World, stars: Catalog) -> npt.NDArray[np.int64]:
    """Find the true star nearest to each source, by brute force on the sky."""
    d_ra = (stars["ra"][:, None] - world.ra) * np.cos(np.deg2rad(world.dec))
    distance = np.hypot(d_ra, stars["dec"][:, None] - world.dec) * 3600
    assert distance.min(axis=1).max() < SCALE_ARCSEC
    nearest: npt.NDArray[np.int64] = distance.argmin(axis=1)
    return nearest


def calibrations(joint: Joint) -> dict[int, PhotoCalib]:
    return {
        d["visit"]: photo_calib_from_json(d["photo_calib"]) for d in joint.photometry["detectors"]
    }


def test_a_group_is_one_star_seen_at_least_three_times(world: World, joint: Joint) -> None:
    number, star = joint.stars.columns["isolatedStarId"], true_star(world, joint.stars)
    pairs = set(zip(number.tolist(), star.tolist(), strict=True))
    assert len(pairs) == len(set(number.tolist())) == len(set(star.tolist())) > 150
    assert np.bincount(number.astype(np.int64)).min() >= 3
    seen = list(zip(number.tolist(), joint.stars["visit"].tolist(), strict=True))
    assert len(set(seen)) == len(seen)


def test_isolated_stars_are_alone_and_unsaturated(world: World, joint: Joint) -> None:
    found = set(true_star(world, joint.stars).tolist())
    assert SATURATED not in found
    assert VARIABLE in found
    everywhere = world.plain_stars() & (world.mag < 12.5)
    for visit in world.visits:
        everywhere &= visit.inside(20)
    missing = set(np.flatnonzero(everywhere).tolist()) - found
    assert len(missing) <= 0.1 * everywhere.sum()


@pytest.mark.parametrize(
    "name",
    [
        "pixelFlags_saturated",
        "pixelFlags_bad",
        "pixelFlags_edge",
        "pixelFlags_nodata",
        "psfFlux_flag",
        "centroid_flag",
    ],
)
def test_a_flagged_source_belongs_to_no_star(
    calibrated: dict[DataId, calibrate.Outputs], joint: Joint, name: str
) -> None:
    """Flag every source that an isolated star is made of on one visit."""
    used = set(joint.stars["sourceId"].tolist())
    flagged = next(iter(calibrated))
    sources = {key: made.source for key, made in calibrated.items()}
    columns = dict(sources[flagged].columns)
    columns[name] = columns[name].astype(bool) | np.isin(columns["sourceId"], list(used))
    sources[flagged] = Catalog(SOURCE, columns)
    stars = isolated_star.run(
        isolated_star.Inputs(sources), isolated_star.Config(), TRACT_ID
    ).isolated_star
    assert not (used & set(stars["sourceId"].tolist())) & set(columns["sourceId"].tolist())
    assert len(stars) > 0.7 * len(joint.stars)


def test_a_wider_radius_leaves_out_a_close_pair(
    world: World, calibrated: dict[DataId, calibrate.Outputs], joint: Joint
) -> None:
    assert set(PAIR) <= set(true_star(world, joint.stars).tolist())
    sources = {key: made.source for key, made in calibrated.items()}
    wider = isolated_star.Config(isolation_radius_arcsec=14.0)
    alone = isolated_star.run(isolated_star.Inputs(sources), wider, TRACT_ID).isolated_star
    assert not set(PAIR) & set(true_star(world, alone).tolist())
    assert len(alone) > 0.9 * len(joint.stars)


def test_without_bright_sources_there_is_no_isolated_star() -> None:
    with pytest.raises(NoWorkFound, match="No source is as bright as 10 sigma"):
        isolated_star.run(
            isolated_star.Inputs({DataId(visit=1): concatenate(SOURCE, [])}),
            isolated_star.Config(),
            TRACT_ID,
        )


@EVERY_VISIT
def test_the_joint_wcs_is_the_true_one(world: World, joint: Joint, index: int) -> None:
    visit = world.visits[index]
    (own,) = (d for d in joint.astrometry["detectors"] if d["visit"] == visit.number)
    y, x = SkyWcs.from_json_dict(own["wcs"]).sky_to_pixel(world.ra, world.dec)
    miss = np.hypot(y - visit.y, x - visit.x)[visit.inside(0)]
    assert np.sqrt(np.mean(miss**2)) < 0.05
    assert miss.max() < 0.1


def test_visits_agree_with_each_other_better_than_with_the_catalogue(
    world: World, joint: Joint
) -> None:
    wcs = [SkyWcs.from_json_dict(d["wcs"]) for d in joint.astrometry["detectors"]]
    first = world.visits[0]
    ra, dec = wcs[0].pixel_to_sky(y=first.y, x=first.x)
    for visit, own in zip(world.visits[1:], wcs[1:], strict=True):
        y, x = own.sky_to_pixel(ra, dec)
        both = visit.inside(0) & first.inside(0)
        assert np.sqrt(np.mean(((y - visit.y) ** 2 + (x - visit.x) ** 2)[both])) < 0.02
    assert joint.astrometry["reference_rms_arcsec"] == pytest.approx(0.06, rel=0.2)
    reserved, used = (joint.astrometry[f"repeatability_{k}_pix"] for k in ("reserved", "used"))
    assert reserved["y"] < 1.5 * used["y"] < 0.05
    assert reserved["x"] < 1.5 * used["x"] < 0.05


def test_the_joint_zero_points_are_the_true_ones(world: World, joint: Joint) -> None:
    calib = calibrations(joint)
    off = []
    for visit in world.visits:
        summary = joint.summaries[visit.data_id]
        joined = summary["photometry"]["zero_point_mag"] - 2.5 * np.log10(calib[visit.number].scale)
        off.append(joined - visit.zero_point)
    assert np.ptp(off) < 0.003
    assert abs(np.mean(off)) < 0.006
    errors = [d["zero_point_err_mag"] for d in joint.photometry["detectors"]]
    assert 0.0002 < min(errors) < max(errors) < 0.003


def factors(joint: Joint) -> npt.NDArray[np.float64]:
    """Evaluate the joint calibration at each source."""
    calib, stars = calibrations(joint), joint.stars
    at = zip(stars["visit"], stars["y"], stars["x"], strict=True)
    return np.array([float(calib[int(visit)].factor(y=y, x=x)) for visit, y, x in at])


def visit_offsets(
    world: World, joint: Joint, flux: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Find by how many magnitudes each visit is too faint, from the bright stars and the truth."""
    stars, star = joint.stars, true_star(world, joint.stars)
    bright = (world.plain_stars() & (world.mag < 11))[star]
    off = -2.5 * np.log10(flux / world.flux_njy[star])
    return np.array([np.median(off[bright & (stars["visit"] == v.number)]) for v in world.visits])


def test_what_dims_one_visit_alone_is_taken_out(world: World, joint: Joint) -> None:
    per_electron = {
        v.number: 10 ** (0.4 * (31.4 - joint.summaries[v.data_id]["photometry"]["zero_point_mag"]))
        for v in world.visits
    }
    electrons = joint.stars["psfFlux"] / [per_electron[v] for v in joint.stars["visit"].tolist()]
    before = visit_offsets(world, joint, electrons)
    assert before[DIMMED_VISIT] - before[0] == pytest.approx(DIMMED_MAG, abs=0.015)
    after = visit_offsets(world, joint, joint.stars["psfFlux"] * factors(joint))
    assert np.ptp(after) < 0.004


def test_visits_repeat_better_after_the_joint_fit(world: World, joint: Joint) -> None:
    separate = visit_offsets(world, joint, joint.stars["psfFlux"])
    joined = visit_offsets(world, joint, joint.stars["psfFlux"] * factors(joint))
    assert joined.std() < min(0.0015, separate.std())


def test_the_variable_star_is_variable_still_and_others_are_not(world: World, joint: Joint) -> None:
    report = joint.photometry["stars"]
    rms, expected = (np.array(report[name], dtype=float) for name in ("rms_mmag", "expected_mmag"))
    worst = np.argmax(rms / expected)
    assert report["mag"][worst] == pytest.approx(world.mag[VARIABLE] + 0.027, abs=0.05)
    assert rms[worst] == pytest.approx(
        1000 * 2.5 * np.log10(1 / 0.95) / 2 * np.sqrt(6 / 5), rel=0.25
    )
    assert np.median(rms / expected) == pytest.approx(1.0, abs=0.2)
    assert joint.photometry["floor_mmag"] < 3.0


@pytest.mark.parametrize("name", ["astrometry", "photometry"])
def test_the_joint_fits_can_be_written_as_json(joint: Joint, name: str) -> None:
    fit = getattr(joint, name)
    assert json.loads(json.dumps(fit, allow_nan=False)) == fit


def test_the_aperture_fluxes_can_be_fitted_instead(world: World, joint: Joint) -> None:
    config = joint_photometry.Config(flux="ap06", camera_order=0, visit_order=0)
    inputs = joint_photometry.Inputs(joint.stars, joint.summaries, world.reference)
    fit = joint_photometry.run(inputs, config, TRACT_ID).joint_photometry
    sigma = {visit.number: visit.sigma for visit in world.visits}
    for detector in fit["detectors"]:
        assert detector["photo_calib"]["coefficients"] == [[0.0]]
        # The light that the smaller aperture lacks of the one that zero points are tied to.
        whole, part = (
            aperture_share(radius, sigma=sigma[detector["visit"]])
            for radius in (CALIBRATION_RADIUS, 6.0)
        )
        assert detector["photo_calib"]["scale"] == pytest.approx(whole / part, abs=0.01)


def summarise(joint: Joint, **changed: object) -> dict[DataId, Json]:
    inputs = visit_summary.Inputs(joint.summaries, joint.astrometry, joint.photometry)
    made = visit_summary.run(replace(inputs, **changed), visit_summary.Config(), TRACT_ID)  # type: ignore[arg-type]
    return dict(made.visit_summary)


def test_the_visit_summary_has_the_joint_calibration_of_every_visit(
    world: World, joint: Joint
) -> None:
    assert list(joint.visit_summary) == [
        DataId(instrument="st10", visit=v.number) for v in world.visits
    ]
    for own, astrometry, photometry in zip(
        joint.visit_summary.values(),
        joint.astrometry["detectors"],
        joint.photometry["detectors"],
        strict=True,
    ):
        (detector,) = own["detectors"]
        assert own["visit"] == detector["visit"] == astrometry["visit"] == photometry["visit"]
        assert detector["wcs"] == astrometry["wcs"]
        assert detector["photo_calib"] == photometry["photo_calib"]


@pytest.mark.parametrize("name", ["joint_astrometry", "joint_photometry"])
def test_a_detector_that_a_joint_fit_lacks_is_left_out(
    world: World, joint: Joint, name: str
) -> None:
    fit = getattr(joint, name.removeprefix("joint_"))
    without = {**fit, "detectors": fit["detectors"][1:]}
    left = summarise(joint, **{name: without})
    gone = DataId(instrument="st10", visit=world.visits[0].number)
    assert set(joint.visit_summary) - set(left) == {gone}
    assert all(left[key] == joint.visit_summary[key] for key in left)


def test_a_visit_with_too_wide_a_psf_is_left_out(world: World, joint: Joint) -> None:
    wide = world.visits[2].data_id
    summaries = {**joint.summaries, wide: {**joint.summaries[wide], "psf_fwhm_pix": 12.1}}
    left = summarise(joint, visit_detector_summary=summaries)
    assert set(joint.visit_summary) - set(left) == {wide.subset(("instrument", "visit"))}


def test_a_visit_that_failed_before_the_joint_fits_does_not_disturb_them(
    world: World, joint: Joint, calibrated: dict[DataId, calibrate.Outputs]
) -> None:
    rest = {k: made.source for k, made in list(calibrated.items())[1:]}
    stars = isolated_star.run(
        isolated_star.Inputs(rest), isolated_star.Config(), TRACT_ID
    ).isolated_star
    inputs = joint_photometry.Inputs(stars, joint.summaries, world.reference)
    fit = joint_photometry.run(inputs, joint_photometry.Config(), TRACT_ID).joint_photometry
    assert [d["visit"] for d in fit["detectors"]] == [v.number for v in world.visits[1:]]
