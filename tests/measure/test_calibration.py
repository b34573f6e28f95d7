from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lsstpipe.measure.calibration import (
    astrometry_metrics,
    joint_astrometry_metrics,
    photometry_metrics,
)


def frame(n_matched: int, rms_y: float, rms_x: float, n_in_frame: int = 30) -> dict[str, Any]:
    return {
        "astrometry": {
            "n_matched": n_matched, "n_in_frame": n_in_frame,
            "n_in_frame_matched": n_matched,
            "rms_y_pix": rms_y, "rms_x_pix": rms_x,
        }
    }  # fmt: skip


def test_the_worst_axis_of_the_worst_frame_counts() -> None:
    solved, worst, matched = astrometry_metrics([frame(30, 0.1, 0.2), frame(30, 0.24, 0.1)], 2)
    assert (solved.ok, worst.ok, matched.ok) == (True, True, True)
    assert worst.value == 0.24


def test_a_frame_without_a_solution_or_a_summary_fails_the_count() -> None:
    assert astrometry_metrics([frame(30, 0.1, 0.1), frame(0, 0.0, 0.0)], 0)[0].ok is False
    missing = astrometry_metrics([frame(30, 0.1, 0.1)], 24)[0]
    assert (missing.value, missing.low, missing.ok) == (1.0, 24.0, False)


def test_one_reference_star_that_is_not_matched_misses_the_bound() -> None:
    metric = astrometry_metrics([frame(29, 0.1, 0.1)], 1)[2]
    assert metric.value == pytest.approx(100 * 29 / 30)
    assert metric.ok is False


def test_no_frame_at_all_cannot_be_judged() -> None:
    solved, worst, matched = astrometry_metrics([], 0)
    assert solved.ok is None
    assert worst.ok is None
    assert matched.ok is None


def joint(y: float | None, x: float | None, n: int) -> dict[str, Any]:
    return {"repeatability_reserved_pix": {"y": y, "x": x, "n": n}}


def test_the_worse_axis_of_reserved_stars_counts() -> None:
    (metric,) = joint_astrometry_metrics([joint(0.05, 0.12, 20)])
    assert (metric.value, metric.n, metric.ok) == (0.12, 20, False)


def test_too_few_reserved_stars_cannot_be_judged() -> None:
    assert joint_astrometry_metrics([joint(None, None, 0)])[0].ok is None
    assert joint_astrometry_metrics([joint(0.01, 0.01, 2)])[0].ok is None


def test_the_floor_comes_from_bright_stars_alone(rng: np.random.Generator) -> None:
    n_star, n_visit = 200, 24
    expected = np.concatenate([np.full(100, 2.0), np.full(100, 50.0)])
    truth = np.hypot(expected, np.where(expected < 5, 4.0, 90.0))
    rms = truth * np.sqrt(rng.chisquare(n_visit - 1, n_star) / (n_visit - 1))
    stars = {
        "rms_mmag": [*rms.tolist(), None], "expected_mmag": [*expected.tolist(), 1.0],
        "n": [n_visit] * n_star + [1], "is_reserved": [i % 5 == 0 for i in range(n_star + 1)],
    }  # fmt: skip
    floor, held = photometry_metrics([{"stars": stars}], 5.0, rng)
    assert floor.n == 100
    assert held.n == 20
    assert abs(floor.value - 4.0) < 4 * floor.error
    assert floor.ok
    assert math.isfinite(held.error)
