"""Joins of columns against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.plan.rows import Rows, encode, is_in, match, offsets

_TEXTS = st.lists(st.sampled_from(["r", "HSC-R", "HSC-Z", "", "Filter 2", "é", "zz"]), max_size=40)
_PAIRS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=12)


def _rows(pairs: list[tuple[int, str]]) -> Rows:
    numbers = np.array([n for n, _ in pairs], dtype=np.int64)
    letters = np.array([c for _, c in pairs], dtype="U1")
    return Rows({"n": numbers, "c": letters})


@given(_PAIRS, _PAIRS)
def test_match_finds_the_pairs_that_agree(
    left: list[tuple[int, str]], right: list[tuple[int, str]]
) -> None:
    found = zip(
        *(side.tolist() for side in match(_rows(left), _rows(right), ("n", "c"))), strict=True
    )
    expected = [(i, j) for i, a in enumerate(left) for j, b in enumerate(right) if a == b]
    assert list(found) == expected


@given(_PAIRS, _PAIRS)
def test_match_over_no_column_pairs_all_with_all(
    left: list[tuple[int, str]], right: list[tuple[int, str]]
) -> None:
    assert len(match(_rows(left), _rows(right), ())[0]) == len(left) * len(right)


@given(_PAIRS)
def test_project_gives_distinct_rows_in_order(pairs: list[tuple[int, str]]) -> None:
    result = _rows(pairs).project(("n", "c"))
    assert list(zip(result["n"].tolist(), result["c"].tolist(), strict=True)) == sorted(set(pairs))


@given(_PAIRS, _PAIRS)
def test_is_in_is_membership(left: list[tuple[int, str]], right: list[tuple[int, str]]) -> None:
    found = is_in(_rows(left), _rows(right), ("n", "c")).tolist()
    assert found == [pair in right for pair in left]


def test_offsets_bound_each_group() -> None:
    assert offsets(np.array([0, 0, 2, 2, 2]), 4).tolist() == [0, 2, 2, 5, 5]


@given(_TEXTS, _TEXTS)
def test_numbers_of_texts_are_equal_and_ordered_as_they_are(
    left: list[str], right: list[str]
) -> None:
    rows = [Rows({"text": np.array(texts, dtype="U9")}) for texts in (left, right)]
    codes = np.concatenate(encode(*rows, ("text",)))
    ranks = {text: rank for rank, text in enumerate(sorted({*left, *right}))}
    assert codes.tolist() == [ranks[text] for text in left + right]


def test_many_different_texts_are_numbered_too() -> None:
    texts = [f"{i * 7919 % 1000:x}-{i}" for i in range(500)]
    codes, _ = encode(Rows({"text": np.array(texts)}), None, ("text",))
    assert [texts[i] for i in np.argsort(codes)] == sorted(texts)
