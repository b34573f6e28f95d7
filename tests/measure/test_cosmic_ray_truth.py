from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.image.mask import MaskPlane
from lsstpipe.measure.cosmic_ray_truth import (
    CosmicRayHits,
    bright_core_metric,
    cosmic_ray_metrics,
    count_hits,
)
from lsstpipe.measure.metric import Metric

SHAPE = (400, 400)
VARIANCE = np.full(SHAPE, 100.0, np.float32)
CR = np.int32(MaskPlane.CR)


def judge_one(mask: np.ndarray, charge: np.ndarray) -> list[Metric]:
    return cosmic_ray_metrics([count_hits(mask, charge, VARIANCE)])


@pytest.fixture
def cosmic(rng: np.random.Generator) -> np.ndarray:
    charge = np.zeros(SHAPE, np.float32)
    for row, column in rng.integers(10, 380, (300, 2)):
        charge[row, column : column + 8] = 150.0
    return charge


def test_all_hits_flagged_and_nothing_else_pass(cosmic: np.ndarray) -> None:
    mask = np.where(cosmic > 0, CR, np.int32(0))
    assert [metric.ok for metric in judge_one(mask, cosmic)] == [True] * 3


def test_missed_pixels_are_counted_where_they_stand_out(
    cosmic: np.ndarray, rng: np.random.Generator
) -> None:
    missed = rng.random(SHAPE) < 0.1
    mask = np.where((cosmic > 0) & ~missed, CR, np.int32(0))
    strong, weak, _ = judge_one(mask, cosmic)
    assert strong.value == pytest.approx(90.0, abs=2.0)
    assert (strong.ok, weak.ok) == (False, False)
    assert strong.n == int((cosmic > 0).sum())
    faint = judge_one(mask, 0.5 * cosmic)
    assert faint[0].n == 0
    assert faint[0].ok is None
    assert faint[1].n == strong.n


def test_pixels_masked_for_another_reason_are_not_asked_for(cosmic: np.ndarray) -> None:
    mask = np.where(cosmic > 0, np.int32(MaskPlane.SAT), np.int32(0))
    assert judge_one(mask, cosmic)[0].n == 0


def test_false_flags_are_counted_but_not_those_beside_a_hit(cosmic: np.ndarray) -> None:
    grown = cosmic.copy()
    grown[1:] += cosmic[:-1]
    mask = np.where(grown > 0, CR, np.int32(0))
    assert judge_one(mask, cosmic)[2].value == 0.0
    empty = np.zeros(SHAPE, np.float32)
    mask = np.zeros(SHAPE, np.int32)
    mask[50:60, 50:60] = CR
    found = judge_one(mask, empty)[2]
    assert found.value == pytest.approx(1e5 * 100 / 160_000)
    assert found.ok is False


def test_a_star_whose_core_is_eaten_fails() -> None:
    empty = np.zeros(SHAPE, np.float32)
    y, x = (grid.ravel().astype(np.float64) for grid in np.mgrid[20:380:40, 20:380:40])
    mask = np.zeros(SHAPE, np.int32)
    assert bright_core_metric(mask, empty, y=y + 0.3, x=x).ok is True
    mask[21, 20] = CR
    found = bright_core_metric(mask, empty, y=y + 0.3, x=x)
    assert (found.value, found.ok) == (1.0, False)
    hit = empty.copy()
    hit[21, 20] = 500.0
    assert bright_core_metric(mask, hit, y=y + 0.3, x=x).ok is True


def test_several_images_are_one_sample() -> None:
    few = CosmicRayHits(np.ones(120, bool), np.ones(150, bool), 1, 60_000)
    assert [metric.ok for metric in cosmic_ray_metrics([few])] == [None] * 3
    strong, weak, false = cosmic_ray_metrics([few] * 5)
    assert (strong.n, weak.n, false.n) == (600, 750, 300_000)
    assert strong.ok is True
    assert false.note == "5 pixels on 5 images."
    assert [metric.n for metric in cosmic_ray_metrics([])] == [0, 0, 0]


def test_the_neighbours_of_hits_are_no_false_flags_even_in_a_corner(
    rng: np.random.Generator,
) -> None:
    charge = np.where(rng.random(SHAPE) < 0.01, np.float32(500), np.float32(0))
    charge[0, 0] = charge[-1, -1] = charge[0, 200] = 500.0
    padded = np.pad(charge > 0, 1)
    near = np.any([padded[y : y + 400, x : x + 400] for y in range(3) for x in range(3)], axis=0)
    found = count_hits(np.full(SHAPE, CR), charge, VARIANCE)
    assert found.n_false == int((~near).sum())
