from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks import dark, defects, flat
from tests.tasks.conftest import DETECTOR_ID, Calibs
from tests.tasks.simulated_world import DEAD_SPOT, DETECTOR, World, make_info


def first(mapping: dict[DataId, Exposure], n: int) -> dict[DataId, Exposure]:
    return dict(list(mapping.items())[:n])


def test_the_master_dark_is_the_true_dark_within_its_errors(world: World, calibs: Calibs) -> None:
    residual = calibs.dark.image - world.dark
    typical = ~world.hot
    assert abs(residual[typical].mean()) < 1.0
    pull = (residual - residual[typical].mean())[typical] / np.sqrt(calibs.dark.variance[typical])
    assert 0.95 < pull.std() < 1.15
    assert calibs.dark.unit == "electron"


def test_cosmic_rays_of_single_darks_leave_no_trace(world: World, calibs: Calibs) -> None:
    hit = np.zeros(world.dark.shape, dtype=bool)
    hit[100:200:20, 50:70] = True
    residual = (calibs.dark.image - world.dark)[hit & ~world.hot & ~world.warm]
    assert abs(residual.mean()) < 5.0
    assert residual.max() < 60.0


def test_the_dark_tells_its_read_noise_and_its_drift(calibs: Calibs) -> None:
    metadata = calibs.dark.metadata
    with_current = np.hypot(DETECTOR.read_noise, np.sqrt(130.0))
    assert metadata["n_inputs"] == 5
    assert metadata["read_noise_electron"] == pytest.approx(with_current, rel=0.1)
    drift = float(metadata["level_last_electron"]) - float(metadata["level_first_electron"])
    assert drift == pytest.approx(16.0, abs=1.3)


def test_a_pixel_saturated_on_all_darks_is_bad(world: World) -> None:
    stuck = {
        key: replace(raw, mask=raw.mask.copy()) for key, raw in first(world.raw_darks, 3).items()
    }
    for raw in stuck.values():
        raw.mask[5, 7] |= MaskPlane.SAT
    made = dark.run(dark.Inputs(stuck, None), dark.Config(), DETECTOR_ID).dark
    assert np.argwhere(has(made.mask, MaskPlane.BAD)).tolist() == [[5, 7]]
    assert np.isfinite(made.image).all()


def test_two_darks_are_too_few(world: World) -> None:
    with pytest.raises(AlgorithmError, match="at least 3 darks, got 2"):
        dark.run(dark.Inputs(first(world.raw_darks, 2), None), dark.Config(), DETECTOR_ID)


def test_darks_of_different_exposure_times_are_not_mixed(world: World) -> None:
    mixed = first(world.raw_darks, 3)
    key = next(iter(mixed))
    mixed[key] = replace(mixed[key], info=make_info(1, "dark", exposure_s=60.0))
    with pytest.raises(AlgorithmError, match="got 45 to 60 s"):
        dark.run(dark.Inputs(mixed, None), dark.Config(), DETECTOR_ID)


def test_every_hot_pixel_is_a_defect_and_no_warm_one(world: World, calibs: Calibs) -> None:
    bad = has(calibs.defects.mask, MaskPlane.BAD)
    assert bad[world.hot].all()
    assert not bad[world.warm].any()
    assert (bad & ~world.hot).sum() < 1e-4 * bad.size
    counted = int(calibs.defects.metadata["n_hot"]) + int(calibs.defects.metadata["n_unsteady"])
    assert counted == bad.sum()


def test_a_pixel_that_blinks_is_a_defect(world: World) -> None:
    blinking = {key: replace(raw, image=raw.image.copy()) for key, raw in world.raw_darks.items()}
    for i, raw in enumerate(blinking.values()):
        raw.image[222, 333] += (150.0, -150.0, 120.0, -130.0, 0.0)[i]
    made = dark.run(dark.Inputs(blinking, None), dark.Config(), DETECTOR_ID)
    assert has(made.dark.mask, MaskPlane.SUSPECT)[222, 333]
    bad = defects.run(defects.Inputs(None, made.dark), defects.Config(), DETECTOR_ID).defects
    assert has(bad.mask, MaskPlane.BAD)[222, 333]


def test_the_flat_is_the_true_response(world: World, calibs: Calibs) -> None:
    good = ~has(calibs.flat.mask, MaskPlane.BAD) & ~has(calibs.defects.mask, MaskPlane.BAD)
    ratio = np.where(good, calibs.flat.image / world.response, 1.0)
    predicted = np.sqrt(np.median(calibs.flat.variance))
    assert ratio[good].std() < 1.05 * predicted < 0.35 * world.response.std()
    smooth = ndimage.uniform_filter(ratio, 64)
    assert np.ptp(smooth) < 0.01
    assert calibs.flat.image[good].mean() == pytest.approx(1.0, abs=1e-3)


def test_a_dead_spot_is_bad_on_the_flat_and_divides_by_one(calibs: Calibs) -> None:
    bad = has(calibs.flat.mask, MaskPlane.BAD)
    assert bad[DEAD_SPOT].all()
    assert calibs.flat.metadata["n_bad"] == 9
    assert (calibs.flat.image[bad] == 1.0).all()


def test_four_exposures_are_too_few_for_a_sky_flat(world: World, calibs: Calibs) -> None:
    inputs = flat.Inputs(first(world.raws, 4), None, calibs.dark, calibs.defects.mask)
    with pytest.raises(AlgorithmError, match="at least 5 dithered exposures, got 4"):
        flat.run(inputs, flat.Config(), DETECTOR_ID)
