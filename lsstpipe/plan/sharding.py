"""Shards: parts of a campaign that are planned each by itself, in processes side by side.

A stage that runs visit by visit is planned in blocks of visits, one that runs tract by tract in
blocks of tracts, the calibrations in blocks of detectors, and what runs once for a campaign in one
shard of its own. A shard is built of the raws that can matter to it, so that it also finds quanta
that are not its own, such as warps on a neighbouring tract; those stand for what its own quanta
read, and are not written. Each quantum is the own of one shard, and is there exactly what it is in
a plan that was made in one piece: whether a dataset exists depends only on raws that the shard has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import Stages
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.geometry.sphere import sky_positions, unit_vectors
from lsstpipe.instruments import get_camera
from lsstpipe.plan.blocks import make_blocks
from lsstpipe.plan.cost import CostModel, chunk_size
from lsstpipe.plan.overlap import find_overlaps
from lsstpipe.plan.quanta import Quanta
from lsstpipe.plan.rows import IndexArray, Rows, encode
from lsstpipe.plan.select import make_patches, make_skymap
from lsstpipe.plan.selection import Selection, pair_with_patches, science_rows, take_raws
from lsstpipe.plan.shard import Kind, Shard, kind_of
from lsstpipe.plan.write import Part, invalidate, write_part, write_summary

FloatArray = npt.NDArray[np.float64]
_plan: Callable[[int], Part]


@dataclass(frozen=True, slots=True)
class Pointings:
    """Where the visits of a campaign looked.

    Attributes
    ----------
    visits
        Their numbers, ascending.
    ra_deg, dec_deg
        Middle of the raws of each, degrees.
    reach_deg
        No pixel of a visit is farther from there, degrees.
    """

    visits: IndexArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    reach_deg: float


class Source(Protocol):
    """Where shards find their raws."""

    @property
    def pointings(self) -> Pointings:
        """All visits of the campaign."""

    def select_visits(self, visits: IndexArray) -> Selection:
        """Give what a plan of some visits starts from, by their numbers."""

    def select_detectors(self, detectors: IndexArray) -> Selection:
        """Give what a plan of the calibrations of some detectors starts from."""

    def select_all(self) -> Selection:
        """Give what a plan of everything starts from."""


class SelectionSource:
    """Shards of a selection that is in memory as a whole.

    Parameters
    ----------
    selection
        What the whole plan starts from.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    @cached_property
    def pointings(self) -> Pointings:
        """All visits of the campaign."""
        science = science_rows(self._selection.raws)
        visits, number = np.unique(science["visit"], return_inverse=True)
        vectors = unit_vectors(science["ra_deg"], science["dec_deg"])
        sums = np.stack([np.bincount(number, weights=axis) for axis in vectors.T], axis=1)
        middles = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        chords = np.linalg.norm(vectors - middles[number], axis=1)
        off = np.rad2deg(2.0 * np.arcsin(chords.max(initial=0.0) / 2.0))
        ra, dec = sky_positions(middles)
        return Pointings(visits, ra, dec, float(off) + self._selection.radius_deg)

    def select_visits(self, visits: IndexArray) -> Selection:
        """Give what a plan of some visits starts from: their raws and all that are not science."""
        raws = self._selection.raws
        keep = raws["observation_type"] != "science"
        return self._take(keep | np.isin(raws["exposure"], visits))

    def select_detectors(self, detectors: IndexArray) -> Selection:
        """Give what a plan of the calibrations of some detectors starts from."""
        return self._take(np.isin(self._selection.raws["detector"], detectors))

    def select_all(self) -> Selection:
        """Give what a plan of everything starts from."""
        return self._selection

    def _take(self, keep: npt.NDArray[np.bool_]) -> Selection:
        return take_raws(self._selection, keep, self.pointings.visits)


def select_shard(source: Source, shard: Shard, skymap: SkyMap) -> Selection:
    """Give what the plan of a shard starts from.

    Parameters
    ----------
    source
        Where the raws are.
    shard
        The shard.
    skymap
        The tracts of the campaign.
    """
    if shard.kind == "visits":
        return source.select_visits(shard.members)
    if shard.kind == "detectors":
        return source.select_detectors(shard.members)
    if shard.kind == "rest":
        return source.select_all()
    at = source.pointings
    _, polygons = make_patches(skymap, shard.members)
    near, _ = find_overlaps(polygons, at.ra_deg, at.dec_deg, at.reach_deg)
    return _thin(source.select_visits(at.visits[np.unique(near)]), shard.members)


def _thin(selection: Selection, tracts: IndexArray) -> Selection:
    """Keep of visits what matters to some tracts.

    That is every raw that may overlap one of them and, of the same visits, one raw for each other
    tract: which tract sums up a visit is only known of all that the visit overlaps.
    """
    raws = selection.raws
    science = raws["observation_type"] == "science"
    numbers = np.flatnonzero(science)
    raw, patch = pair_with_patches(selection)
    raw, tract = numbers[raw], selection.patches["tract"][patch]
    is_own = np.isin(tract, tracts)
    exposures = np.unique(raws["exposure"][raw[is_own]])
    pairs = Rows({"exposure": raws["exposure"][raw], "tract": tract})
    codes, _ = encode(pairs, None, ("exposure", "tract"))
    first = np.unique(codes, return_index=True)[1]
    keep = ~science
    keep[raw[is_own]] = True
    keep[raw[first][np.isin(pairs["exposure"][first], exposures)]] = True
    return take_raws(selection, keep, selection.visits)


def make_shards(
    source: Source, campaign: Campaign, stages: Stages, n_blocks: int, model: CostModel
) -> list[Shard]:
    """Cut a campaign into shards.

    Parameters
    ----------
    source
        Where the raws are.
    campaign
        Its settings.
    stages
        The table of stages.
    n_blocks
        How many blocks of visits, of tracts and of detectors.
    model
        What quanta take: with it go the chunks that no shard may cut.
    """
    planned = [s for s in stages.values() if s.tasks and s.name not in campaign.skip]
    kinds = {kind_of(stage) for stage in planned}
    visits = source.pointings.visits
    most = max([chunk_size(stage, campaign, model).visits for stage in planned], default=1)
    first = make_blocks(visits, most).first(visits)
    blocks: dict[Kind, Sequence[IndexArray]] = {
        "detectors": _split(np.array(sorted(get_camera(campaign.instrument).detectors)), n_blocks),
        "visits": _split(visits, n_blocks, first),
        "tracts": _split(np.arange(len(campaign.skymap.tracts)), n_blocks),
        "rest": [np.empty(0, np.int64)],
    }
    return [
        Shard(f"{kind}-{i:04d}", kind, members)
        for kind in blocks
        if kind in kinds
        for i, members in enumerate(blocks[kind])
    ]


def _split(
    members: IndexArray, n_blocks: int, together: IndexArray | None = None
) -> list[IndexArray]:
    """Cut numbers into about equal parts, none empty, without parting those that stay together."""
    starts = np.arange(len(members))
    if together is not None:
        starts = np.flatnonzero(np.diff(together, prepend=-1))
    wanted = np.linspace(0, len(members), n_blocks + 1)[1:-1]
    cuts = starts[np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)]
    return [part for part in np.split(members, np.unique(cuts)) if len(part)]


def plan_shards(
    folder: Path,
    source: Source,
    shards: Sequence[Shard],
    build: Callable[[Selection, Shard], Quanta],
    settings: tuple[Campaign, CostModel],
    n_jobs: int = 1,
) -> dict[str, Any]:
    """Plan shards side by side and put their chunks into one plan.

    Parameters
    ----------
    folder
        Of the plan.
    source
        Where the raws are.
    shards
        All of the campaign.
    build
        Makes the quanta of a shard.
    settings
        The campaign, and what quanta take.
    n_jobs
        How many processes.

    Returns
    -------
    summary
        The content of ``plan.json``.
    """
    campaign, model = settings
    skymap = make_skymap(campaign)
    invalidate(folder)

    def plan(number: int) -> Part:
        shard = shards[number]
        quanta = build(select_shard(source, shard, skymap), shard)
        return write_part(folder, quanta, campaign, model, shard.name)

    parts = _map(plan, len(shards), n_jobs)
    return write_summary(folder, campaign, parts)


def _map(plan: Callable[[int], Part], n_shards: int, n_jobs: int) -> list[Part]:
    """Plan every shard in a process of its own, which gives its memory back when it ends."""
    global _plan
    if n_jobs == 1:
        return [plan(number) for number in range(n_shards)]
    # Forked processes share the source with this one instead of a copy each.
    _plan = plan
    with get_context("fork").Pool(n_jobs, maxtasksperchild=1) as pool:
        parts = pool.map(_call, range(n_shards), chunksize=1)
        # Ended by force, as the block does it, a process that has just begun may never end.
        pool.close()
        pool.join()
    return parts


def _call(number: int) -> Part:
    return _plan(number)
