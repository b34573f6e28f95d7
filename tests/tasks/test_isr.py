from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks import calibrate, isr
from tests.tasks.conftest import Calibs
from tests.tasks.simulated_world import (
    DEAD_SPOT,
    DETECTOR,
    RAY_VISIT,
    SATURATED,
    SHAPE,
    World,
    draw_stars,
    make_info,
)


def first_raw(world: World) -> tuple[DataId, Exposure]:
    return world.visits[0].data_id, next(iter(world.raws.values()))


@pytest.mark.parametrize("index", [0, RAY_VISIT])
def test_the_image_is_the_true_light_with_the_noise_that_it_claims(
    world: World, post_isr: dict[DataId, Exposure], index: int
) -> None:
    visit = world.visits[index]
    image = post_isr[visit.data_id]
    light = visit.sky + draw_stars(SHAPE, y=visit.y, x=visit.x, flux=visit.flux, sigma=visit.sigma)
    good = (image.mask == 0) & ~visit.ray
    residual = (image.image - light)[good]
    assert abs(residual.mean()) < 2e-3 * visit.sky
    pull = residual / np.sqrt(image.variance[good])
    # Each frame is a sixth of its own flat, which takes some of its noise away.
    assert np.sqrt(1 - 1 / 6) < pull.std() < 1.05
    assert image.unit == "electron"


def test_saturated_pixels_are_grown_by_one_in_all_directions(
    world: World, post_isr: dict[DataId, Exposure]
) -> None:
    key, raw = first_raw(world)
    full = np.pad(raw.image >= DETECTOR.saturation_adu, 1)
    ny, nx = SHAPE
    grown = np.zeros(SHAPE, dtype=bool)
    for dy in range(3):
        for dx in range(3):
            grown |= full[dy : dy + ny, dx : dx + nx]
    found = has(post_isr[key].mask, MaskPlane.SAT)
    assert (found == grown).all()
    visit = world.visits[0]
    assert found[round(visit.y[SATURATED]), round(visit.x[SATURATED])]
    assert post_isr[key].metadata["n_saturated_pixels"] == full.sum()


def test_hot_and_dead_pixels_are_bad(world: World, post_isr: dict[DataId, Exposure]) -> None:
    image = post_isr[world.visits[0].data_id]
    bad = has(image.mask, MaskPlane.BAD)
    assert bad[world.hot].all()
    assert bad[DEAD_SPOT].all()
    assert image.metadata["n_bad_pixels"] == bad.sum() < 1e-3 * bad.size


def test_without_a_flat_the_response_stays_in(world: World, calibs: Calibs) -> None:
    key, raw = first_raw(world)
    inputs = isr.Inputs(raw, None, calibs.dark, calibs.defects.mask, None)
    image = isr.run(inputs, isr.Config(), key).post_isr_image
    corner = (slice(5, 45), slice(5, 45))
    expected = world.visits[0].sky * world.response[corner].mean()
    assert np.median(image.image[corner]) == pytest.approx(expected, rel=0.01)
    assert np.median(image.image[corner]) < 0.97 * world.visits[0].sky


def test_without_the_noise_of_a_flat_the_errors_are_those_of_photons_and_camera(
    world: World, calibs: Calibs
) -> None:
    key, raw = first_raw(world)
    visit = world.visits[0]
    inputs = isr.Inputs(raw, None, calibs.dark, calibs.defects.mask, None)
    image = isr.run(inputs, isr.Config(), key).post_isr_image
    light = visit.sky + draw_stars(SHAPE, y=visit.y, x=visit.x, flux=visit.flux, sigma=visit.sigma)
    good = image.mask == 0
    pull = (image.image - light * world.response)[good] / np.sqrt(image.variance[good])
    assert 0.98 < pull.std() < 1.03
    assert abs(pull.mean()) < 0.03


def test_without_growth_the_saturated_pixels_are_those_of_the_raw(
    world: World, calibs: Calibs
) -> None:
    key, raw = first_raw(world)
    inputs = isr.Inputs(raw, None, calibs.dark, calibs.defects.mask, calibs.flat)
    image = isr.run(inputs, isr.Config(saturation_growth_pix=0), key).post_isr_image
    assert (has(image.mask, MaskPlane.SAT) == has(raw.mask, MaskPlane.SAT)).all()


def test_the_raw_is_left_as_it_was(world: World, calibs: Calibs) -> None:
    key, raw = first_raw(world)
    mask, image = raw.mask.copy(), raw.image.copy()
    isr.run(isr.Inputs(raw, None, calibs.dark, calibs.defects.mask, calibs.flat), isr.Config(), key)
    assert (raw.mask == mask).all()
    assert (raw.image == image).all()


def test_a_dark_of_another_exposure_time_is_refused(world: World, calibs: Calibs) -> None:
    key, raw = first_raw(world)
    longer = replace(raw, info=make_info(1, "science", exposure_s=60.0))
    inputs = isr.Inputs(longer, None, calibs.dark, calibs.defects.mask, calibs.flat)
    with pytest.raises(AlgorithmError, match="dark is of 45 s, the exposure of 60 s"):
        isr.run(inputs, isr.Config(), key)


def test_a_frame_that_is_mostly_without_values_is_given_up(world: World, calibs: Calibs) -> None:
    key, raw = first_raw(world)
    mask = raw.mask.copy()
    mask[: int(0.6 * SHAPE[0])] |= MaskPlane.UNMASKEDNAN | MaskPlane.BAD
    inputs = isr.Inputs(
        replace(raw, mask=mask), None, calibs.dark, calibs.defects.mask, calibs.flat
    )
    with pytest.raises(AlgorithmError, match=r"60% of the pixels have no value; at most 50% may"):
        isr.run(inputs, isr.Config(), key)


def test_trails_are_widened_before_they_are_grown(world: World, calibs: Calibs) -> None:
    key, raw = first_raw(world)
    wide = replace(raw, mask=raw.mask.copy())
    wide.mask[400, 500:510] |= MaskPlane.SAT
    inputs = isr.Inputs(wide, None, calibs.dark, calibs.defects.mask, calibs.flat)
    for widen, more in ((True, 4), (False, 0)):
        config = isr.Config(widen_saturation_trails=widen)
        full = has(isr.run(inputs, config, key).post_isr_image.mask, MaskPlane.SAT)
        row = np.flatnonzero(full[401, 480:530]) + 480
        assert row.tolist() == list(range(499 - more, 511 + more))


def test_every_pixel_that_was_not_measured_is_replaced_and_flagged_so_and_no_other(
    world: World,
    post_isr: dict[DataId, Exposure],
    calibrated: dict[DataId, calibrate.Outputs],
) -> None:
    for key, made in calibrated.items():
        lost = MaskPlane.BAD | MaskPlane.SAT
        mask = made.visit_image.mask
        assert (has(mask, lost) == has(post_isr[key].mask, lost)).all()
        assert (has(mask, MaskPlane.INTRP) == has(mask, lost | MaskPlane.CR)).all()
