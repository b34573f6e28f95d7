"""Which calibration a plan gives to which exposure, by date."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.errors import UserError
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.validity import find_times
from lsstpipe.registry.calibrations import Calibration
from tests.plan.made_up import build, inputs_of, record, selection, task_of

DETECTOR = DataId(instrument="st10", detector=0)
OTHER = DataId(instrument="st10", detector=1)


def certified(run: str, begin: float, end: float, kind: str = "bias") -> Calibration:
    return Calibration(record(kind, DETECTOR, run), begin, end)


def biases_of_visits(*calibrations: Calibration, is_ordered: bool = False) -> list[str]:
    """Give the run of the bias of each of the visits of MJD 60003, 60004 and 60005."""
    chosen = replace(selection(), calibrations={"bias": list(calibrations)}, is_ordered=is_ordered)
    quanta = build(chosen)
    isr = task_of(quanta, "isr")
    part = next(p for p in quanta.datasets if p.dataset_type.name == "bias")
    runs = []
    for row in range(3):
        numbers = isr.inputs[isr.input_offsets[row] : isr.input_offsets[row + 1]]
        own = [n - part.start for n in numbers if 0 <= n - part.start < len(part.rows)]
        runs += [part.records[i].run for i in own]
    return runs


def test_each_visit_gets_the_calibration_of_its_date() -> None:
    early, late = certified("early", 59000.0, 60004.0), certified("late", 60004.0, np.inf)
    # The plan's own dark takes its bias too: from the exposures of MJD 60001 and 60002.
    assert biases_of_visits(early, late) == ["early", "late", "late"]


def test_of_two_that_hold_at_once_both_are_named_and_refused() -> None:
    with pytest.raises(UserError) as caught:
        biases_of_visits(certified("one", 59000.0, 61000.0), certified("two", 60000.0, 60010.0))
    message = str(caught.value)
    assert "one/bias/bias_st10_0.fits and two/bias/bias_st10_0.fits" in message
    assert "'calibrations'" in message
    assert message.count(".fits") == 2


def test_the_first_collection_wins_where_an_order_was_asked_for() -> None:
    pair = certified("one", 59000.0, 60004.5), certified("two", 59000.0, 61000.0)
    assert biases_of_visits(*pair, is_ordered=True) == ["one", "one", "two"]


def test_one_dataset_in_two_collections_is_no_conflict() -> None:
    same = certified("one", 59000.0, 61000.0)
    assert biases_of_visits(same, same) == ["one"] * 3


def test_a_date_without_a_valid_calibration_is_one_sentence_with_the_date() -> None:
    with pytest.raises(UserError) as caught:
        biases_of_visits(certified("old", 59000.0, 60004.5))
    assert str(caught.value) == (
        "No bias of instrument=st10,detector=0 holds on 2023-03-02 (MJD 60005.0000); certified are "
        "those of 2020-05-31 to 2023-03-01: certify one for that date, or leave the exposures out."
    )


def test_a_calibration_of_another_detector_is_not_missed() -> None:
    elsewhere = Calibration(record("bias", OTHER, "old"), 59000.0, 59001.0)
    assert biases_of_visits(elsewhere) == []


def test_what_the_plan_makes_takes_the_place_of_what_is_certified() -> None:
    old = Calibration(record("dark", DETECTOR, "old"), 59000.0, 59001.0)
    quanta = build(replace(selection(), calibrations={"dark": [old]}))
    made = next(p for p in quanta.datasets if p.dataset_type.name == "dark" and not p.records)
    isr = task_of(quanta, "isr")
    assert made.start in isr.inputs[isr.input_offsets[0] : isr.input_offsets[1]]


def test_a_master_takes_the_calibration_of_the_middle_of_its_exposures() -> None:
    """The darks are of MJD 60001 and 60002, the skies that make the flat of 60003 to 60005."""
    halves = certified("early", 59000.0, 60003.5), certified("late", 60003.5, 61000.0)
    quanta = build(replace(selection(), calibrations={"bias": list(halves)}))
    part = next(p for p in quanta.datasets if p.dataset_type.name == "bias")
    for name, run in (("dark", "early"), ("flat", "late")):
        taken = [n - part.start for n in task_of(quanta, name).inputs]
        assert [part.records[i].run for i in taken if 0 <= i < 2] == [run]


def test_the_time_of_a_quantum_is_the_middle_of_its_exposures() -> None:
    raws = Rows({"detector": [0, 0, 1], "mid_mjd": [5.0, 3.0, 9.0]})
    assert find_times(Rows({"detector": [0, 1, 2]}), raws).tolist() == [4.0, 9.0, 6.0]


def test_flat_frames_make_the_flat_of_their_filter_and_dithered_skies_that_of_others() -> None:
    chosen = selection(filters=("Filter 2", "B", "B"), flats=("B",) * 2)
    quanta = build(chosen)
    flat = task_of(quanta, "flat")
    taken = {
        str(name): [i for kind, i in inputs_of(quanta, flat, row) if kind == "raw"]
        for row, name in enumerate(flat.rows["physical_filter"].tolist())
    }
    exposure = "instrument=st10,detector=0,exposure="
    assert taken == {"B": [f"{exposure}6", f"{exposure}7"], "Filter 2": [f"{exposure}3"]}
    (note,) = [n for n in quanta.notes if n.task == "flat" and "made of" in n.text]
    assert note.n_quanta == 1
    assert "physical_filter=Filter 2" in note.text
    assert "made of science exposures where there are no flat exposures" in note.text


def test_defects_are_made_of_new_masters_and_never_of_certified_ones() -> None:
    old = Calibration(record("bias", DETECTOR, "old"), 59000.0, 61000.0)
    quanta = build(replace(selection(), calibrations={"bias": [old]}))
    kinds = [kind for kind, _ in inputs_of(quanta, task_of(quanta, "defects"), 0)]
    assert kinds == ["dark"]


def test_a_certified_flat_of_another_run_is_not_made_anew_of_the_sky() -> None:
    key = DataId(instrument="st10", detector=0, physical_filter="Filter 2")
    for run, n_made in (("old", 0), ("fake", 1)):
        flat = Calibration(record("flat", key, run), 59000.0, 61000.0)
        quanta = build(replace(selection(), calibrations={"flat": [flat]}))
        assert sum(len(t.rows) for t in quanta.tasks if t.task.name == "flat") == n_made
        notes = [n.text for n in quanta.notes if "certified flat is there" in n.text]
        assert len(notes) == 1 - n_made


def test_what_the_camera_lacks_and_what_has_no_raws_is_left_out_with_the_reason() -> None:
    reasons = {item.task: item.reason for item in build(selection()).skipped}
    assert reasons["crosstalk"] == "st10 has no several amplifiers there: detector 0"
    assert reasons["fringe"] == "st10 has no fringes there: physical_filter Filter 2"
    assert "there are no flat exposures" in reasons["ptc"]
    assert "there are no bias exposures" in reasons["bias"]
