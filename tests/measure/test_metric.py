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
        "id": "X", "name": "x", "value": None, "unit": "%", "gate": [None, 1.0], "ok": None, "n": 3,
        "error": None, "note": "",
    }  # fmt: skip
