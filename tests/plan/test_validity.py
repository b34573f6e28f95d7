"""Which calibration a plan gives to which exposure, by date."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.errors import UserError
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.validity import find_spans
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


def test_a_calibration_must_hold_for_all_exposures_of_a_master() -> None:
    """The darks are of MJD 60001 and 60002."""
    half = certified("half", 60002.0, 61000.0)
    with pytest.raises(UserError, match=r"from 2023-02-26 to 2023-02-27 \(MJD 60001.0000 to"):
        biases_of_visits(half)


def test_the_span_of_a_quantum_is_that_of_its_exposures() -> None:
    raws = Rows({"detector": [0, 0, 1], "mid_mjd": [5.0, 3.0, 9.0]})
    span = find_spans(Rows({"detector": [0, 1, 2]}), raws)
    assert span.begin.tolist() == [3.0, 9.0, 3.0]
    assert span.end.tolist() == [5.0, 9.0, 9.0]


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
    (note,) = [n for n in quanta.notes if n.task == "flat"]
    assert note.n_quanta == 1
    assert "physical_filter=Filter 2" in note.text
    assert "made of science exposures where there are no flat exposures" in note.text
