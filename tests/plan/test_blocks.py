"""Blocks of visits: full, disjoint, and changed by a new visit in one place only."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.plan.blocks import make_blocks

_NUMBERS = st.lists(st.integers(0, 5000), min_size=1, max_size=80, unique=True)
_MOST = st.integers(1, 9)


def members(visits: list[int], most: int) -> dict[str, list[int]]:
    ascending = np.array(sorted(visits), dtype=np.int64)
    blocks = make_blocks(ascending, most)
    names = blocks.names()
    found: dict[str, list[int]] = {}
    for visit, first in zip(ascending.tolist(), blocks.first(ascending).tolist(), strict=True):
        found.setdefault(names[first], []).append(visit)
    return found


@given(_NUMBERS, _MOST)
def test_a_block_holds_every_visit_of_its_range_and_no_more_than_it_may(
    visits: list[int], most: int
) -> None:
    for name, own in members(visits, most).items():
        low, _, high = name.partition("-")
        assert own == sorted(v for v in visits if int(low) <= v <= int(high or low))
        assert len(own) <= most


@given(_NUMBERS, st.integers(0, 5000), _MOST)
def test_a_visit_more_changes_the_one_block_that_it_falls_in(
    visits: list[int], new: int, most: int
) -> None:
    rest = [v for v in visits if v != new]
    before, after = members(rest, most), members([*rest, new], most)
    changed = [name for name, own in before.items() if after.get(name) != own]
    assert len(changed) <= 1
    for name in changed:
        low, _, high = name.partition("-")
        assert int(low) <= new <= int(high or low)


def test_numbers_in_a_row_fill_blocks_of_a_power_of_two() -> None:
    assert members(list(range(16, 32)), 4) == {
        f"{low}-{low + 3}": [low, low + 1, low + 2, low + 3] for low in (16, 20, 24, 28)
    }


def test_numbers_far_from_one_another_do_not_share_a_block() -> None:
    assert members([0, 2**20 - 1], 9) == {f"0-{2**20 - 1}": [0, 2**20 - 1]}
    assert len(members([0, 2**20], 9)) == 2
