"""The roots, applied once with a stand-in for AWS."""

from __future__ import annotations

import pytest

from tests.terraform.stand_in import Resource, Roots, copy_roots


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """Data and cluster of the example `complete`, applied; tests only plan with them."""
    roots = copy_roots(tmp_path_factory.mktemp("complete"))
    roots.apply("complete")
    return roots


@pytest.fixture(scope="session")
def resources(complete: Roots) -> list[Resource]:
    """All that the example `complete` makes."""
    return complete.resources("data") + complete.resources("cluster")
