from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsstpipe.cli import metrics, report
from lsstpipe.errors import RepositoryError, UserError
from tests.report.simulated_campaign import simulate_campaign
from tests.report.simulated_repository import measure, write_repository


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    campaign = simulate_campaign(seed=2)
    write_repository(root, campaign, measure(campaign))
    return root


def test_the_report_writes_page_and_light_curve_and_prints_the_numbers(
    finished: Path, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(finished, repo)
    result = CliRunner().invoke(
        report.command, [str(repo)], catch_exceptions=False, env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0
    assert (repo / "report.html").read_text().startswith("<!DOCTYPE html>")
    produced = repo / "demo" / "lightcurve" / "lightcurve.csv"
    assert (repo / "lightcurve.csv").read_text() == produced.read_text()
    assert "transit depth" in result.output
    assert "Scatter out of transit" in result.output
    for name in ("TRANSIT-1", "AST-0b", "TAB-1"):
        assert name in result.output
    assert not list(repo.glob(".*.tmp"))


def test_the_summary_draws_nothing(finished: Path) -> None:
    result = CliRunner().invoke(
        report.command, ["--summary", str(finished)], catch_exceptions=False
    )
    assert "transit depth" in result.output
    assert not (finished / "report.html").exists()


def test_the_metrics_are_a_json_list_with_the_ids_of_the_acceptance_list(finished: Path) -> None:
    result = CliRunner().invoke(metrics.command, [str(finished), "--json"], catch_exceptions=False)
    entries = {entry["id"]: entry for entry in json.loads(result.output)}
    assert entries["AST-0"]["value"] == 24
    assert entries["AST-0"]["ok"] is True
    assert {"id", "value", "unit", "gate", "ok", "n"} <= set(entries["TAB-1"])


def test_a_missed_bound_is_an_error_when_it_is_asked_for(tmp_path: Path) -> None:
    campaign = simulate_campaign(seed=2, n_star=60)
    write_repository(tmp_path, campaign, measure(campaign, n_frames=25))
    with pytest.raises(UserError, match="AST-0"):
        CliRunner().invoke(metrics.command, [str(tmp_path), "--check"], catch_exceptions=False)


def test_a_folder_where_nothing_ran_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for command in (report.command, metrics.command):
        with pytest.raises(RepositoryError, match="nothing has run there yet"):
            CliRunner().invoke(command, [str(tmp_path)], catch_exceptions=False)
