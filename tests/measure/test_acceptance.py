from __future__ import annotations

import math

import pytest

from lsstpipe.measure.acceptance import ACCEPTANCE, choose_worst, judge


@pytest.mark.parametrize("id", ACCEPTANCE)
def test_what_is_excellent_lies_within_what_passes(id: str) -> None:
    bound = ACCEPTANCE[id]
    assert bound.name
    if bound.stretch is not None:
        (low, high), (best_low, best_high) = bound.gate, bound.stretch
        assert low is None or (best_low is not None and low < best_low)
        assert high is None or (best_high is not None and best_high < high)


def test_a_metric_says_what_it_was_measured_on() -> None:
    metric = judge("PA1", 4.0, n=100, error=0.2, where="r")
    assert (metric.id, metric.unit, metric.high, metric.n_sigma) == ("PA1:r", "mmag", 8.0, 3.0)
    assert metric.meets_stretch
    assert judge("PA1", 4.0, n=100).id == "PA1"


def test_the_worst_of_several_images_is_the_one_that_misses_most() -> None:
    values = {"a": 0.99, "b": 1.05, "c": 0.90, "d": 1.01}
    worst = choose_worst(
        [judge("ISR-2", v, n=9000, error=0.001, where=k) for k, v in values.items()]
    )
    assert (worst.id, worst.value, worst.ok) == ("ISR-2", 0.90, False)
    assert worst.note == "Worst of 4: c."


def test_an_image_that_cannot_be_judged_does_not_hide_the_others() -> None:
    metrics = [
        judge("CR-1", math.nan, n=0, where="a"), judge("CR-1", 99.0, n=900, error=0.2, where="b"),
        judge("CR-1", 99.5, n=900, error=0.2, where="c"),
    ]  # fmt: skip
    worst = choose_worst(metrics)
    assert (worst.value, worst.ok) == (99.0, True)
    assert worst.note == "Worst of 2 that could be judged, of 3: b."
    assert choose_worst(metrics[:1]).ok is None
