"""What a person reads of a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from lsstpipe.cli.cluster_tables import costs_as_rows, print_costs, print_status
from lsstpipe.cli.main import cli
from lsstpipe.cluster.accounting import Cost
from lsstpipe.cluster.status import ClusterStatus
from lsstpipe.execute.usage import TaskUsage

COSTS = {("dr1", "astro", "visit"): Cost(n_runs=2, cpu_s=1234.0, memory_mb=4000, usd=0.5)}


def test_a_status_has_no_columns_that_nothing_can_fill(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(ClusterStatus([], [], [], {}, 0.0, 0.0, COSTS))
    said = capsys.readouterr().out
    assert "used" not in said
    (row,) = [line for line in said.splitlines() if "visit" in line]
    assert row.split()[-6:] == ["2", "1234", "4000", "0.50000", "100", "%"]
    print_costs(COSTS, {})
    assert capsys.readouterr().out.count("used") == 2


USAGE = {"dr1": [TaskUsage("visit", "isr", 3, 12.0, 4.0, 5.0, 9.0, 700.0, 1.0)]}


def test_usage_is_shown_where_one_user_alone_has_the_campaign(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (row,) = costs_as_rows(COSTS, USAGE)
    assert (row["used_cpu_s"], row["used_mb"]) == (12.0, 700.0)
    print_costs(COSTS, USAGE)
    assert "several users" not in capsys.readouterr().out

    both = COSTS | {("dr1", "guest", "visit"): Cost(n_runs=1, usd=0.1)}
    rows = costs_as_rows(both, USAGE)
    assert [(row["used_cpu_s"], row["used_mb"]) for row in rows] == [(None, None)] * 2
    print_costs(both, USAGE)
    assert "dr1 has jobs of several users" in capsys.readouterr().out


def test_a_repository_that_is_named_twice_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, other = tmp_path / "repo", tmp_path / "other"
    repo.mkdir()
    other.mkdir()
    (tmp_path / "link").symlink_to(repo)
    head = SimpleNamespace(prices=SimpleNamespace(warn=lambda day: ""))
    plan = SimpleNamespace(campaign=SimpleNamespace(name="dr1"))
    replacements: dict[str, Any] = {
        "lsstpipe.cli.cluster._open": lambda *_: head,
        "lsstpipe.cluster.status.measure_costs": lambda _: COSTS,
        "lsstpipe.plan.read.open_plan": lambda _: plan,
        "lsstpipe.execute.usage.measure_usage": lambda _: USAGE["dr1"],
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(name, replacement)

    def used(*repos: object) -> float:
        words = [word for path in repos for word in ("--repo", str(path))]
        result = CliRunner().invoke(cli, ["cluster", "cost", "--json", *words])
        assert result.exit_code == 0, result.output
        return float(json.loads(result.stdout)[0]["used_cpu_s"])

    assert used(repo, f"{repo}/.", tmp_path / "link") == 12.0
    assert used(repo, other) == 24.0
