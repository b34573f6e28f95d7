"""What a person reads of a cluster."""

from __future__ import annotations

import pytest

from lsstpipe.cli.cluster_tables import print_costs, print_status
from lsstpipe.cluster.accounting import Cost
from lsstpipe.cluster.status import ClusterStatus

COSTS = {("dr1", "astro", "visit"): Cost(n_runs=2, cpu_s=1234.0, memory_mb=4000, usd=0.5)}


def test_a_status_has_no_columns_that_nothing_can_fill(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(ClusterStatus([], [], [], {}, 0.0, 0.0, COSTS))
    said = capsys.readouterr().out
    assert "used" not in said
    (row,) = [line for line in said.splitlines() if "visit" in line]
    assert row.split()[-6:] == ["2", "1234", "4000", "0.50000", "100", "%"]
    print_costs(COSTS, {})
    assert capsys.readouterr().out.count("used") == 2
