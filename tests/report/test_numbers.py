from __future__ import annotations

import pytest

from lsstpipe.report.numbers import (
    format_bytes,
    format_error,
    format_gate,
    format_seconds,
    format_value,
)


@pytest.mark.parametrize(
    ("value", "error", "text", "error_text"),
    [
        (2.41234, 0.213, "2.41 %", "± 0.21"),
        (2.41234, 0.0213, "2.412 %", "± 0.021"),
        (241.2, 21.0, "241 %", "± 21"),
        (0.004512, None, "0.0045 %", ""),
        (24.0, None, "24 %", ""),
        (1e-16, 1e-17, "0.0000 %", "± 0.0000"),
        (None, None, "\N{EN DASH}", ""),
        (1.0, 0.0, "1 %", ""),
    ],
)
def test_a_value_has_two_digits_of_its_error(
    value: float | None, error: float | None, text: str, error_text: str
) -> None:
    assert format_value(value, error, "%") == text
    assert format_error(value, error) == error_text


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        ([None, 0.25], "≤ 0.25 pixel"),
        ([24.0, None], "≥ 24 pixel"),
        ([1.9, 2.9], "1.9 to 2.9 pixel"),
        ([-0.1, 0.1], "± 0.1 pixel"),
        ([None, None], "none"),
    ],
)
def test_a_bound_reads_as_one_says_it(gate: list[float | None], text: str) -> None:
    assert format_gate(gate, "pixel") == text


def test_bytes_and_seconds_have_fitting_units() -> None:
    assert [format_bytes(n) for n in (0, 999, 1000, 1_234_567, 250_000_000, 4e12)] == [
        "0 B", "999 B", "1.0 kB", "1.2 MB", "250 MB", "4.0 TB",
    ]  # fmt: skip
    assert [format_seconds(s) for s in (0.04, 61.2, 185.4)] == ["0.0 s", "61.2 s", "3 min 05 s"]
