from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree

from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.image.columns import FORCED_SOURCE, OBJECT
from lsstpipe.packed_ids import first_object_id
from lsstpipe.tasks import calibrate, forced, tables
from lsstpipe.tasks import object as object_task
from lsstpipe.tasks.base import Json
from tests.tasks.conftest import TRACT_ID, Coadds, Joint
from tests.tasks.simulated_world import (
    CALIBRATION_RADIUS,
    DIP,
    DIP_VISITS,
    PAIR,
    SATURATED,
    SHAPE,
    VARIABLE,
    World,
    aperture_share,
)

Objects = dict[DataId, Catalog]


def all_objects(objects: Objects) -> Catalog:
    return concatenate(OBJECT, objects.values())


def flag(catalog: Catalog, name: str) -> npt.NDArray[np.bool_]:
    return catalog[name].astype(bool)


def positions(world: World, skymap: Json) -> npt.NDArray[np.float64]:
    """Place the true stars on the pixels of the tract."""
    tract = SkyMap.from_json_dict(skymap).tracts[0]
    return np.stack(tract.wcs.sky_to_pixel(world.ra, world.dec), axis=1)


def match(
    catalog: Catalog, world: World, skymap: Json
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Find the true star nearest to each object."""
    distance, star = cKDTree(positions(world, skymap)).query(
        np.stack([catalog["y"], catalog["x"]], axis=1)
    )
    return distance, star


def primaries(objects: Objects) -> Catalog:
    catalog = all_objects(objects)
    return catalog.select(flag(catalog, "detect_isPrimary"))


def inside_tract(world: World, skymap: Json) -> npt.NDArray[np.bool_]:
    """Find the stars that are well on the tract and on every visit."""
    y, x = positions(world, skymap).T
    box = SkyMap.from_json_dict(skymap).tracts[0].grid.box.grown(-20)
    good = box.contains(y=y, x=x)
    for visit in world.visits:
        good &= visit.inside(20)
    return good


def test_every_star_is_a_primary_object_once(world: World, objects: Objects, skymap: Json) -> None:
    catalog = primaries(objects)
    distance, star = match(catalog, world, skymap)
    wanted = inside_tract(world, skymap) & world.plain_stars()
    assert wanted.sum() > 150
    n_found = np.bincount(star[distance < 0.5], minlength=len(world.ra))
    assert (n_found[wanted] == 1).all()
    beside = np.hypot(
        *(np.stack([catalog["y"], catalog["x"]]).T - positions(world, skymap)[SATURATED]).T
    )
    assert ((distance > 1.5) & (beside > 30)).sum() <= 3
    assert cKDTree(np.stack([catalog["y"], catalog["x"]], axis=1)).query_pairs(1.5) == set()


def test_objects_in_the_overlap_are_on_both_patches_and_primary_on_one(
    objects: Objects, skymap: Json
) -> None:
    first, second = objects.values()
    tract = SkyMap.from_json_dict(skymap).tracts[0]
    shared = tract.patch(0).outer.intersection(tract.patch(1).outer).grown(-12)
    both = []
    for catalog in (first, second):
        keep = shared.contains(y=catalog["y"], x=catalog["x"]) & (catalog["deblend_nChild"] == 0)
        both.append(catalog.select(keep & (catalog["snr"] > 20)))
    assert len(both[0]) == len(both[1]) > 5
    tree = cKDTree(np.stack([both[1]["y"], both[1]["x"]], axis=1))
    distance, other = tree.query(np.stack([both[0]["y"], both[0]["x"]], axis=1))
    assert distance.max() < 0.3
    assert (flag(both[0], "detect_isPrimary") ^ flag(both[1], "detect_isPrimary")[other]).all()


def test_ids_are_unique_and_tell_the_patch(objects: Objects) -> None:
    catalog = all_objects(objects)
    assert len(np.unique(catalog["objectId"])) == len(catalog)
    for key, own in objects.items():
        first = first_object_id(tract=0, patch=key.integer("patch"))
        assert (own["objectId"] - first == 1 + np.arange(len(own))).all()
        assert (own["patch"] == key["patch"]).all()
        assert (own.columns["band"] == "clear").all()


def test_children_point_to_a_parent_that_counts_them(objects: Objects) -> None:
    n_blends = 0
    for catalog in objects.values():
        row = {int(name): i for i, name in enumerate(catalog["objectId"])}
        parents, counts = np.unique(
            catalog["parentObjectId"][catalog["parentObjectId"] > 0], return_counts=True
        )
        for parent, n_children in zip(parents, counts, strict=True):
            i = row[int(parent)]
            assert catalog["deblend_nChild"][i] == n_children > 1
            assert not flag(catalog, "detect_isPrimary")[i]
            assert np.isnan(catalog["psfFlux"][i])
            assert flag(catalog, "psfFlux_flag")[i]
            assert catalog["parentObjectId"][i] == 0
        assert (catalog["deblend_nChild"] > 0).sum() == len(parents)
        n_blends += len(parents)
    assert n_blends > 0


def test_a_close_pair_is_split_into_two_stars_of_the_right_fluxes(
    world: World, objects: Objects, skymap: Json
) -> None:
    catalog = primaries(objects)
    distance, star = match(catalog, world, skymap)
    rows = [int(np.flatnonzero((star == s) & (distance < 1.0))[0]) for s in PAIR]
    parents = catalog["parentObjectId"][rows]
    assert parents[0] == parents[1] > 0
    assert catalog["psfFlux"][rows] == pytest.approx(world.flux_njy[list(PAIR)], rel=0.03)


def test_objects_have_the_true_positions_and_fluxes(
    world: World, objects: Objects, skymap: Json
) -> None:
    catalog = primaries(objects)
    distance, star = match(catalog, world, skymap)
    good = (distance < 0.5) & (inside_tract(world, skymap) & world.plain_stars())[star]
    good &= ~flag(catalog, "psfFlux_flag")
    bright = good & (world.mag < 12)[star]
    ra_off = (catalog["coord_ra"] - world.ra[star]) * np.cos(np.deg2rad(world.dec[star])) * 3600
    assert np.sqrt(np.mean(ra_off[bright] ** 2)) < 0.1
    dec_off = (catalog["coord_dec"] - world.dec[star]) * 3600
    assert np.sqrt(np.mean(dec_off[bright] ** 2)) < 0.1
    ratio = catalog["psfFlux"] / world.flux_njy[star]
    assert np.median(ratio[bright]) == pytest.approx(1.0, abs=0.015)
    assert 1.4826 * np.median(np.abs(ratio[bright] - np.median(ratio[bright]))) < 0.02
    faint = good & (world.mag > 12.5)[star]
    pull = (catalog["psfFlux"] - world.flux_njy[star])[faint] / catalog["psfFluxErr"][faint]
    assert 0.8 < 1.4826 * np.median(np.abs(pull - np.median(pull))) < 1.3
    assert (catalog["extendedness"][good] == 0).mean() > 0.95
    assert (catalog["inputCount"][bright] >= 5).mean() > 0.95


def test_a_patch_without_a_coadd_is_no_work(skymap: Json) -> None:
    quantum = DataId(skymap="sim", tract=0, patch=0)
    with pytest.raises(NoWorkFound, match="The patch has no coadd"):
        object_task.run(object_task.Inputs({}, {}, skymap), object_task.Config(), quantum)


def test_a_coadd_of_empty_sky_is_no_work(
    coadds: Coadds, skymap: Json, rng: np.random.Generator
) -> None:
    key, coadd = next(iter(coadds.coadds.items()))
    shape = coadd.image.shape
    empty = replace(
        coadd,
        image=rng.normal(0, 1, shape).astype(np.float32),
        variance=np.full(shape, 2.0, dtype=np.float32),
        mask=np.zeros(shape, dtype=np.int32),
    )
    inputs = object_task.Inputs({key: empty}, {key: coadds.n_images[key]}, skymap)
    quantum = key.subset(("skymap", "tract", "patch"))
    with pytest.raises(NoWorkFound, match="Nothing on the coadd is brighter than 5 sigma"):
        object_task.run(inputs, object_task.Config(), quantum)


def light_curves(
    world: World, objects: Objects, forced_sources: Objects, skymap: Json
) -> dict[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Collect flux and error of each true star that has a good flux on every visit."""
    catalog = primaries(objects)
    distance, star = match(catalog, world, skymap)
    of_object = dict(
        zip(
            catalog["objectId"][distance < 0.5].tolist(), star[distance < 0.5].tolist(), strict=True
        )
    )
    curves: dict[int, list[tuple[float, float]]] = {}
    for own in forced_sources.values():
        bad = flag(own, "psfFlux_flag") | flag(own, "pixelFlags_edge")
        bad |= flag(own, "pixelFlags_saturated") | flag(own, "pixelFlags_bad")
        columns = (own["objectId"], own["psfFlux"], own["psfFluxErr"])
        for name, flux, error in zip(*(c[~bad].tolist() for c in columns), strict=True):
            if name in of_object:
                curves.setdefault(of_object[name], []).append((flux, error))
    n = len(forced_sources)
    return {s: tuple(np.array(v).T) for s, v in curves.items() if len(v) == n}


def test_the_dip_of_the_variable_star_is_measured_within_its_error(
    world: World, objects: Objects, forced_sources: Objects, skymap: Json
) -> None:
    flux, error = light_curves(world, objects, forced_sources, skymap)[VARIABLE]
    low = np.isin(np.arange(len(flux)), DIP_VISITS)
    depth = 1 - flux[low].mean() / flux[~low].mean()
    sigma = np.median(error / flux) * np.sqrt(1 / 3 + 1 / 3)
    assert sigma < 0.005
    assert abs(depth - DIP) < 3 * np.hypot(sigma, 0.001)


def test_stars_that_do_not_vary_scatter_by_their_errors(
    world: World, objects: Objects, forced_sources: Objects, skymap: Json
) -> None:
    curves = light_curves(world, objects, forced_sources, skymap)
    plain, total, n_free, levels = world.plain_stars(), 0.0, 0, []
    for star, (flux, error) in curves.items():
        mean = np.average(flux, weights=error**-2)
        if plain[star]:
            levels.append(mean / world.flux_njy[star])
        if plain[star] and np.median(flux / error) < 100:
            total += float(np.sum(((flux - mean) / error) ** 2))
            n_free += len(flux) - 1
    assert n_free > 300
    assert total / n_free == pytest.approx(1.0, abs=0.2)
    assert np.median(levels) == pytest.approx(1.0, abs=0.015)


def test_the_forced_aperture_holds_the_light_of_its_radius(
    world: World, objects: Objects, forced_sources: Objects, skymap: Json
) -> None:
    (name,) = (n for n in FORCED_SOURCE.names() if re.fullmatch(r"ap\d\dFlux", n))
    catalog = primaries(objects)
    distance, star = match(catalog, world, skymap)
    bright = (distance < 0.5) & (world.plain_stars() & (world.mag < 11.5))[star]
    of_object = dict(zip(catalog["objectId"][bright].tolist(), star[bright].tolist(), strict=True))
    for visit, own in zip(world.visits, forced_sources.values(), strict=True):
        keep = np.isin(own["objectId"], list(of_object)) & ~flag(own, f"{name}_flag")
        keep &= ~flag(own, "pixelFlags_edge")
        true = visit.nanojansky[[of_object[i] for i in own["objectId"][keep].tolist()]]
        share = aperture_share(float(name[2:4]), sigma=visit.sigma)
        share /= aperture_share(CALIBRATION_RADIUS, sigma=visit.sigma)
        assert keep.sum() > 40
        assert np.median(own[name][keep] / true) == pytest.approx(share, abs=0.012)


def test_only_objects_on_the_detector_are_measured(
    world: World, objects: Objects, forced_sources: Objects, joint: Joint
) -> None:
    catalog = primaries(objects)
    n_left_out = 0
    for visit, own in zip(world.visits, forced_sources.values(), strict=True):
        assert ((own["y"] > -0.5) & (own["y"] < SHAPE[0] - 0.5)).all()
        assert ((own["x"] > -0.5) & (own["x"] < SHAPE[1] - 0.5)).all()
        y, x = visit.wcs.sky_to_pixel(catalog["coord_ra"], catalog["coord_dec"])
        inner = (y > 0) & (y < SHAPE[0] - 1) & (x > 0) & (x < SHAPE[1] - 1)
        outer = (y < -1) | (y > SHAPE[0]) | (x < -1) | (x > SHAPE[1])
        measured = np.isin(catalog["objectId"], own["objectId"])
        assert measured[inner].all()
        assert not measured[outer].any()
        assert len(np.unique(own["objectId"])) == len(own)
        n_left_out += int(outer.sum())
    assert n_left_out > 0


def run_forced(
    calibrated: dict[DataId, calibrate.Outputs],
    summary: Json,
    objects: Objects,
    config: forced.Config | None = None,
) -> Catalog:
    key, made = next(iter(calibrated.items()))
    quantum = DataId(dict(key), skymap="sim", tract=0)
    inputs = forced.Inputs(made.visit_image, summary, objects)
    return forced.run(inputs, config or forced.Config(), quantum).forced_source


def test_a_detector_that_the_joint_fits_left_out_is_not_measured(
    calibrated: dict[DataId, calibrate.Outputs], objects: Objects
) -> None:
    with pytest.raises(NoWorkFound, match="left this detector out"):
        run_forced(calibrated, {"detectors": []}, objects)


def test_a_detector_without_objects_is_no_work(
    calibrated: dict[DataId, calibrate.Outputs], joint: Joint, objects: Objects
) -> None:
    summary = next(iter(joint.visit_summary.values()))
    key, catalog = next(iter(objects.items()))
    far = Catalog(OBJECT, {**catalog.columns, "coord_dec": catalog["coord_dec"] - 5.0})
    with pytest.raises(NoWorkFound, match="No object lies on this detector"):
        run_forced(calibrated, summary, {key: far})


def test_a_margin_leaves_out_the_rim(
    calibrated: dict[DataId, calibrate.Outputs], joint: Joint, objects: Objects
) -> None:
    summary = next(iter(joint.visit_summary.values()))
    every = run_forced(calibrated, summary, objects)
    inner = run_forced(calibrated, summary, objects, forced.Config(margin_pix=30.0))
    y, x = every["y"], every["x"]
    ny, nx = SHAPE
    keep = (y > 29.5) & (y < ny - 30.5) & (x > 29.5) & (x < nx - 30.5)
    assert 0 < len(inner) < len(every)
    assert set(inner["objectId"]) == set(every["objectId"][keep])


def test_tables_hold_every_row_in_order(
    calibrated: dict[DataId, calibrate.Outputs],
    objects: Objects,
    forced_sources: Objects,
    all_tables: tables.Outputs,
) -> None:
    assert len(all_tables.source_table) == sum(len(m.source) for m in calibrated.values())
    assert (np.diff(all_tables.source_table["sourceId"]) > 0).all()
    assert len(all_tables.object_table) == sum(len(o) for o in objects.values())
    assert (np.diff(all_tables.object_table["objectId"]) > 0).all()
    table = all_tables.forced_source_table
    assert len(table) == sum(len(f) for f in forced_sources.values())
    keys = list(zip(table["objectId"].tolist(), table["visit"].tolist(), strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_tables_do_not_depend_on_the_order_of_their_inputs(
    calibrated: dict[DataId, calibrate.Outputs],
    joint: Joint,
    objects: Objects,
    forced_sources: Objects,
    all_tables: tables.Outputs,
) -> None:
    inputs = tables.Inputs(
        {k: calibrated[k].source for k in reversed(calibrated)},
        {k: objects[k] for k in reversed(objects)},
        {k: forced_sources[k] for k in reversed(forced_sources)},
        {k: joint.visit_summary[k] for k in reversed(joint.visit_summary)},
    )
    again = tables.run(inputs, tables.Config(), TRACT_ID)
    for name in ("source_table", "object_table", "forced_source_table", "visit_table"):
        one, other = getattr(all_tables, name), getattr(again, name)
        for column in one.columns:
            np.testing.assert_array_equal(one.columns[column], other.columns[column])


def test_a_visit_row_follows_from_its_summary(
    world: World, joint: Joint, all_tables: tables.Outputs
) -> None:
    table = all_tables.visit_table
    assert table["visit"].tolist() == [v.number for v in world.visits]
    for i, visit in enumerate(world.visits):
        own = joint.visit_summary[DataId(instrument="st10", visit=visit.number)]["detectors"][0]
        calib = own["photo_calib"]
        shift = -2.5 * np.log10(calib["scale"])
        assert table["zeroPoint"][i] == pytest.approx(own["zero_point_mag"] + shift)
        assert table["magLim"][i] == pytest.approx(own["magnitude_limit"] + shift)
        njy = 10 ** (0.4 * (31.4 - table["zeroPoint"][i]))
        assert table["skyBg"][i] == pytest.approx(visit.sky * njy, rel=0.01)
        assert table["skyNoise"][i] == pytest.approx(own["sky_noise_electron"] * njy)
        error = 1.0857362 * calib["scale_err"] / calib["scale"]
        assert table["zeroPointErr"][i] == pytest.approx(error, rel=1e-6)
        mid = table["expMidptMjd"][i]
        assert (mid - table["obsStartMjd"][i]) * 86400 == pytest.approx(22.5, abs=1e-4)
        ra, dec = visit.wcs.pixel_to_sky(y=(SHAPE[0] - 1) / 2, x=(SHAPE[1] - 1) / 2)
        assert table["ra"][i] == pytest.approx(float(ra), abs=2e-3)
        assert table["dec"][i] == pytest.approx(float(dec), abs=2e-3)
        scale = SkyWcs.from_json_dict(own["wcs"]).pixel_scale_arcsec
        assert table["pixelScale"][i] == scale
        assert table["seeing"][i] == pytest.approx(2.3548 * own["psf_sigma_pix"] * scale, rel=0.01)


def test_the_centre_of_a_detector_across_ra_zero_is_near_zero(joint: Joint) -> None:
    key, summary = next(iter(joint.visit_summary.items()))
    across = [[359.9, 10.0], [0.3, 10.0], [0.3, 10.2], [359.9, 10.2]]
    moved = {**summary, "detectors": [{**summary["detectors"][0], "corners": across}]}
    made = tables.run(tables.Inputs({}, {}, {}, {key: moved}), tables.Config(), TRACT_ID)
    assert made.visit_table["ra"][0] == pytest.approx(0.1)
    assert made.visit_table["dec"][0] == pytest.approx(10.1)


def test_a_figure_that_is_not_known_is_nan_in_the_visit_table(joint: Joint) -> None:
    key, summary = next(iter(joint.visit_summary.items()))
    unknown = {**summary["detectors"][0], "magnitude_limit": None}
    inputs = tables.Inputs({}, {}, {}, {key: {**summary, "detectors": [unknown]}})
    made = tables.run(inputs, tables.Config(), TRACT_ID)
    assert np.isnan(made.visit_table["magLim"]).all()
    assert np.isfinite(made.visit_table["zeroPoint"]).all()


def test_the_object_table_can_leave_out_what_is_there_twice(objects: Objects, joint: Joint) -> None:
    inputs = tables.Inputs({}, objects, {}, joint.visit_summary)
    made = tables.run(inputs, tables.Config(only_primary=True), TRACT_ID)
    kept = primaries(objects)
    assert made.object_table["objectId"].tolist() == sorted(kept["objectId"].tolist())
    assert len(kept) < len(all_objects(objects))
