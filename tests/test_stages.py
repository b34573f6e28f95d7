from __future__ import annotations

import pytest

from lsstpipe.data_model import DIMENSIONS
from lsstpipe.datasets import DATASET_TYPES, raw, reference_catalog, skymap
from lsstpipe.stages import STAGES, Stage, Task
from lsstpipe.tasks.base import Port

GIVEN = {raw.name, reference_catalog.name, skymap.name}
"""What a campaign starts from."""

TASKS = {task.name: task for stage in STAGES.values() for task in stage.tasks}
EVERY_STAGE = pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
EVERY_TASK = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


def names(ports: tuple[Port, ...]) -> set[str]:
    return {port.dataset_type.name for port in ports}


def merged(dimensions: tuple[str, ...]) -> set[str]:
    """Take a visit for the exposure that it is."""
    return {"exposure" if name == "visit" else name for name in dimensions}


def test_every_dataset_is_made_once_and_before_it_is_read() -> None:
    made = set(GIVEN)
    for task in TASKS.values():
        assert names(task.inputs) <= made, task.name
        assert not names(task.outputs) & made, task.name
        made |= names(task.outputs)
    assert made == set(DATASET_TYPES)


@EVERY_STAGE
def test_a_stage_retains_only_what_its_tasks_make(stage: Stage) -> None:
    made = {name for task in stage.tasks for name in names(task.outputs)}
    assert set(stage.retained) <= made
    assert len(set(stage.retained)) == len(stage.retained)
    assert stage.doc.endswith(".")


def test_what_a_later_stage_reads_is_retained() -> None:
    kept = set(GIVEN)
    for stage in STAGES.values():
        own: set[str] = set()
        for task in stage.tasks:
            assert names(task.inputs) <= kept | own, task.name
            own |= names(task.outputs)
        kept |= set(stage.retained)


@EVERY_TASK
def test_a_single_input_is_told_by_the_dimensions_of_its_task(task: Task) -> None:
    for port in task.inputs:
        if not port.is_many and not port.dataset_type.is_calibration:
            assert merged(port.dataset_type.dimensions) <= merged(task.dimensions), port.name


@EVERY_TASK
def test_a_single_output_has_the_dimensions_of_its_task(task: Task) -> None:
    assert set(task.dimensions) <= set(DIMENSIONS)
    for port in task.outputs:
        if not port.is_many:
            assert set(port.dataset_type.dimensions) == set(task.dimensions), port.name


@EVERY_STAGE
def test_the_quanta_of_a_chunk_agree_on_the_dimensions_of_the_chunk(stage: Stage) -> None:
    shared = [set(task.dimensions) for task in stage.tasks]
    own = set(stage.chunk_dimensions) - {"band"}
    assert all(own <= dimensions for dimensions in shared)


@EVERY_TASK
def test_only_tasks_that_read_raws_say_of_which_kind(task: Task) -> None:
    assert (raw.name in names(task.inputs)) == (task.observation_type != "")
