"""What the next attempt of a job asks for; like `lsstpipe.plan.chunks`, without a heavy import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Lack = Literal["memory", "time", ""]
"""What an attempt lacked; nothing where it failed for another reason."""


def guess_lacks(attempt: int) -> list[Lack]:
    """Tell what the earlier attempts of a job lacked where nothing is known of them: both.

    Parameters
    ----------
    attempt
        Number of the attempt that is to come, from 1.
    """
    lacks: tuple[Lack, ...] = ("memory", "time")
    return [lack for _ in range(attempt - 1) for lack in lacks]


def grow_memory(memory_mb: int, lacks: Sequence[Lack]) -> int:
    """Give the memory of the next attempt, MB: twice as much for each that lacked it.

    Parameters
    ----------
    memory_mb
        What the first attempt was given.
    lacks
        What the earlier attempts lacked.
    """
    return int(memory_mb * 2 ** lacks.count("memory"))


def grow_minutes(minutes: int, lacks: Sequence[Lack]) -> int:
    """Give the longest time of the next attempt, minutes: once more for each that lacked it.

    Parameters
    ----------
    minutes
        What the first attempt was given.
    lacks
        What the earlier attempts lacked.
    """
    return minutes * (1 + lacks.count("time"))
