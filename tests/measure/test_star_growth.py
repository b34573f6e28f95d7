"""Stars that the brighter-fatter effect has made larger, and what is left after its correction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel, correct_brighter_fatter
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.measure.signature_truth import brighter_fatter_removal
from lsstpipe.measure.star_growth import join_growth, measure_growth, push_aside
from lsstpipe.measure.visit_truth import VisitTruth
from tests.measure.simulated_truth import PLACED, SCALE, SHAPE, make_image, make_truth

FULL_WELL = 1e5
FLAT = np.ones(SHAPE, np.float32)
KERNEL = -7e-7 * (1.0 + np.add.outer(np.arange(-4, 5) ** 2, np.arange(-4, 5) ** 2)) ** -1.5


@pytest.fixture(scope="module")
def truth() -> VisitTruth:
    """Stars with up to 80 % of the full well in their brightest pixel."""
    rng = np.random.default_rng(5)
    faint = make_truth(rng)
    columns = dict(faint.placed.columns)
    columns["electrons"] = 10 ** rng.uniform(5.0, 6.05, len(faint.placed))
    return replace(faint, placed=Catalog(PLACED, columns))


@pytest.fixture(scope="module")
def clean(truth: VisitTruth) -> Exposure:
    return make_image(np.random.default_rng(6), truth)


def pushed(clean: Exposure, truth: VisitTruth, share: float) -> npt.NDArray[np.float32]:
    charge = clean.image.astype(np.float64) / SCALE + truth.sky_electron
    return push_aside(charge, share * KERNEL).astype(np.float32)


def removed(
    image: npt.NDArray[np.float32], clean: Exposure, truth: VisitTruth
) -> tuple[float, float]:
    exposure = replace(clean, image=(SCALE * (image - truth.sky_electron)).astype(np.float32))
    growth = measure_growth(exposure, truth, KERNEL, FLAT, full_well=FULL_WELL)
    found = brighter_fatter_removal(*join_growth([growth]), true_slope=1.0)
    assert found.n > 50
    return found.value, found.error


def test_the_charge_is_kept_and_leaves_the_brightest_pixel() -> None:
    star = np.full((21, 21), 100.0)
    star[10, 10] += 50000.0
    made = push_aside(star, KERNEL)
    assert made.sum() == pytest.approx(star.sum())
    assert made[10, 10] < star[10, 10]
    assert made[10, 11] > star[10, 11]
    np.testing.assert_allclose(push_aside(np.full((9, 9), 5e4), KERNEL), 5e4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_growth_that_was_not_corrected_is_found(
    clean: Exposure, truth: VisitTruth, share: float
) -> None:
    value, error = removed(pushed(clean, truth, share), clean, truth)
    assert error < 5.0
    assert value == pytest.approx(100.0 * (1.0 - share), abs=4 * error)


def test_the_correction_by_the_true_kernel_removes_the_growth(
    clean: Exposure, truth: VisitTruth
) -> None:
    image = pushed(clean, truth, 1.0)
    mended = correct_brighter_fatter(
        image, np.zeros(SHAPE, bool), BrighterFatterKernel(KERNEL), tolerance=1.0, max_iterations=20
    )
    value, error = removed(mended.image, clean, truth)
    assert value > 100.0 - 4 * error


def test_stars_that_are_spoilt_or_full_or_not_alone_do_not_count(
    clean: Exposure, truth: VisitTruth
) -> None:
    mask = clean.mask | np.int32(MaskPlane.CR)
    spoilt = replace(clean, mask=mask)
    assert len(measure_growth(spoilt, truth, KERNEL, FLAT, full_well=FULL_WELL).error) == 0
    assert len(measure_growth(clean, truth, KERNEL, FLAT, full_well=1e3).error) == 0
    every = measure_growth(clean, truth, KERNEL, FLAT, full_well=FULL_WELL)
    columns = dict(truth.placed.columns)
    near = {name: np.concatenate([value, value]) for name, value in columns.items()}
    near["y"][len(columns["y"]) :] += 5.0
    crowded = replace(truth, placed=Catalog(PLACED, near))
    assert len(every.error) > 0
    assert len(measure_growth(clean, crowded, KERNEL, FLAT, full_well=FULL_WELL).error) == 0
