"""A process that comes after others finds every kernel compiled."""

from __future__ import annotations

import pytest
from small_campaign import Project

pytestmark = pytest.mark.xdist_group("e2e")


def test_after_a_campaign_has_run_nothing_is_left_to_compile_and_compiling_leaves_no_trace(
    calm: Project,
) -> None:
    before = sorted(calm.repo.rglob("*"))
    kernels = calm.json("compile", "small.yaml", "--json")
    assert kernels["n_compiled"] == 0
    assert kernels["n_loaded"] > 20
    assert sorted(calm.repo.rglob("*")) == before
