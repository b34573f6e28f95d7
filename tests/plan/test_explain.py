"""What the plan says of quanta that are there and of those that are not, and its contracts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.errors import UserError
from lsstpipe.plan.chunking import assign_chunks, make_chunks
from lsstpipe.plan.contracts import check_chunks, check_quanta
from lsstpipe.plan.cost import CostModel
from lsstpipe.plan.explain import explain, list_chunks, parse_question
from tests.plan.made_up import build, campaign_of, selection, task_of

MODEL = CostModel()


def answer(question: str, **changes: object) -> list[str]:
    quanta = build(selection(), **changes)
    return explain(quanta, campaign_of(**changes), MODEL, parse_question(question))


def test_a_quantum_that_is_there_is_said_with_its_chunk_and_inputs() -> None:
    assert answer("isr visit=3") == [
        "visit/st10_3 has isr instrument=st10,detector=0,visit=3: reads 1 raw (there already), "
        "1 dark (made by this plan), 1 defects (made by this plan), 1 flat (made by this plan); "
        "does without bias, ptc, crosstalk, linearizer, bfk, fringe"
    ]


def test_a_dimension_asks_all_tasks_that_have_it() -> None:
    lines = answer("visit=4")
    assert [line.split()[2] for line in lines] == ["isr", "calibrate", "warp", "forced"]
    assert answer("visit=4 warp") == [line for line in lines if " has warp " in line]


def test_a_visit_that_overlaps_no_patch_is_absent_from_the_sky() -> None:
    assert answer("warp visit=5") == ["no warp: none of its exposures or patches has visit=5"]
    assert answer("warp visit=3 patch=7") == [
        "no warp: none of its exposures or patches has patch=7"
    ]


def test_the_rule_that_left_a_quantum_out_is_said() -> None:
    (line,) = answer("object", skip={"coadd": "one visit is enough"})
    assert line == (
        "left out: object skymap=sky,tract=0,patch=0: there is no deep_coadd or "
        "deep_coadd_n_image, which it needs, and no task that makes it"
    )
    assert answer("assemble", skip={"coadd": "one visit is enough"}) == [
        "no assemble: skipped by the campaign: one visit is enough"
    ]
    assert answer("ptc") == ["no ptc: there are no flat exposures with instrument, detector"]
    assert answer("fringe") == [
        "left out: fringe instrument=st10,detector=0,physical_filter=Filter 2: st10 has no fringes "
        "there: physical_filter Filter 2"
    ]


def test_text_with_a_space_is_put_in_quotes() -> None:
    assert parse_question("flat physical_filter='Filter 2', detector=0").values == {
        "physical_filter": "Filter 2",
        "detector": 0,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("wrap", "'wrap' is neither a task"), ("visit=x", "visit is a whole number, got 'x'")],
)
def test_what_is_no_question_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_question(text)


def test_chunks_are_listed_with_what_they_wait_for() -> None:
    lines = list_chunks(build(selection()), campaign_of(), MODEL)
    assert lines[0] == "calibs/st10_0: 3 quanta, 15 CPU s, 694 MB, after the ingest"
    assert "visit/st10_3: 2 quanta, 6 CPU s, 514 MB, after calibs/st10_0" in lines


def test_an_input_that_nothing_makes_breaks_the_contract() -> None:
    quanta = build(selection())
    check_quanta(quanta)
    made = next(part for part in quanta.datasets if part.dataset_type.name == "visit_image")
    made.producers = np.full_like(made.producers, -1)
    with pytest.raises(ValueError, match=r"3 inputs of|makes datasets that"):
        check_quanta(quanta)


def test_an_input_that_a_later_quantum_makes_breaks_the_contract() -> None:
    quanta = build(selection())
    isr = task_of(quanta, "isr")
    image = next(part for part in quanta.datasets if part.dataset_type.name == "deep_coadd")
    isr.inputs = isr.inputs.copy()
    isr.inputs[0] = image.start
    with pytest.raises(ValueError, match=r"1 inputs of visit\.isr are not there when it runs"):
        check_quanta(quanta)


def test_a_dataset_that_two_quanta_make_breaks_the_contract() -> None:
    quanta = build(selection())
    warp = task_of(quanta, "warp")
    warp.outputs = np.full_like(warp.outputs, warp.outputs[0])
    with pytest.raises(ValueError, match=r"coadd\.warp makes datasets that exist or that another"):
        check_quanta(quanta)


def test_chunks_in_a_circle_or_without_what_they_wait_for_break_the_contract() -> None:
    quanta = build(selection())
    chunks = make_chunks(quanta, campaign_of(), assign_chunks(quanta, campaign_of()))
    check_chunks(chunks)
    last = (chunks[-1].stage, chunks[-1].name)
    circle = [replace(chunks[0], upstream=(last,)), *chunks[1:]]
    with pytest.raises(ValueError, match=f"{len(chunks)} chunks wait in a circle"):
        check_chunks(circle)
    with pytest.raises(ValueError, match="which there is not"):
        check_chunks(chunks[1:])
    with pytest.raises(ValueError, match="there are two chunks calibs/st10_0"):
        check_chunks([*chunks, chunks[0]])
