"""Why a quantum is in a plan, or is not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.data_model import DIMENSIONS, DataIdValue, name_data_ids
from lsstpipe.errors import UserError
from lsstpipe.plan.chunking import Chunking, assign_chunks, make_chunks
from lsstpipe.plan.cost import CostModel
from lsstpipe.plan.quanta import PlannedTask, Quanta
from lsstpipe.plan.rows import IndexArray, Rows
from lsstpipe.stages import STAGES, Task

_FEW = 5


@dataclass(frozen=True, slots=True)
class Question:
    """Which quanta are asked about: of one task or of all, those of some dimension values."""

    task: str
    values: Mapping[str, DataIdValue]


def parse_question(text: str) -> Question:
    """Read a question such as ``warp visit=24, patch=3``, ``isr`` or ``detector=7``.

    Parameters
    ----------
    text
        A task, dimensions with their values, or both.

    Raises
    ------
    UserError
        If a word is neither a task nor a dimension with a value.
    """
    tasks = {task.name for stage in STAGES.values() for task in stage.tasks}
    name, values = "", {}
    for word in re.findall(r"[^\s,=]+=(?:'[^']*'|[^\s,]+)|[^\s,]+", text):
        key, sign, value = word.partition("=")
        if not sign and word in tasks:
            name = word
        elif sign and key in DIMENSIONS:
            values[key] = _parse_value(key, value.strip("'"))
        else:
            raise UserError(
                f"'{word}' is neither a task ({', '.join(sorted(tasks))}) nor a dimension with a "
                f"value, such as visit=24 ({', '.join(DIMENSIONS)})."
            )
    return Question(name, values)


def explain(quanta: Quanta, campaign: Campaign, model: CostModel, question: Question) -> list[str]:
    """Say of the quanta that are asked about which are there, with what, and why others are not.

    Parameters
    ----------
    quanta
        All tasks and datasets of the plan.
    campaign, model
        What its chunks are made with.
    question
        Which quanta.

    Returns
    -------
    lines
        A sentence each.
    """
    chunking = assign_chunks(quanta, campaign, model)
    lines: list[str] = []
    for stage in STAGES.values():
        for task in stage.tasks:
            is_asked = question.task in ("", task.name)
            if is_asked and question.values.keys() <= {*task.dimensions, *_implied(task)}:
                found = _there(quanta, chunking, task, question)
                found += _left_out(quanta, task, question)
                lines += found or [_absent(quanta, stage.name, task, question)]
    return lines or [f"No such task has quanta over {', '.join(question.values)}."]


def list_chunks(quanta: Quanta, campaign: Campaign, model: CostModel) -> list[str]:
    """Say of each chunk what it holds, costs and waits for.

    Parameters
    ----------
    quanta, campaign, model
        As for `explain`.
    """
    chunks = make_chunks(quanta, campaign, assign_chunks(quanta, campaign, model), model)
    return [
        f"{chunk.stage}/{chunk.name}: {chunk.n_quanta} quanta, {chunk.cpu_s:.0f} CPU s, "
        f"{chunk.mem_mb} MB, after "
        + (", ".join("/".join(other) for other in chunk.upstream) or "the ingest")
        for chunk in chunks
    ]


def _there(quanta: Quanta, chunking: Chunking, task: Task, question: Question) -> list[str]:
    """Say of the quanta of a task that are there what they read, and in which chunk."""
    lines = []
    for planned in quanta.tasks:
        if planned.task.name != task.name:
            continue
        matches = _matches(planned.rows, question.values)
        for row in _few(matches):
            label = chunking.labels[chunking.chunk_of[planned.start + row]]
            lines.append(
                f"{planned.stage.name}/{label} has {_name(planned, row)}: "
                f"{_inputs(quanta, planned, row)}"
            )
        if matches.sum() > _FEW:
            lines.append(f"... and {int(matches.sum()) - _FEW} more of {task.name}")
    return lines


def _parse_value(name: str, text: str) -> DataIdValue:
    if DIMENSIONS[name] is str:
        return text
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{name} is a whole number, got '{text}'.") from None


def _implied(task: Task) -> Sequence[str]:
    """Give the dimensions that follow from those of a task."""
    return ("exposure", "physical_filter", "band") if "visit" in task.dimensions else ()


def _matches(rows: Rows, values: Mapping[str, DataIdValue]) -> npt.NDArray[np.bool_]:
    matches = np.ones(len(rows), dtype=np.bool_)
    for name, value in values.items():
        matches &= rows[name] == value
    return matches


def _few(matches: npt.NDArray[np.bool_]) -> list[int]:
    found: list[int] = np.flatnonzero(matches)[:_FEW].tolist()
    return found


def _name(task: PlannedTask, row: int) -> str:
    """Spell a quantum."""
    return f"{task.task.name} {_data_ids(task.rows, task.task.dimensions, np.array([row]))[0]}"


def _data_ids(rows: Rows, dimensions: Sequence[str], which: IndexArray) -> list[str]:
    columns = [rows[name][which].tolist() for name in dimensions]
    return name_data_ids(dimensions, columns, len(which))


def _inputs(quanta: Quanta, task: PlannedTask, row: int) -> str:
    """Count by type what a quantum reads and where it is from; name what it does without."""
    numbers = task.inputs[task.input_offsets[row] : task.input_offsets[row + 1]]
    parts, found = [], set()
    for item in quanta.datasets:
        own = numbers[(numbers >= item.start) & (numbers < item.start + len(item.rows))]
        if len(own):
            found.add(item.dataset_type.name)
            source = "there already" if len(item.records) else "made by this plan"
            parts.append(f"{len(own)} {item.dataset_type.name} ({source})")
    lacking = [
        port.dataset_type.name for port in task.task.inputs if port.dataset_type.name not in found
    ]
    return f"reads {', '.join(parts)}" + (f"; does without {', '.join(lacking)}" if lacking else "")


def _left_out(quanta: Quanta, task: Task, question: Question) -> list[str]:
    """Say which quanta a rule left out."""
    lines = []
    for item in quanta.left_out:
        if item.task == task.name and question.values.keys() <= item.rows.columns.keys():
            matches = _matches(item.rows, question.values)
            for data_id in _data_ids(item.rows, task.dimensions, np.array(_few(matches), np.int64)):
                lines.append(f"left out: {task.name} {data_id}: {item.reason}")
            if matches.sum() > _FEW:
                lines.append(
                    f"... and {int(matches.sum()) - _FEW} more of {task.name}, as the last"
                )
    return lines


def _absent(quanta: Quanta, stage: str, task: Task, question: Question) -> str:
    """Say why there is no such quantum at all."""
    for item in quanta.skipped:
        if item.stage == stage and item.task in ("", task.name) and item.n_quanta == 0:
            return f"no {task.name}: {item.reason}"
    rows = [p.rows for p in quanta.tasks if p.task.name == task.name]
    for name, value in question.values.items():
        if not any(np.any(own[name] == value) for own in rows if name in own):
            return f"no {task.name}: none of its exposures or patches has {name}={value}"
    asked = ", ".join(f"{name}={value}" for name, value in question.values.items())
    return f"no {task.name}: there are such, but none of {asked} together; they do not overlap"
