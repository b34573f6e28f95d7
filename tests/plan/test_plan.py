"""Plans of the real table of stages over made-up exposures, and of a fake production on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsstpipe import datasets
from lsstpipe.config import parse_campaign
from lsstpipe.data_model import DataId, make_id, make_ref
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.plan.chunking import assign_chunks, make_chunks
from lsstpipe.plan.chunks import Chunk
from lsstpipe.plan.quanta import Quanta
from lsstpipe.plan.read import PlanIndex, open_plan, read_chunk
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.selection import Selection
from lsstpipe.registry.calibrations import Calibration
from tests.execute import fake_campaign as fake
from tests.plan.made_up import build, inputs_of, mosaic, record, selection, task_of


def test_every_visit_is_calibrated_and_only_those_near_a_patch_are_warped() -> None:
    quanta = build(selection())
    assert task_of(quanta, "isr").rows["visit"].tolist() == [3, 4, 5]
    assert task_of(quanta, "warp").rows["visit"].tolist() == [3, 4]
    assert task_of(quanta, "forced").rows["visit"].tolist() == [3, 4]


def test_darks_go_into_the_dark_and_science_frames_into_the_flat() -> None:
    quanta = build(selection())
    dark = [name for kind, name in inputs_of(quanta, task_of(quanta, "dark"), 0) if kind == "raw"]
    assert dark == [f"instrument=st10,detector=0,exposure={e}" for e in (1, 2)]
    flat = [name for kind, name in inputs_of(quanta, task_of(quanta, "flat"), 0) if kind == "raw"]
    assert flat == [f"instrument=st10,detector=0,exposure={e}" for e in (3, 4, 5)]


def test_isr_takes_the_raw_of_its_visit_and_the_calibrations_of_its_filter() -> None:
    quanta = build(selection())
    assert inputs_of(quanta, task_of(quanta, "isr"), 1) == [
        ("raw", "instrument=st10,detector=0,exposure=4"),
        ("dark", "instrument=st10,detector=0"),
        ("defects", "instrument=st10,detector=0"),
        ("flat", "instrument=st10,detector=0,physical_filter=Filter 2"),
    ]


def test_a_detector_that_a_visit_lacks_changes_nothing_for_its_others() -> None:
    whole = mosaic([(v, d) for v in (3, 4) for d in (0, 1, 2)])
    partial = mosaic([(v, d) for v in (3, 4) for d in (0, 1, 2) if (v, d) != (4, 1)])
    for name in ("isr", "calibrate", "forced"):
        found = [task_of(build(s, instrument="simcam"), name) for s in (whole, partial)]
        every, rest = (
            {
                (int(task.rows["visit"][i]), int(task.rows["detector"][i])): i
                for i in range(len(task.rows))
            }
            for task in found
        )
        assert every.keys() - rest.keys() == {(4, 1)}
        for place, row in rest.items():
            inputs = [
                inputs_of(build(s, instrument="simcam"), task, i)
                for s, task, i in zip((whole, partial), found, (every[place], row), strict=True)
            ]
            assert inputs[0] == inputs[1]
            assert inputs[0]
    # What is made of a visit as a whole is made of the detectors that there are.
    summary = [task_of(build(s, instrument="simcam"), "visit_summary") for s in (whole, partial)]
    assert [len(task.rows) for task in summary] == [1, 1]


def test_coadd_takes_all_warps_of_its_patch_and_band() -> None:
    quanta = build(selection())
    inputs = inputs_of(quanta, task_of(quanta, "assemble"), 0)
    visits = [name for kind, name in inputs if kind == "direct_warp"]
    assert visits == [f"instrument=st10,visit={v},skymap=sky,tract=0,patch=0" for v in (3, 4)]


def test_ids_are_those_of_the_data_model() -> None:
    quanta = build(selection())
    isr = task_of(quanta, "isr")
    data_id = DataId(instrument="st10", visit=3, detector=0)
    assert isr.ids[0].tobytes() == make_id("fake", "isr", str(data_id)).bytes
    made = next(p for p in quanta.datasets if p.dataset_type.name == "visit_image")
    assert made.ids[0].tobytes() == make_ref(datasets.visit_image, data_id, "fake").id.bytes


def test_no_darks_is_one_sentence_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"There are no dark frames .*3 science.* add dark frames"):
        build(selection(n_darks=0))


def test_certified_calibrations_stand_in_for_darks() -> None:
    chosen = selection(n_darks=0)
    detector = DataId(instrument="st10", detector=0, physical_filter="Filter 2")
    certified = {
        kind: [Calibration(record(kind, detector, "old"), 59000.0, 61000.0)]
        for kind in ("dark", "defects", "flat")
    }
    quanta = build(replace(chosen, calibrations=certified))
    kinds = [kind for kind, _ in inputs_of(quanta, task_of(quanta, "isr"), 0)]
    assert sorted(kinds) == ["dark", "defects", "flat", "raw"]


def test_skipped_stage_says_why_and_what_needs_it_is_left_out_with_the_reason() -> None:
    quanta = build(selection(), skip={"coadd": "one visit is enough"})
    reasons = {(item.stage, item.task): item.reason for item in quanta.skipped}
    assert reasons["coadd", ""] == "skipped by the campaign: one visit is enough"
    assert "no deep_coadd" in reasons["object", "object"]
    assert not [task for task in quanta.tasks if task.task.name == "object"]


def test_each_dataset_has_one_maker() -> None:
    quanta = build(selection())
    outputs = np.concatenate([task.outputs for task in quanta.tasks])
    assert len(np.unique(outputs)) == len(outputs)


def test_visit_on_two_tracts_is_summed_up_once() -> None:
    chosen = selection()
    twice = Selection(
        chosen.raws,
        chosen.records,
        Rows({"skymap": ["sky", "sky"], "tract": [0, 1], "patch": [0, 0]}),
        np.concatenate([chosen.polygons, chosen.polygons]),
        chosen.radius_deg,
        chosen.existing,
    )
    quanta = build(twice)
    summary = task_of(quanta, "visit_summary")
    assert np.diff(summary.output_offsets).tolist() == [2, 0]


def _chunks(quanta: Quanta, **changes: object) -> dict[str, Chunk]:
    settings = fake.make_campaign(Path("repo")).model_dump(mode="json", exclude=set(fake.STAGES))
    campaign = parse_campaign(settings | changes)
    chunks = make_chunks(quanta, campaign, assign_chunks(quanta, campaign))
    return {f"{chunk.stage}/{chunk.name}": chunk for chunk in chunks}


def test_chunks_wait_for_the_chunks_whose_products_they_read() -> None:
    chunks = _chunks(build(selection()))
    assert chunks["calibs/st10_0"].upstream == ()
    assert chunks["visit/st10_3"].upstream == (("calibs", "st10_0"),)
    coadd = chunks["coadd/sky_0_0_clear"].upstream
    assert set(coadd) == {("visit", "st10_3"), ("visit", "st10_4"), ("visit_summary", "st10_sky_0")}


def test_setting_changes_the_digest_of_its_stage_alone() -> None:
    quanta = build(selection())
    before = _chunks(quanta)
    after = _chunks(quanta, visit={"calibrate": {"psf_order": 1}})
    changed = {name for name in before if before[name].digest != after[name].digest}
    assert changed == {"visit/st10_3", "visit/st10_4", "visit/st10_5"}


def test_visits_can_share_a_chunk_and_stay_together_within() -> None:
    chosen = selection()
    quanta = build(chosen)
    campaign = parse_campaign(
        fake.make_campaign(Path("repo")).model_dump(mode="json", exclude=set(fake.STAGES))
        | {"visits_per_chunk": 2}
    )
    chunking = assign_chunks(quanta, campaign)
    # The visits are 3, 4 and 5, and a block of eight numbers would hold all three.
    assert [name for name in chunking.labels if "-" in name] == ["st10_0-3", "st10_4-7"] * 2
    isr, calibrate = task_of(quanta, "isr").start, task_of(quanta, "calibrate").start
    order = [
        q for q in chunking.order.tolist() if chunking.labels[chunking.chunk_of[q]] == "st10_4-7"
    ]
    assert order[:4] == [isr + 1, calibrate + 1, isr + 2, calibrate + 2]


def test_plan_on_disk_says_what_was_built(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 3)
    chunk = read_chunk(plan, "visit", "st10_2")
    assert [quantum.task for quantum in chunk.quanta] == ["halve", "square"]
    halve, square = chunk.quanta
    assert halve.data_id == DataId(instrument="st10", visit=2, detector=0)
    assert square.inputs == halve.outputs
    skymap = chunk.datasets[halve.inputs[0]]
    assert skymap.exists
    assert skymap.ref.dataset_type is datasets.skymap
    assert PlanIndex(plan).chunk("visit", "st10_2") == chunk


def test_equal_campaigns_give_equal_plans(tmp_path: Path) -> None:
    fake.make_plan(tmp_path, 3)
    before = {p.name: p.read_bytes() for p in (tmp_path / "plan").iterdir()}
    fake.make_plan(tmp_path, 3)
    assert {p.name: p.read_bytes() for p in (tmp_path / "plan").iterdir()} == before


def test_unknown_chunk_names_some_that_there_are(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 2)
    with pytest.raises(UserError, match="no chunk 'st10_9' of stage visit; it has st10_1, st10_2"):
        read_chunk(plan, "visit", "st10_9")


def test_folder_without_a_plan_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="holds no plan"):
        open_plan(tmp_path, fake.STAGES)


def test_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 1)
    path = plan.folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    with pytest.raises(RepositoryError, match="version 99"):
        open_plan(plan.folder, fake.STAGES)
