"""A night is added: exactly the chunks that it touches become stale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lsstpipe.plan.chunking import assign_chunks, make_chunks
from lsstpipe.plan.chunks import Chunk
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.selection import Selection, take_raws
from tests.plan.made_up import build, campaign_of, selection

Chunks = dict[tuple[str, str], Chunk]


def survey() -> Selection:
    """Visits 3 to 22, of two tracts in turn: odd ones of tract 0, even ones of tract 1."""
    ra = tuple(20.0 if i % 2 else 10.0 for i in range(20))
    whole = selection(ra_deg=ra, filters=("Filter 2",) * 20)
    polygons = whole.polygons
    # The same patch, ten degrees to the east.
    turn = np.deg2rad(10.0)
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    patches = Rows({"skymap": ["sky"] * 2, "tract": [0, 1], "patch": [0, 0]})
    both = np.concatenate([polygons, polygons @ rotation.T])
    return replace(whole, patches=patches, polygons=both)


def plan(visits: set[int], visits_per_chunk: int = 4) -> Chunks:
    settings = {"visits_per_chunk": visits_per_chunk, "skip": {"calibs": "certified"}}
    whole = survey()
    raws = whole.raws
    keep = (raws["observation_type"] != "science") | np.isin(raws["exposure"], sorted(visits))
    quanta = build(take_raws(whole, keep, None), **settings)
    campaign = campaign_of(**settings)
    chunks = make_chunks(quanta, campaign, assign_chunks(quanta, campaign))
    return {(chunk.stage, chunk.name): chunk for chunk in chunks}


def changed(before: Chunks, after: Chunks) -> set[str]:
    """Chunks that are new, or whose quanta or own inputs are others."""
    return {
        "/".join(key)
        for key, chunk in after.items()
        if key not in before or before[key].digest != chunk.digest
    }


def stale(before: Chunks, after: Chunks) -> set[str]:
    """Those, and what waits for them."""
    found = changed(before, after)
    for key, chunk in after.items():  # in an order in which they can run
        if any("/".join(other) in found for other in chunk.upstream):
            found.add("/".join(key))
    return found


ALL = set(range(3, 23))


def test_a_visit_in_the_middle_changes_its_own_block_alone() -> None:
    # 10 looks at tract 1, between visits that are there.
    before, after = plan(ALL - {10}), plan(ALL)
    assert before.keys() == after.keys()
    assert changed(before, after) == {
        "visit/st10_8-11",
        "visit_summary/st10_sky_1",
        "coadd/sky_1_0_clear",
        "forced/st10_8-11",
        "tables/st10_sky_1",
        "report/all",
    }


def test_only_the_tract_of_the_visit_and_what_reads_it_becomes_stale() -> None:
    before, after = plan(ALL - {10}), plan(ALL)
    got = stale(before, after)
    # The block of the visit has visits of tract 0 too, whose warps are made of other pixels for all
    # that a plan knows: everything after the stage visit runs again, other visits do not.
    assert {name for name in got if name.startswith("visit/")} == {"visit/st10_8-11"}
    fine = stale(plan(ALL - {10}, 1), plan(ALL, 1))
    of_tract_1 = {f"forced/st10_{visit}" for visit in ALL if visit % 2 == 0}
    assert fine == of_tract_1 | {
        "visit/st10_10",
        "visit_summary/st10_sky_1",
        "coadd/sky_1_0_clear",
        "object/sky_1_0",
        "tables/st10_sky_1",
        "report/all",
    }


def test_a_night_at_the_end_leaves_all_blocks_but_the_last() -> None:
    before, after = plan(ALL - {20, 21, 22}), plan(ALL)
    visits = [{name for stage, name in chunks if stage == "visit"} for chunks in (before, after)]
    whole = {"st10_0-3", "st10_4-7", "st10_8-11", "st10_12-15"}
    # The last block was open to the end; the new night fills it, and it falls into two.
    assert visits == [whole | {"st10_16-31"}, whole | {"st10_16-19", "st10_20-23"}]
    assert {name for name in changed(before, after) if name.startswith("visit/")} == {
        "visit/st10_16-19",
        "visit/st10_20-23",
    }
