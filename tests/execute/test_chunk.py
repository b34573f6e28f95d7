"""Running chunks: hand-over, records, resuming, policy."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import fake_campaign as fake
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.data_model import DataId
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.execute.chunk import Step, order_steps, run_chunk
from lsstpipe.execute.manifest import (
    Manifest,
    open_journal,
    partial_path,
    read_manifest,
    write_manifest,
)
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan, PlannedQuantum


def _read(repo: Path, path: str) -> dict[str, float]:
    value: dict[str, float] = json.loads((repo / "fake" / path).read_text())
    return value


def _run(plan: Plan, stage: str, name: str) -> Manifest:
    path = manifest_path(plan.campaign.repo, stage, name)
    return run_chunk(plan, stage, name, path, stages=fake.STAGES)


def _attempts(repo: Path, stage: str = "visit") -> list[int]:
    return [
        entry.record.attempt
        for path in sorted((repo / "manifests" / stage).glob("*.json"))
        for entry in read_manifest(path).quanta
    ]


def _steps(*quanta: tuple[str, set[int], set[int]]) -> list[Step]:
    """Make steps of names, numbers of inputs and numbers of outputs."""
    return [
        Step(
            PlannedQuantum(
                uuid.UUID(int=1000 + n), name, DataId(), *(
                    tuple(uuid.UUID(int=key) for key in sorted(keys)) for keys in (inputs, outputs)
                )
            ),
            "", "", 1, None,
        )
        for n, (name, inputs, outputs) in enumerate(quanta)
    ]  # fmt: skip


def test_what_is_handed_over_is_taken_before_the_next_is_made() -> None:
    steps = _steps(
        ("isr 0", {1}, {10}), ("isr 1", {2}, {11}), ("calibrate 0", {10}, {20}),
        ("calibrate 1", {11}, {21}), ("join", {20, 21}, {30}), ("alone", {3}, {31}),
    )  # fmt: skip
    assert [step.quantum.task for step in order_steps(steps)] == [
        "isr 0", "calibrate 0", "isr 1", "calibrate 1", "join", "alone",
    ]  # fmt: skip


@given(st.lists(st.sets(st.integers(0, 11), max_size=4), max_size=12))
def test_every_quantum_comes_once_and_after_those_that_it_takes_from(takes: list[set[int]]) -> None:
    steps = _steps(*((str(n), {k for k in keys if k < n}, {n}) for n, keys in enumerate(takes)))
    ordered = order_steps(steps)
    place = {step.quantum.task: n for n, step in enumerate(ordered)}
    assert sorted(place) == sorted(step.quantum.task for step in steps)
    assert all(place[str(k)] < place[str(n)] for n, own in enumerate(takes) for k in own if k < n)


TOTAL = "joint_astrometry/joint_astrometry_st10_sky_0.json"


def test_tasks_hand_over_in_memory_and_only_retained_products_are_written(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, n_visits=3, value=1.0)
    fake.run_all(plan)
    written = {path.split("/")[0] for path in fake.products(tmp_path)}
    assert written == {"skymap", "visit_detector_summary", "joint_astrometry"}
    expected = sum((visit / 2 + 1.0) ** 2 for visit in (1, 2, 3))
    assert _read(tmp_path, TOTAL) == {"n": 3, "value": expected}


def test_retain_keeps_an_intermediate(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, n_visits=1, retain=["visit_summary"])
    fake.run_all(plan)
    assert _read(tmp_path, "visit_summary/visit_summary_st10_1.json") == {"value": 0.5}


def test_manifest_names_every_file_with_its_size_and_checksum(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, n_visits=2)
    manifest = _run(plan, "visit", "st10_2")
    by_task = {entry.record.task: entry for entry in manifest.quanta}
    assert by_task["halve"].files == ()
    (file,) = by_task["square"].files
    content = (tmp_path / file.path).read_bytes()
    assert file.size == len(content)
    assert file.data_id == DataId(instrument="st10", visit=2, detector=0)
    assert by_task["square"].record.inputs == by_task["halve"].record.outputs
    assert by_task["halve"].record.bytes_read > 0
    assert set(manifest.configs) == {e.record.config_digest for e in manifest.quanta}


def test_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, n_visits=1)
    path = manifest_path(tmp_path, "visit", "st10_1")
    written = _run(plan, "visit", "st10_1")
    assert read_manifest(path) == written
    write_manifest(path, read_manifest(path))
    assert read_manifest(path) == written


def test_flagged_and_idle_visits_are_left_out_of_what_follows(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 4, visit={"halve": {"flag": [2], "idle": [3]}})
    fake.run_all(plan)
    assert _read(tmp_path, TOTAL) == {"n": 2, "value": 0.25 + 4.0}
    flagged = read_manifest(manifest_path(tmp_path, "visit", "st10_2")).quanta
    assert [(e.record.status, e.record.message) for e in flagged] == [
        ("flagged", "Visit 2 is cloudy."),
        ("no_work", "There is no visit_summary of instrument=st10,detector=0,visit=2."),
    ]


def test_stage_with_too_many_flagged_quanta_stops_what_follows(tmp_path: Path) -> None:
    settings = {"halve": {"flag": [1, 2]}, "max_flagged": 0.25}
    plan = fake.make_plan(tmp_path, 4, visit=settings)
    with pytest.raises(
        UserError, match=r"2 of 4 quanta of visit.halve .* visit.max_flagged = 0.25"
    ):
        fake.run_all(plan)
    assert not (tmp_path / "fake" / TOTAL).exists()


def test_nothing_left_where_all_visits_are_flagged_is_no_work(tmp_path: Path) -> None:
    settings = {"halve": {"flag": [1, 2]}, "max_flagged": 1.0}
    plan = fake.make_plan(tmp_path, 2, visit=settings)
    fake.run_all(plan)
    (entry,) = read_manifest(manifest_path(tmp_path, "visit_summary", "st10_sky_0")).quanta
    assert entry.record.status == "no_work"


def test_bug_is_recorded_as_failed_and_leaves_no_manifest(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 2, visit={"halve": {"break_at": 2}}, visits_per_chunk=2)
    (name,) = plan.chunks["visit"]
    with pytest.raises(ZeroDivisionError):
        fake.run_all(plan)
    path = manifest_path(tmp_path, "visit", name)
    assert not path.exists()
    lines = [json.loads(line) for line in partial_path(path).read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done", "done", "failed"]
    assert "ZeroDivisionError" in lines[-1]["message"]


def test_rerun_does_nothing_again(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "fake").rglob("*.json")}
    fake.run_all(plan)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "fake").rglob("*.json")} == times
    assert _attempts(tmp_path) == [1, 1, 1, 1]


def test_changed_setting_runs_its_task_and_what_depends_on_it_again(tmp_path: Path) -> None:
    fake.run_all(fake.make_plan(tmp_path, 2))
    fake.run_all(fake.make_plan(tmp_path, 2, visit_summary={"total": {"factor": 2.0}}))
    assert _attempts(tmp_path) == [1, 1, 1, 1]
    assert _attempts(tmp_path, "visit_summary") == [2]
    assert _read(tmp_path, TOTAL)["value"] == 2 * (0.25 + 1.0)


def test_hand_over_that_is_needed_again_is_made_again(tmp_path: Path) -> None:
    fake.run_all(fake.make_plan(tmp_path, 1))
    fake.run_all(fake.make_plan(tmp_path, 1, visit={"square": {"power": 3.0}}))
    assert _attempts(tmp_path) == [2, 2]
    assert _read(tmp_path, TOTAL)["value"] == 0.125


def test_changed_input_file_runs_all_that_read_it_again(tmp_path: Path) -> None:
    fake.run_all(fake.make_plan(tmp_path, 2, value=0.0))
    fake.run_all(fake.make_plan(tmp_path, 2, value=1.0))
    assert _attempts(tmp_path) == [2, 2, 2, 2]
    assert _read(tmp_path, TOTAL)["value"] == 1.5**2 + 2.0**2


@pytest.mark.parametrize("damage", ["remove", "change"])
def test_product_that_is_no_longer_whole_is_made_again(tmp_path: Path, damage: str) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    whole = fake.products(tmp_path)
    victim = next((tmp_path / "fake" / "visit_detector_summary").glob("*_0_1.json"))
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes().replace(b"0", b"1"))
    fake.run_all(plan)
    assert fake.products(tmp_path) == whole
    assert sorted(_attempts(tmp_path)) == [1, 1, 2, 2]


def test_chunk_that_waits_for_another_says_which(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 2)
    with pytest.raises(RepositoryError, match="visit st10_1 has not run yet"):
        fake.run_all(plan, ("visit_summary",))


def test_torn_last_line_counts_for_nothing(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 2, visit={"halve": {"break_at": 2}}, visits_per_chunk=2)
    (name,) = plan.chunks["visit"]
    with pytest.raises(ZeroDivisionError):
        fake.run_all(plan)
    path = manifest_path(tmp_path, "visit", name)
    torn = partial_path(path).read_bytes()[:-40]
    partial_path(path).write_bytes(torn)
    with open_journal(path) as journal:
        assert [e.record.status for e in journal.read("fake", "visit", name)] == ["done", "done"]
    assert partial_path(path).read_bytes() == torn[: torn.rfind(b"\n") + 1]


def test_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chunk.json"
    path.write_text('{"schema_version": 99}')
    with pytest.raises(RepositoryError, match="version 99"):
        read_manifest(path)


def test_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 1)
    blocker = tmp_path / "manifests"
    blocker.write_text("a file where a folder should be")
    with pytest.raises(RepositoryError, match="cannot be written"):
        _run(plan, "visit", "st10_1")
