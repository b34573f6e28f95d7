"""Quanta that run again: those that are asked for, and no other; what is good stays where it is."""

from __future__ import annotations

from pathlib import Path

import fake_campaign as fake
import pytest
from click.testing import CliRunner

from lsstpipe.butler import Butler
from lsstpipe.cli.campaign import retry_campaign
from lsstpipe.errors import ConflictError, UserError
from lsstpipe.execute.manifest import read_manifest
from lsstpipe.execute.retry import find_retries, reopen
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan

FLAGGED = {"halve": {"flag": [2, 4]}}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Six visits in chunks of two, all run; two of them are cloudy."""
    plan = fake.make_plan(tmp_path, 6, visit=FLAGGED, visits_per_chunk=2)
    fake.run_all(plan)
    return plan


def attempts(repo: Path) -> dict[tuple[str, int], int]:
    return {
        (entry.record.task, entry.record.data_id.integer("visit")): entry.record.attempt
        for path in (repo / "manifests" / "visit").glob("*.json")
        for entry in read_manifest(path).quanta
    }


def asked(plan: Plan, where: str, *, is_done_too: bool = False) -> list[tuple[str, int]]:
    repo = Path(plan.campaign.repo)
    found = find_retries(plan, repo, "visit", where, is_done_too=is_done_too)
    return [(item.record.task, item.record.data_id.integer("visit")) for item in found]


def test_those_that_did_not_end_well_are_found_by_a_condition(plan: Plan) -> None:
    assert asked(plan, "") == [("halve", 2), ("halve", 4)]
    assert asked(plan, "visit IN (1..3)") == [("halve", 2)]
    assert asked(plan, "task = 'square'") == []
    assert asked(plan, "visit < 3 AND task = 'halve'", is_done_too=True) == [
        ("halve", 1),
        ("halve", 2),
    ]
    assert asked(plan, "status = 'no_work'", is_done_too=True) == [("square", 2), ("square", 4)]
    with pytest.raises(UserError, match="'colour' is not a column; allowed are task, chunk"):
        asked(plan, "colour = 'r'")


def test_only_the_quanta_that_were_asked_for_run_again(plan: Plan, tmp_path: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "fake").rglob("*.json")}
    reopen(plan, tmp_path, "visit", find_retries(plan, tmp_path, "visit", "visit IN (1..3)"))
    assert {path: path.stat().st_mtime_ns for path in files} == files, "nothing is deleted"
    (chunk,) = [
        name for name in plan.chunks["visit"] if not manifest_path(tmp_path, "visit", name).exists()
    ]
    # With it what takes from it. The weather has not changed: it is flagged again.
    fake.run_all(plan, ("visit",))
    again = {key for key, number in attempts(tmp_path).items() if number == 2}
    assert again == {("halve", 2), ("square", 2)}, chunk
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_lost_product_is_made_again_and_its_neighbours_are_not(
    plan: Plan, tmp_path: Path
) -> None:
    whole = fake.products(tmp_path)
    victim = next((tmp_path / "fake" / "visit_detector_summary").glob("*_0_3.json"))
    victim.unlink()
    (item,) = find_retries(plan, tmp_path, "visit", "visit = 3")
    assert (item.record.task, item.status) == ("square", "lost")
    reopen(plan, tmp_path, "visit", [item])
    fake.run_all(plan, ("visit",))
    assert fake.products(tmp_path) == whole
    again = {visit for (_, visit), number in attempts(tmp_path).items() if number == 2}
    assert again == {3}


def test_what_is_done_runs_again_only_where_that_is_said(plan: Plan, tmp_path: Path) -> None:
    whole = fake.products(tmp_path)
    found = find_retries(plan, tmp_path, "visit", "visit = 1 AND task = 'square'", is_done_too=True)
    reopen(plan, tmp_path, "visit", found)
    fake.run_all(plan)
    assert attempts(tmp_path)["square", 1] == 2
    assert attempts(tmp_path)["square", 3] == 1
    assert fake.products(tmp_path) == whole


def test_asking_twice_is_asking_once(plan: Plan, tmp_path: Path) -> None:
    for _ in range(2):
        reopen(plan, tmp_path, "visit", find_retries(plan, tmp_path, "visit", "visit = 2"))
    fake.run_all(plan, ("visit",))
    assert attempts(tmp_path)["halve", 2] == 2


def test_a_run_that_is_frozen_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    repo = Path(plan.campaign.repo)
    with Butler(repo, run=plan.campaign.run) as butler:
        butler.put({}, "metrics")
        butler.registry.freeze(plan.campaign.run)
    before = attempts(repo)
    for more in ([], ["--dry-run"]):
        result = CliRunner().invoke(retry_campaign, [str(repo), "visit", *more])
        assert isinstance(result.exception, ConflictError), result.output
        assert "frozen" in str(result.exception)
    assert attempts(repo) == before
