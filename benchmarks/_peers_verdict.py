"""What many scenes say of two programs' errors: how they compare, how surely, and in a word."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from _peers_paired import Kind, Pair

from lsstpipe.measure.sampling import jackknife

FloatArray = npt.NDArray[np.float64]

_N_SIGMA = 2.0

Word = Literal["better", "level", "worse", "too few scenes"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row of the table.

    Attributes
    ----------
    quantity, unit, peer, kind
        As in the pairs.
    ours, theirs
        Over the scenes the geometric mean, the rms or the mean, by the kind.
    difference, error
        Logarithm of ours over theirs, or for means how much further ours is from 0, in the unit:
        below 0 where lsstpipe errs less. Its standard error is from the scatter between scenes.
    n_scenes, n
        Scenes, and stars or places of all of them.
    word
        Better or worse where the difference is more than two standard errors from 0.
    """

    quantity: str
    unit: str
    peer: str
    kind: Kind
    ours: float
    theirs: float
    difference: float
    error: float
    n_scenes: int
    n: int
    word: Word


def judge_pairs(pairs: Iterable[Pair]) -> list[Verdict]:
    """Judge each quantity against each peer over all scenes that have it.

    Parameters
    ----------
    pairs
        Those of all scenes, in any order; a scene has one pair of a quantity and a peer at most.

    Returns
    -------
    list
        In the order in which quantities and peers are met first.
    """
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.quantity, pair.peer), []).append(pair)
    return [_judge(group) for group in groups.values()]


def compare_scenes(errors: FloatArray, kind: Kind) -> tuple[float, float]:
    """Say how much larger one error is than another over scenes, with a standard error.

    Parameters
    ----------
    errors
        Ours and the peer's in each scene, shape ``(2, n)``.
    kind
        What is made of the scenes first.

    Returns
    -------
    difference, error
        As in `Verdict`. The error comes from leaving out each scene in turn, which for a mean gives
        its usual standard error; NaN of fewer than three scenes.
    """

    def statistic(rows: npt.NDArray[np.int64]) -> float:
        ours, theirs = (abs(_over_scenes(values[rows], kind)) for values in errors)
        return ours - theirs if kind == "mean" else math.log(ours / theirs)

    every = np.arange(errors.shape[1])
    return statistic(every), jackknife(statistic, every)


def say(difference: float, error: float) -> Word:
    """Put a difference into a word."""
    if not math.isfinite(error):
        return "too few scenes"
    if abs(difference) <= _N_SIGMA * error:
        return "level"
    return "better" if difference < 0 else "worse"


def _judge(pairs: Sequence[Pair]) -> Verdict:
    """Judge the pairs of one quantity and one peer."""
    first = pairs[0]
    errors = np.array([pair.errors for pair in pairs], dtype=np.float64).T
    difference, error = compare_scenes(errors, first.kind)
    ours, theirs = (_over_scenes(values, first.kind) for values in errors)
    return Verdict(
        quantity=first.quantity,
        unit=first.unit,
        peer=first.peer,
        kind=first.kind,
        ours=ours,
        theirs=theirs,
        difference=difference,
        error=error,
        n_scenes=len(pairs),
        n=sum(pair.n for pair in pairs),
        word=say(difference, error),
    )


def _over_scenes(values: FloatArray, kind: Kind) -> float:
    """Take the mean over scenes that the kind asks for."""
    if kind == "ratio":
        return float(np.exp(np.mean(np.log(values))))
    if kind == "rms":
        return float(np.sqrt(np.mean(values**2)))
    return float(np.mean(values))
