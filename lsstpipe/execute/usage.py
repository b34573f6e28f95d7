"""What the quanta of a campaign took: processor, time, memory and bytes, task by task."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lsstpipe.execute.manifest import read_manifest
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan
from lsstpipe.registry.records import QuantumRecord

_SECONDS_A_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """What the quanta of one task took.

    Attributes
    ----------
    stage, task
        Which.
    n_quanta
        How many have ended.
    cpu_s, median_cpu_s, max_cpu_s
        Processor seconds of all, of the one in the middle and of the longest.
    span_s
        From the begin of the first to the end of the last, seconds.
    max_rss_mb
        Largest memory of a process that ran one, MB.
    written_mb
        Bytes written by all, MB.
    """

    stage: str
    task: str
    n_quanta: int
    cpu_s: float
    median_cpu_s: float
    max_cpu_s: float
    span_s: float
    max_rss_mb: float
    written_mb: float


def measure_usage(plan: Plan) -> list[TaskUsage]:
    """Sum up what the finished chunks of a plan took, task by task in its order.

    Parameters
    ----------
    plan
        The plan.
    """
    groups: dict[tuple[str, str], list[QuantumRecord]] = defaultdict(list)
    for stage, chunks in plan.chunks.items():
        for name in chunks:
            path = manifest_path(plan.campaign.repo, stage, name)
            for entry in read_manifest(path).quanta if path.exists() else ():
                groups[stage, entry.record.task].append(entry.record)
    return [_sum_up(stage, task, records) for (stage, task), records in groups.items()]


def _sum_up(stage: str, task: str, records: Sequence[QuantumRecord]) -> TaskUsage:
    """Sum up the quanta of one task."""
    cpu_s = [record.cpu_s for record in records]
    begin = min(record.started_mjd for record in records)
    end = max(record.started_mjd + record.wall_s / _SECONDS_A_DAY for record in records)
    return TaskUsage(
        stage=stage,
        task=task,
        n_quanta=len(records),
        cpu_s=sum(cpu_s),
        median_cpu_s=statistics.median(cpu_s),
        max_cpu_s=max(cpu_s),
        span_s=(end - begin) * _SECONDS_A_DAY,
        max_rss_mb=max(record.max_rss_mb for record in records),
        written_mb=sum(record.bytes_written for record in records) / 1e6,
    )
