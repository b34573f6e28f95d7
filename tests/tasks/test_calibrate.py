from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree

from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.psf import stamp_moments
from lsstpipe.packed_ids import first_source_id
from lsstpipe.tasks import calibrate
from tests.tasks.simulated_world import (
    N_VISITS,
    RAY_VISIT,
    SATURATED,
    SCALE_ARCSEC,
    SHAPE,
    Visit,
    World,
    psf_stamp,
)

Calibrated = dict[DataId, calibrate.Outputs]
EVERY_VISIT = pytest.mark.parametrize("index", range(N_VISITS))


def match(source: Catalog, visit: Visit, radius: float = 1.5) -> npt.NDArray[np.int64]:
    """Find the true star that each source is; -1 for none."""
    tree = cKDTree(np.stack([visit.y, visit.x], axis=1))
    distance, star = tree.query(np.stack([source["y"], source["x"]], axis=1))
    return np.where(distance < radius, star, -1)


def usable(world: World, visit: Visit, source: Catalog) -> npt.NDArray[np.bool_]:
    """Find the sources that are whole, single, unsaturated stars."""
    star = match(source, visit)
    good = (star >= 0) & (world.plain_stars() & visit.inside(20))[star]
    for flag in ("psfFlux_flag", "pixelFlags_saturated", "pixelFlags_bad"):
        good &= ~source[flag].astype(bool)
    return good


@EVERY_VISIT
def test_the_wcs_is_the_true_one(world: World, calibrated: Calibrated, index: int) -> None:
    visit = world.visits[index]
    wcs = calibrated[visit.data_id].visit_image.wcs
    assert wcs is not None
    y, x = wcs.sky_to_pixel(world.ra, world.dec)
    miss = np.hypot(y - visit.y, x - visit.x)[visit.inside(0)]
    assert miss.max() < 0.1
    summary = calibrated[visit.data_id].visit_detector_summary
    assert summary["astrometry"]["mirrored"] is True
    assert SkyWcs.from_json_dict(summary["wcs"]) == wcs


@EVERY_VISIT
def test_the_zero_point_is_the_true_one_within_its_error(
    world: World, calibrated: Calibrated, index: int
) -> None:
    visit = world.visits[index]
    photometry = calibrated[visit.data_id].visit_detector_summary["photometry"]
    assert 0.001 < photometry["zero_point_err_mag"] < 0.005
    off = photometry["zero_point_mag"] - visit.zero_point
    assert abs(off) < 3.5 * photometry["zero_point_err_mag"]


def _pulls(world: World, calibrated: Calibrated, index: int) -> npt.NDArray[np.float64]:
    """Give (flux - truth) / error of the stars of one visit, with its zero point taken out."""
    visit = world.visits[index]
    source = calibrated[visit.data_id].source
    good = usable(world, visit, source) & (source["snr"] < 150)
    true = visit.nanojansky[match(source, visit)]
    ratio = (source["psfFlux"] / true)[good]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.012)
    pulls: npt.NDArray[np.float64] = (ratio - np.median(ratio)) * (true / source["psfFluxErr"])[
        good
    ]
    return pulls


def test_fluxes_scatter_about_the_truth_by_their_errors(
    world: World, calibrated: Calibrated
) -> None:
    pulls = [_pulls(world, calibrated, index) for index in range(len(world.visits))]
    assert min(map(len, pulls)) > 100
    for pull in (*pulls, np.concatenate(pulls)):
        # The standard error of a width from the median deviation of n values is 1.17 / sqrt(n).
        assert abs(1.4826 * np.median(np.abs(pull)) - 1) < 3.5 * 1.17 / np.sqrt(len(pull))


@EVERY_VISIT
def test_positions_scatter_about_the_truth_by_their_errors(
    world: World, calibrated: Calibrated, index: int
) -> None:
    visit = world.visits[index]
    source = calibrated[visit.data_id].source
    good = usable(world, visit, source) & ~source["centroid_flag"].astype(bool)
    good &= source["snr"] < 150
    star = match(source, visit)
    for axis, true in (("y", visit.y), ("x", visit.x)):
        pull = ((source[axis] - true[star]) / source[f"{axis}Err"])[good]
        assert abs(np.median(pull)) < 0.3
        assert 0.8 < 1.4826 * np.median(np.abs(pull)) < 1.25


def test_errors_on_the_sky_are_those_on_the_pixels(world: World, calibrated: Calibrated) -> None:
    visit = world.visits[0]
    source = calibrated[visit.data_id].source
    known = ~source["centroid_flag"].astype(bool)
    on_sky = np.hypot(source["raErr"], source["decErr"])[known] * 3600
    on_pixels = np.hypot(source["xErr"], source["yErr"])[known] * SCALE_ARCSEC
    np.testing.assert_allclose(on_sky, on_pixels, rtol=0.005)
    # East is along x here, but for 1.5 degrees.
    ratio = source["raErr"][known] / source["xErr"][known] * 3600
    np.testing.assert_allclose(ratio, SCALE_ARCSEC, rtol=0.02)


@EVERY_VISIT
def test_the_psf_has_the_true_width(world: World, calibrated: Calibrated, index: int) -> None:
    visit = world.visits[index]
    summary = calibrated[visit.data_id].visit_detector_summary
    iyy, ixx, _ = stamp_moments(psf_stamp(368.0, 546.0, sigma=visit.sigma))
    assert summary["psf_sigma_pix"] == pytest.approx(np.sqrt((iyy + ixx) / 2), rel=0.015)
    assert 0.8 < summary["psf_chi2_reserved"] < 1.2


def test_all_bright_stars_are_found_and_little_else(world: World, calibrated: Calibrated) -> None:
    visit = world.visits[0]
    source = calibrated[visit.data_id].source
    star = match(source, visit)
    wanted = set(np.flatnonzero(visit.inside(15) & (world.mag < 13.5))) - {SATURATED}
    assert len(wanted) > 150
    assert wanted <= set(star)
    inner = ~source["pixelFlags_edge"].astype(bool)
    # Besides the spikes of the saturated star nothing else is there to be found.
    false = inner & (star < 0)
    beside = np.hypot(source["y"] - visit.y[SATURATED], source["x"] - visit.x[SATURATED])
    assert (false & (beside > 25)).sum() <= 3


def test_the_cosmic_ray_is_found_masked_and_mended(
    world: World, calibrated: Calibrated, post_isr: dict[DataId, Exposure]
) -> None:
    visit = world.visits[RAY_VISIT]
    image = calibrated[visit.data_id].visit_image
    rays = has(image.mask, MaskPlane.CR)
    assert rays[visit.ray].mean() > 0.9
    assert has(image.mask, MaskPlane.INTRP)[rays].all()
    scale = image.metadata["nanojansky_per_electron"]
    before = post_isr[visit.data_id].image[visit.ray].mean() - visit.sky
    assert before > 2500
    assert abs(image.image[visit.ray & rays].mean() / float(scale)) < 0.05 * before


def test_quiet_frames_have_hardly_a_cosmic_ray(world: World, calibrated: Calibrated) -> None:
    for index in (0, 2, 3):
        key = world.visits[index].data_id
        assert calibrated[key].visit_detector_summary["n_cosmic_ray_pixels"] <= 3


def test_ids_are_unique_and_tell_where_a_source_was_seen(
    world: World, calibrated: Calibrated
) -> None:
    ids = np.concatenate([made.source["sourceId"] for made in calibrated.values()])
    assert len(np.unique(ids)) == len(ids)
    for visit in world.visits:
        source = calibrated[visit.data_id].source
        first = first_source_id(visit=visit.number, detector=0)
        assert (source["sourceId"] - first == 1 + np.arange(len(source))).all()
        assert (source["visit"] == visit.number).all()


def test_flags_tell_of_saturation_edges_and_use(world: World, calibrated: Calibrated) -> None:
    visit = world.visits[0]
    made = calibrated[visit.data_id]
    source, summary = made.source, made.visit_detector_summary
    beside = np.hypot(source["y"] - visit.y[SATURATED], source["x"] - visit.x[SATURATED])
    flags = {n: source[n].astype(bool) for n in source.columns if source.columns[n].dtype == bool}
    star = match(source, visit)
    assert flags["pixelFlags_saturatedCenter"][np.argmin(beside)]
    unsaturated = (star >= 0) & (visit.flux < 1e5)[star]
    assert not flags["pixelFlags_saturatedCenter"][unsaturated].any()
    ny, nx = SHAPE
    near = np.minimum.reduce([source["y"], source["x"], ny - 1 - source["y"], nx - 1 - source["x"]])
    assert flags["pixelFlags_edge"][near < 2].all()
    assert not flags["pixelFlags_edge"][near > 30].any()
    assert (flags["detect_isPrimary"] == ~flags["pixelFlags_edge"]).all()
    assert not (flags["calib_psf_used"] & flags["calib_psf_reserved"]).any()
    assert not flags["calib_psf_used"][flags["pixelFlags_saturated"]].any()
    assert flags["calib_psf_used"].sum() == summary["n_psf_used"]
    assert flags["calib_psf_reserved"].sum() == summary["n_psf_reserved"]
    assert flags["calib_photometry_used"].sum() == summary["photometry"]["n_used"]
    assert flags["calib_astrometry_used"].sum() == summary["astrometry"]["n_matched"]


def test_image_and_background_add_up_to_what_came_in(
    world: World, calibrated: Calibrated, post_isr: dict[DataId, Exposure]
) -> None:
    visit = world.visits[3]
    made, before = calibrated[visit.data_id], post_isr[visit.data_id]
    scale = float(made.visit_image.metadata["nanojansky_per_electron"])
    assert scale == pytest.approx(10 ** (0.4 * (31.4 - visit.zero_point)), rel=0.01)
    whole = (made.visit_image.image + made.visit_image_background.image) / scale
    kept = ~has(made.visit_image.mask, MaskPlane.INTRP)
    np.testing.assert_allclose(whole[kept], before.image[kept], rtol=1e-4, atol=0.1)
    assert np.median(made.visit_image_background.image) / scale == pytest.approx(
        visit.sky, rel=0.01
    )
    sky = made.source["sky"][~made.source["pixelFlags_edge"].astype(bool)] / scale
    np.testing.assert_allclose(sky, visit.sky, rtol=0.03)


def test_the_limiting_magnitude_is_that_of_a_psf_on_the_sky(
    world: World, calibrated: Calibrated
) -> None:
    visit = world.visits[0]
    summary = calibrated[visit.data_id].visit_detector_summary
    noise_area = 1 / np.sum(psf_stamp(300.0, 500.0, sigma=visit.sigma) ** 2)
    error = np.sqrt(noise_area * (visit.sky + 14.0**2 + 130))
    expected = visit.zero_point - 2.5 * np.log10(5 * error)
    assert summary["magnitude_limit"] == pytest.approx(expected, abs=0.12)


def test_the_summary_can_be_written_as_json(world: World, calibrated: Calibrated) -> None:
    for made in calibrated.values():
        summary = made.visit_detector_summary
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_frame_through_clouds_is_flagged_with_a_sentence(
    world: World, post_isr: dict[DataId, Exposure], rng: np.random.Generator
) -> None:
    key = world.visits[0].data_id
    sky = rng.normal(1500.0, 42.0, SHAPE).astype(np.float32)
    cloudy = replace(
        post_isr[key],
        image=sky,
        mask=np.zeros(SHAPE, dtype=np.int32),
        variance=np.full(SHAPE, 42.0**2, dtype=np.float32),
    )
    with pytest.raises(AlgorithmError, match="A PSF needs at least 6 stars; 0 sources are"):
        calibrate.run(calibrate.Inputs(cloudy, world.reference), calibrate.Config(), key)
