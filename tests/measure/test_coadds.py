from __future__ import annotations

from typing import Any

import pytest

from lsstpipe.measure.coadds import artifact_metrics


def summary(n_removed: int, n_footprints: int) -> dict[str, Any]:
    def kind(name: str, removed: int) -> dict[str, Any]:
        counts = {"n_pixels": 1000, "n_removed": removed, "n_lifted": 50, "n_left": 2}
        return {"kind": name, **counts}

    return {
        "planted": [kind("hot pixel", n_removed), kind("trail", 1000)],
        "displaced": {
            "n_footprints": n_footprints, "n_pixels": 3 * n_footprints, "largest": 4.0,
            "n_judged": 900, "n_covered": 1000,
        },
    }  # fmt: skip


def test_planted_artefacts_are_judged_by_the_worst_kind() -> None:
    removed, left = artifact_metrics([summary(960, 0), summary(980, 0)])
    assert (removed.value, removed.n, removed.ok) == (97.0, 2000, True)
    assert removed.error == pytest.approx(1.0)
    assert "Of 200 pixels" in removed.note
    assert "8 are left" in removed.note
    assert (left.value, left.n, left.ok) == (0.0, 1800, True)


def test_too_few_removed_or_one_place_left_misses_the_bound() -> None:
    removed, left = artifact_metrics([summary(940, 0), summary(950, 1)])
    assert (removed.ok, left.ok) == (False, False)
    assert left.value == 1.0


def test_without_coadds_or_planted_artefacts_nothing_is_judged() -> None:
    assert [metric.ok for metric in artifact_metrics([])] == [None, None]
    bare = summary(1, 0) | {"planted": []}
    assert [metric.ok for metric in artifact_metrics([bare])] == [None, True]
