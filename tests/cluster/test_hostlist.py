"""Lists of nodes as Slurm writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.cluster.hostlist import compress, expand
from lsstpipe.errors import UserError

names = st.builds(
    lambda prefix, n: f"{prefix}-{n}",
    st.sampled_from(["spot", "a1", "q-dy-c5"]),
    st.integers(0, 400),
)


@given(st.lists(names, unique=True))
def test_what_was_compressed_expands_to_the_same(given_names: list[str]) -> None:
    assert sorted(expand(compress(given_names))) == sorted(given_names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("head", ["head"]),
        ("spot-[1-3,7],large-2", ["spot-1", "spot-2", "spot-3", "spot-7", "large-2"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
    ],
)
def test_lists_are_spelled_out(text: str, expected: list[str]) -> None:
    assert expand(text) == expected


def test_a_list_is_short() -> None:
    assert compress([f"spot-{n}" for n in (5, 3, 4, 9, 1)]) == "spot-[1,3-5,9]"
    assert compress(["n08", "n09", "head"]) == "head,n08,n09"


@pytest.mark.parametrize("text", ["a[1-", "a[1-2]]", "a[x]", "[1-2]", "a[1-999999]", "a[1--2]"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"nodes|range"):
        expand(text)
