from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.aperture import measure_apertures
from lsstpipe.algorithms.centroid import measure_centroids
from lsstpipe.algorithms.coadd_psf import CellGrid, cell_shares
from lsstpipe.algorithms.moments import measure_moments
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_match import gaussian_stamp
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.skymap import PatchGrid, SkyMap, Tract
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.photocalib import photo_calib_from_json
from lsstpipe.image.psf import CellPsf
from lsstpipe.tasks import assemble, calibrate, warp
from lsstpipe.tasks.base import Json
from tests.peak_memory import measure_peak
from tests.tasks.conftest import STAINED_VISIT, Coadds, Joint
from tests.tasks.simulated_world import (
    CALIBRATION_RADIUS,
    CENTRE,
    N_VISITS,
    SCALE_ARCSEC,
    World,
)

Calibrated = dict[DataId, calibrate.Outputs]
Image = npt.NDArray[np.float64]


def planes_of(exposure: Exposure) -> Planes:
    box = exposure.box
    return Planes(exposure.image, exposure.variance, exposure.mask, box.y0, box.x0)


def tract_of(skymap: Json) -> Tract:
    return SkyMap.from_json_dict(skymap).tracts[0]


def bright_stars(
    world: World, exposure: Exposure, skymap: Json, limit: float = 10.5
) -> tuple[Image, Image, npt.NDArray[np.int64]]:
    """Find the bright plain stars that are well inside of a patch and of every visit."""
    y, x = tract_of(skymap).wcs.sky_to_pixel(world.ra, world.dec)
    good = world.plain_stars() & (world.mag < limit)
    good &= exposure.box.grown(-25).contains(y=y, x=x)
    for visit in world.visits:
        good &= visit.inside(25)
    return y[good], x[good], np.flatnonzero(good)


def empty_sky(world: World, exposure: Exposure, skymap: Json) -> npt.NDArray[np.bool_]:
    """Find the pixels that are far from all stars."""
    box = exposure.box
    y, x = tract_of(skymap).wcs.sky_to_pixel(world.ra, world.dec)
    far = np.isfinite(exposure.image)
    for a, b in zip(
        np.round(y).astype(int) - box.y0, np.round(x).astype(int) - box.x0, strict=True
    ):
        if a > -16 and b > -16:
            far[max(a - 15, 0) : a + 16, max(b - 15, 0) : b + 16] = False
    return far


@pytest.mark.parametrize("index", [0, 5])
def test_a_warp_keeps_flux_and_moves_stars_to_their_places(
    world: World, calibrated: Calibrated, joint: Joint, coadds: Coadds, skymap: Json, index: int
) -> None:
    visit = world.visits[index]
    warped = list(coadds.warps[0].values())[index]
    y, x, star = bright_stars(world, warped, skymap)
    assert len(star) > 15
    image = calibrated[visit.data_id].visit_image
    summary = joint.visit_summary[visit.data_id.subset(("instrument", "visit"))]
    factor = photo_calib_from_json(summary["detectors"][0]["photo_calib"])
    y_own, x_own = visit.y[star], visit.x[star]
    before = measure_apertures(planes_of(image), y=y_own, x=x_own, radii=(9.0,))
    after = measure_apertures(planes_of(warped), y=y, x=x, radii=(9.0,))
    whole = ~before.has_masked[:, 0] & ~after.has_masked[:, 0]
    assert whole.sum() > 10
    ratio = (after.flux / before.flux)[whole, 0] / factor.factor(y=y_own, x=x_own)[whole]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.002)
    assert np.abs(ratio - 1).max() < 0.005
    found = measure_centroids(planes_of(warped), y=y, x=x, psf_sigma=visit.sigma)
    assert np.median(np.hypot(found.y - y, found.x - x)) < 0.05


def test_warps_are_on_the_pixels_and_the_sky_of_their_patch(coadds: Coadds, skymap: Json) -> None:
    tract = tract_of(skymap)
    for patch, warps in coadds.warps.items():
        for warped in warps.values():
            assert warped.box == tract.patch(patch).outer
            assert warped.wcs == tract.wcs
            assert warped.unit == "nJy"
            assert (has(warped.mask, MaskPlane.NO_DATA) == ~np.isfinite(warped.image)).all()


def one_warp(
    calibrated: Calibrated, joint: Joint, skymap: Json, *, config: warp.Config | None = None
) -> Exposure:
    key, made = next(iter(calibrated.items()))
    quantum = DataId(instrument="st10", skymap="sim", tract=0, patch=0, visit=key["visit"])
    summary = joint.visit_summary[key.subset(("instrument", "visit"))]
    inputs = warp.Inputs({key: made.visit_image}, summary, skymap)
    return warp.run(inputs, config or warp.Config(), quantum).direct_warp


def test_a_visit_that_does_not_reach_the_patch_is_no_work(
    calibrated: Calibrated, joint: Joint
) -> None:
    grid = PatchGrid(1, 1, 200, 200, 0)
    elsewhere = SkyMap.discrete("sim", [(CENTRE[0], CENTRE[1] + 2)], SCALE_ARCSEC, grid)
    with pytest.raises(NoWorkFound, match="No usable detector of the visit reaches this patch"):
        one_warp(calibrated, joint, elsewhere.to_json_dict())


def test_a_visit_that_the_joint_fits_left_out_is_no_work(
    calibrated: Calibrated, joint: Joint, skymap: Json
) -> None:
    empty = {key: {**own, "detectors": []} for key, own in joint.visit_summary.items()}
    with pytest.raises(NoWorkFound):
        one_warp(calibrated, replace(joint, visit_summary=empty), skymap)


def test_a_visit_with_too_wide_a_psf_is_no_work(
    calibrated: Calibrated, joint: Joint, skymap: Json
) -> None:
    with pytest.raises(NoWorkFound):
        one_warp(calibrated, joint, skymap, config=warp.Config(max_psf_fwhm_pix=2.5))


def cells_of(exposure: Exposure) -> Image:
    assert isinstance(exposure.psf, CellPsf)
    return exposure.psf.images


def test_a_second_detector_fills_what_the_first_leaves_empty_and_gives_its_psf_there(
    calibrated: Calibrated, joint: Joint
) -> None:
    """Give one image to two detectors of other PSFs that lie 600 pixels apart on the sky."""
    key, made = next(iter(calibrated.items()))
    grid = PatchGrid(1, 1, 120, 1400, 0)
    tract = SkyMap.discrete("sim", [CENTRE], SCALE_ARCSEC, grid).to_json_dict()
    own = joint.visit_summary[key.subset(("instrument", "visit"))]["detectors"][0]
    crpix = own["wcs"]["crpix"]
    shifted = {**own, "detector": 1, "wcs": {**own["wcs"], "crpix": [crpix[0], crpix[1] + 600]}}
    shifted["psf_sigma_pix"] = 2.0
    beside = DataId(instrument="st10", visit=key["visit"], detector=1)
    quantum = DataId(instrument="st10", skymap="sim", tract=0, patch=0, visit=key["visit"])
    wide = CellPsf(gaussian_stamp(2.0, 25)[None, None], 0, 0, 4096)
    images = {key: made.visit_image, beside: replace(made.visit_image, psf=wide)}

    def run(*parts: tuple[DataId, Json]) -> Exposure:
        summary = {"detectors": [own for _, own in parts]}
        inputs = warp.Inputs({k: images[k] for k, _ in parts}, summary, tract)
        return warp.run(inputs, warp.Config(), quantum).direct_warp

    first, second = run((key, own)), run((beside, shifted))
    both = run((key, own), (beside, shifted))
    expected = np.where(np.isfinite(first.image), first.image, second.image)
    assert np.array_equal(both.image, expected, equal_nan=True)
    filled = np.isfinite(both.image)
    assert filled.sum() > np.isfinite(first.image).sum() + 10_000
    assert (np.isfinite(both.variance) == filled).all()
    fills = np.stack([np.isfinite(first.image), filled & ~np.isfinite(first.image)])
    shares = cell_shares(fills, CellGrid(both.box, 128))[:, :, :, None, None]
    assert (shares > 0).all(axis=0).any()
    reached = shares.sum(axis=(0, 3, 4)) > 0
    alone = np.stack([cells_of(first)[reached], cells_of(second)[reached]])
    mean = (shares[:, reached] * alone).sum(axis=0) / shares[:, reached].sum(axis=0)
    assert np.abs(alone[0] - alone[1]).max() > 0.2 * mean.max()
    assert np.abs(cells_of(both)[reached] - mean).max() < 2e-3 * mean.max()
    widths = [float(one.metadata["psf_sigma_pix"]) for one in (first, both, second)]
    assert widths == sorted(set(widths))


def test_a_detector_gives_no_psf_to_a_cell_where_none_of_its_pixels_is_averaged(
    calibrated: Calibrated, joint: Joint, skymap: Json
) -> None:
    """Two detectors of other PSFs side by side; all pixels of the first are BAD."""
    key, made = next(iter(calibrated.items()))
    own = joint.visit_summary[key.subset(("instrument", "visit"))]["detectors"][0]
    quantum = DataId(instrument="st10", skymap="sim", tract=0, patch=0, visit=key["visit"])
    beside = DataId(instrument="st10", visit=key["visit"], detector=1)
    image = made.visit_image
    columns = np.arange(image.image.shape[1])
    border = image.image.shape[1] * 3 // 4
    left, right = (np.where(on, image.image, np.nan).astype(np.float32) for on in
                   (columns < border, columns >= border))  # fmt: skip
    wide = CellPsf(gaussian_stamp(2.0, 25)[None, None], 0, 0, 4096)
    bad = np.full_like(image.mask, int(MaskPlane.BAD))
    images = {
        key: replace(image, image=left, mask=bad),
        beside: replace(image, image=right, psf=wide),
    }

    def run(*keys: DataId) -> Exposure:
        summary = {"detectors": [{**own, "detector": k["detector"]} for k in keys]}
        inputs = warp.Inputs({k: images[k] for k in keys}, summary, skymap)
        return warp.run(inputs, warp.Config(), quantum).direct_warp

    first, second, both = run(key), run(beside), run(key, beside)
    fills = np.stack([np.isfinite(first.image), np.isfinite(second.image)])
    in_first, in_second = cell_shares(fills, CellGrid(both.box, 128)) > 0
    assert (in_first & in_second).any()
    assert (in_first & ~in_second).any()
    for cells, alone in ((in_second, second), (in_first & ~in_second, first)):
        np.testing.assert_allclose(cells_of(both)[cells], cells_of(alone)[cells], atol=1e-12)


def stained(
    world: World, coadds: Coadds, exposure: Exposure, skymap: Json
) -> npt.NDArray[np.int64]:
    """Find the pixels of a patch that the artefact fell on."""
    rows, columns = np.nonzero(coadds.stain)
    ra, dec = world.visits[STAINED_VISIT].wcs.pixel_to_sky(y=rows, x=columns)
    y, x = tract_of(skymap).wcs.sky_to_pixel(ra, dec)
    inside = exposure.box.grown(-3).contains(y=y, x=x)
    pixels = np.stack([np.round(y) - exposure.box.y0, np.round(x) - exposure.box.x0], axis=1)
    return pixels[inside].astype(np.int64)


def test_an_artefact_of_one_visit_does_not_reach_the_coadd(
    world: World, coadds: Coadds, skymap: Json
) -> None:
    n_pixels = 0
    for patch, (key, coadd) in enumerate(coadds.coadds.items()):
        pixel = stained(world, coadds, coadd, skymap)
        n_pixels += len(pixel)
        if len(pixel) == 0:
            continue
        warped = list(coadds.warps[patch].values())[STAINED_VISIT].image[*pixel.T]
        noise = np.sqrt(coadd.variance[*pixel.T])
        assert np.median(warped / noise) > 40
        assert np.abs(coadd.image[*pixel.T] / noise).max() < 5
        assert has(coadd.mask, MaskPlane.CLIPPED)[*pixel.T].all()
        assert (coadds.n_images[key].image[*pixel.T] == N_VISITS - 1).mean() > 0.9
    assert n_pixels >= 10


def test_stars_are_not_clipped(world: World, coadds: Coadds, skymap: Json) -> None:
    for coadd in coadds.coadds.values():
        y, x, _ = bright_stars(world, coadd, skymap, limit=13.0)
        row, column = np.round(y).astype(int) - coadd.box.y0, np.round(x).astype(int) - coadd.box.x0
        assert not has(coadd.mask, MaskPlane.CLIPPED)[row, column].any()
        assert has(coadd.mask, MaskPlane.CLIPPED).mean() < 0.003


def test_the_n_image_counts_the_warps_of_a_pixel(coadds: Coadds) -> None:
    wrong = MaskPlane.BAD | MaskPlane.SAT | MaskPlane.CR | MaskPlane.NO_DATA | MaskPlane.CLIPPED
    for patch, (key, coadd) in enumerate(coadds.coadds.items()):
        warps = coadds.warps[patch].values()
        brute = np.sum([np.isfinite(w.image) & (w.mask == 0) for w in warps], axis=0)
        plain = ~has(coadd.mask, wrong) & ~has(coadd.mask, MaskPlane.INTRP)
        at_most = np.sum([np.isfinite(w.image) for w in warps], axis=0)
        count = coadds.n_images[key].image
        clean = plain & (brute == at_most)
        assert clean.mean() > 0.9
        assert (count[clean] == brute[clean]).all()
        assert (count <= at_most).all()
        assert coadds.n_images[key].unit == "count"
        assert coadd.metadata["n_warps"] == N_VISITS


def test_the_coadd_is_as_deep_as_all_warps_together(
    world: World, coadds: Coadds, skymap: Json
) -> None:
    key = next(iter(coadds.coadds))
    coadd, warps = coadds.coadds[key], list(coadds.warps[0].values())
    sky = empty_sky(world, coadd, skymap) & (coadds.n_images[key].image == N_VISITS)
    sky &= coadd.mask == 0
    noise = [w.image[sky & (w.mask == 0)].std() for w in warps]
    expected = 1 / np.sqrt(np.sum(1 / np.square(noise)))
    assert coadd.image[sky].std() == pytest.approx(expected, rel=0.04)
    # The errors hold the covariance that resampling makes, so a pixel scatters by less.
    factor = np.mean([float(w.metadata["variance_factor"]) for w in warps])
    pull = coadd.image[sky] / np.sqrt(coadd.variance[sky])
    assert 0.9 < pull.std() * np.sqrt(factor) < 1.1


def test_the_psf_of_the_coadd_is_that_of_its_stars(
    world: World, coadds: Coadds, skymap: Json
) -> None:
    for coadd in coadds.coadds.values():
        assert coadd.psf is not None
        y, x, _ = bright_stars(world, coadd, skymap)
        moments = measure_moments(planes_of(coadd), y=y, x=x, psf_sigma=1.4)
        measured = np.sqrt((moments.iyy + moments.ixx) / 2)
        model = np.array([coadd.psf.sigma(y=a, x=b) for a, b in zip(y, x, strict=True)])
        assert np.nanmedian(measured / model) == pytest.approx(1.0, abs=0.02)


def test_fluxes_on_the_coadd_are_the_true_ones(world: World, coadds: Coadds, skymap: Json) -> None:
    for coadd in coadds.coadds.values():
        y, x, star = bright_stars(world, coadd, skymap)
        radii = (CALIBRATION_RADIUS,)
        flux = measure_apertures(planes_of(coadd), y=y, x=x, radii=radii).flux[:, 0]
        assert np.median(flux / world.flux_njy[star]) == pytest.approx(1.0, abs=0.015)


def test_too_few_warps_are_no_work(coadds: Coadds) -> None:
    quantum = next(iter(coadds.coadds))
    with pytest.raises(NoWorkFound, match="6 warps; at least 7 are worth averaging"):
        assemble.run(assemble.Inputs(coadds.warps[0]), assemble.Config(min_warps=7), quantum)


def test_no_visit_alone_displaces_the_coadd(coadds: Coadds) -> None:
    for summary in coadds.summaries.values():
        assert summary["displaced"]["n_footprints"] == 0
        assert summary["displaced"]["n_judged"] > 0.8 * summary["displaced"]["n_covered"]


def test_planted_artefacts_are_removed(coadds: Coadds) -> None:
    for kind in range(3):
        found = [summary["planted"][kind] for summary in coadds.summaries.values()]
        n_pixels = sum(own["n_pixels"] for own in found)
        assert n_pixels > 100
        assert sum(own["n_removed"] for own in found) > 0.95 * n_pixels


def test_planting_artefacts_leaves_the_coadd_as_it_is(coadds: Coadds) -> None:
    quantum = next(iter(coadds.coadds))
    config = assemble.Config(plant_artifacts=False)
    bare = assemble.run(assemble.Inputs(coadds.warps[0]), config, quantum)
    assert np.array_equal(bare.deep_coadd.image, coadds.coadds[quantum].image, equal_nan=True)
    assert np.array_equal(bare.deep_coadd.mask, coadds.coadds[quantum].mask)
    assert bare.deep_coadd_summary == coadds.summaries[quantum] | {"planted": []}


def test_two_warps_are_averaged_without_a_search_for_artefacts(coadds: Coadds) -> None:
    two = dict(list(coadds.warps[0].items())[:2])
    made = assemble.run(assemble.Inputs(two), assemble.Config(), next(iter(coadds.coadds)))
    assert made.deep_coadd.metadata["n_clipped_pixels"] == 0
    assert made.deep_coadd_summary["planted"] == []
    a, b = two.values()
    both = (a.mask == 0) & (b.mask == 0)
    low, high = np.minimum(a.image, b.image)[both], np.maximum(a.image, b.image)[both]
    mean, slack = made.deep_coadd.image[both], 1e-4 * (np.abs(low) + np.abs(high))
    assert ((mean >= low - slack) & (mean <= high + slack)).all()


def coadd_of(images: npt.NDArray[np.float32]) -> assemble.Outputs:
    """Assemble noise of one PSF, one warp for each image."""
    wcs = SkyMap.discrete("sim", [CENTRE], SCALE_ARCSEC, PatchGrid(1, 1, 10, 10, 0)).tracts[0].wcs
    psf = CellPsf(np.tile(gaussian_stamp(1.3, 25), (3, 3, 1, 1)), 0, 0, 128)
    figures = {
        "variance_factor": 1.0, "psf_sigma_pix": 1.3, "widest_psf_sigma_pix": 1.3,
        "aperture_correction": 1.0,
    }  # fmt: skip
    warps = {
        DataId(instrument="st10", skymap="sim", tract=0, patch=0, band="r", visit=i): Exposure(
            image=image, mask=np.zeros(image.shape, np.int32), variance=np.ones_like(image),
            box=Box(0, 0, *image.shape), unit="nJy", psf=psf, wcs=wcs, metadata=figures,
        )
        for i, image in enumerate(images)
    }  # fmt: skip
    data_id = DataId(instrument="st10", skymap="sim", tract=0, patch=0, band="r")
    return assemble.run(assemble.Inputs(warps), assemble.Config(), data_id)


def test_a_warp_takes_no_more_memory_than_it_did(rng: np.random.Generator) -> None:
    """The plan asks for 60 bytes a pixel and warp; two numbers of warps leave the patch's out."""
    images = rng.normal(size=(12, 380, 380)).astype(np.float32)
    few, many = (measure_peak(coadd_of, images[:n]) for n in (6, 12))
    assert (many - few) / images[6:].size < 50
