from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lsstpipe.report.page import Page
from lsstpipe.report.quality import describe_verdicts, group_metrics
from lsstpipe.report.render import render


def metric(id: str, value: float | None = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "id": id, "name": "what it is", "value": value, "unit": "", "gate": [None, 2.0],
        "stretch": None, "tolerance": 0.0, "ok": True, "excellent": False, "n": 9, "error": None,
        "note": "",
    } | more  # fmt: skip


def test_metrics_come_by_subject_and_within_one_by_id() -> None:
    metrics = ("TE1:r", "PSF-2", "AM1:r", "AM2:r", "XYZ", "AM1:i", "AST-1", "PSF-1")
    found = group_metrics(tuple(metric(id) for id in metrics))
    assert [(subject.key, [f"{row.id} {row.where}".strip() for row in subject.rows])
            for subject in found] == [
        ("psf", ["PSF-1", "PSF-2", "TE1 r"]),
        ("astrometry", ["AST-1", "AM1 r", "AM1 i", "AM2 r"]),
        ("other", ["XYZ"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "gate", "unit", "share"),
    [
        (1.0, [None, 2.0], "mmag", 0.5),
        (2.0, [None, 2.0], "mmag", 1.0),
        (9.0, [None, 2.0], "mmag", 1.5),
        (0.0, [None, 0.0], "stars", 0.0),
        (1.01, [0.98, 1.02], "", 0.5),
        (99.0, [98.0, None], "%", 0.5),
        (97.0, [98.0, None], "%", 1.5),
        (100.0, [100.0, None], "%", 0.0),
        (99.9, [100.0, None], "%", 1.5),
        (6.0, [3.0, None], "", 0.5),
    ],
)
def test_the_bar_shows_how_much_of_the_bound_is_used(
    value: float, gate: list[float | None], unit: str, share: float
) -> None:
    row = group_metrics((metric("PA1", value, gate=gate, unit=unit),))[0].rows[0]
    assert row.used == pytest.approx(share / 1.5)


def test_a_value_or_a_bound_that_is_not_there_has_no_bar() -> None:
    (subject,) = group_metrics((metric("PA1", None, ok=None), metric("PA2", gate=[None, None])))
    assert [row.used for row in subject.rows] == [None, None]


def test_the_stretch_bound_lies_on_the_same_bar() -> None:
    row = group_metrics((metric("PA1", stretch=[None, 0.5]),))[0].rows[0]
    assert row.stretch == "≤ 0.5"
    assert row.stretch_used == pytest.approx(0.25 / 1.5)


def test_the_sentence_counts_each_verdict() -> None:
    metrics = (
        metric("A", excellent=True), metric("B"), metric("C", ok=False), metric("D", ok=None),
    )  # fmt: skip
    assert describe_verdicts(metrics) == (
        "2 of 4 metrics keep their bound, 1 of them the stretch bound too, 1 miss it, 1 cannot be "
        "judged on this sample."
    )
    assert describe_verdicts((metric("A"),)) == "1 of 1 metrics keep their bound."


def test_the_page_has_a_table_for_each_subject_with_verdict_and_stretch() -> None:
    page = Page("Sky", "", (metric("PA1:r", 0.2, stretch=[None, 0.5], excellent=True),))
    text = render(replace(page, metrics=(*page.metrics, metric("ISR-1", 3.0, ok=False))))
    assert 'id="quality-photometry"' in text
    assert 'href="#quality-signature"' in text
    assert "met, stretch" in text
    assert "missed" in text
    assert "≤ 0.5" in text


def test_metrics_that_an_older_version_wrote_are_shown_too() -> None:
    old = {
        key: value for key, value in metric("PA1").items() if key not in {"stretch", "excellent"}
    }
    assert group_metrics((old,))[0].rows[0].verdict == "met"
