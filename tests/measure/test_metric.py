from __future__ import annotations

import json
import math

import pytest

from lsstpipe.measure.metric import Metric


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.5, None, 0.6, True),
        (0.6, None, 0.6, True),
        (0.7, None, 0.6, False),
        (2.4, 1.9, 2.9, True),
        (1.8, 1.9, 2.9, False),
        (3.0, 1.9, 2.9, False),
        (5.0, 3.0, None, True),
        (7.0, None, None, True),
        (math.nan, None, 1.0, None),
    ],
)
def test_the_verdict_follows_the_bounds(
    value: float, low: float | None, high: float | None, expected: bool | None
) -> None:
    assert Metric("X", "x", value, "", low, high, n=5).ok is expected


def test_a_sample_that_is_too_small_has_no_verdict_and_says_so() -> None:
    metric = Metric("X", "x", 0.1, "pixel", high=1.0, n=4, min_n=5, note="Why.")
    assert metric.ok is None
    assert metric.to_json()["note"] == "Not judged: needs a sample of 5, has 4. Why."


def test_the_entry_is_plain_json_without_nan() -> None:
    entry = Metric("X", "x", math.nan, "%", high=1.0, n=3).to_json()
    assert json.loads(json.dumps(entry, allow_nan=False)) == {
        "id": "X", "name": "x", "value": None, "unit": "%", "gate": [None, 1.0], "stretch": None,
        "tolerance": 0.0, "ok": None, "excellent": False, "n": 3, "error": None,
        "note": "Not judged: it could not be measured.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "error", "low", "high", "expected"),
    [
        (3.2, 0.1, None, 3.0, True),  # within three standard errors of the bound
        (3.4, 0.1, None, 3.0, False),
        (97.5, 0.2, 98.0, None, True),
        (97.3, 0.2, 98.0, None, False),
        (1.0, 1.1, None, 3.0, None),  # three standard errors are more than the bound itself
        (9.0, 1.1, None, 3.0, False),  # and yet it is clear that this is too much
        (1.00, 0.006, 0.98, 1.02, True),
        (1.00, 0.007, 0.98, 1.02, None),
        (3.0, math.nan, None, 3.0, True),
    ],
)
def test_a_finite_sample_may_miss_its_bound_by_three_errors_and_must_be_sharp_enough(
    value: float, error: float, low: float | None, high: float | None, expected: bool | None
) -> None:
    assert Metric("X", "x", value, "", low, high, n=5, error=error, n_sigma=3.0).ok is expected


def test_a_sample_that_cannot_tell_says_why() -> None:
    entry = Metric("X", "x", 1.0, "mmag", high=3.0, n=5, error=1.1, n_sigma=3.0).to_json()
    assert entry["ok"] is None
    assert "3 standard errors are 3.3" in str(entry["note"])


@pytest.mark.parametrize(("value", "expected"), [(0.9, True), (1.1, False), (4.0, False)])
def test_what_is_excellent_is_said_beside_what_passes(value: float, expected: bool) -> None:
    metric = Metric("X", "x", value, "", high=3.0, n=5, stretch=(None, 1.0), n_sigma=3.0)
    assert metric.meets_stretch is expected
    assert metric.to_json()["stretch"] == [None, 1.0]
