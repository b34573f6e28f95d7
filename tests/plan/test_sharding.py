"""Plans in shards are the plan in one piece, quantum by quantum."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lsstpipe.config import Campaign
from lsstpipe.geometry.region import polygons_from_sky
from lsstpipe.geometry.skymap import PatchGrid, SkyMap
from lsstpipe.plan.build import Builder
from lsstpipe.plan.cost import CostModel, chunk_size
from lsstpipe.plan.quanta import Quanta
from lsstpipe.plan.read import Plan, PlanIndex, open_plan, read_chunk
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.selection import Selection
from lsstpipe.plan.shard import Shard
from lsstpipe.plan.sharding import SelectionSource, Source, make_shards, plan_shards
from lsstpipe.plan.survey import Survey
from lsstpipe.plan.write import write_plan
from lsstpipe.stages import STAGES
from tests.plan.made_up import campaign_of, selection

MODEL = CostModel()


def builder(campaign: Campaign) -> Callable[[Selection, Shard], Quanta]:
    return lambda selected, shard: Builder(campaign, selected, shard=shard).build()


def plan_both(
    folder: Path, campaign: Campaign, source: Source, n_blocks: int, n_jobs: int = 1
) -> tuple[Plan, Plan]:
    write_plan(folder / "whole", Builder(campaign, source.select_all()).build(), campaign)
    shards = make_shards(source, campaign, STAGES, n_blocks, MODEL)
    settings = (campaign, MODEL)
    plan_shards(folder / "parts", source, shards, builder(campaign), settings, n_jobs)
    return open_plan(folder / "whole"), open_plan(folder / "parts")


def summary(plan: Plan) -> dict[str, object]:
    values: dict[str, object] = json.loads((plan.folder / "plan.json").read_text())
    del values["n_shards"]
    return values


def assert_equal_plans(whole: Plan, parts: Plan) -> None:
    assert len({c.shard for stage in parts.chunks.values() for c in stage.values()}) > 3
    assert list(whole.chunks) == list(parts.chunks)
    indices = PlanIndex(whole), PlanIndex(parts)
    for stage, chunks in whole.chunks.items():
        assert list(chunks) == list(parts.chunks[stage])
        for name, chunk in chunks.items():
            assert replace(parts.chunks[stage][name], shard="") == chunk
            one, other = (index.chunk(stage, name) for index in indices)
            assert one.quanta == other.quanta
            assert one.datasets == other.datasets
    assert summary(whole) == summary(parts)
    skipped = [json.loads((p.folder / "skipped.json").read_text()) for p in (whole, parts)]
    assert sorted(map(str, skipped[0])) == sorted(map(str, skipped[1]))


def made_up() -> tuple[Campaign, Selection]:
    """Twelve visits over two tracts that overlap, with darks, and flats of one filter only."""
    campaign = campaign_of(
        visits_per_chunk=2,
        skymap={
            "name": "sky",
            "pixel_scale_arcsec": 1.0,
            "patch_inner_y": 600,
            "patch_inner_x": 600,
            "tracts": [
                {"ra_deg": ra, "dec_deg": 0.0, "n_patches_y": 2, "n_patches_x": 2}
                for ra in (10.0, 10.3)
            ],
        },
    )
    ra = tuple(9.7 + 0.08 * i for i in range(12))
    chosen = selection(ra_deg=ra, filters=("Filter 2", "B") * 6, flats=("B",) * 2)
    grid = PatchGrid(2, 2, 600, 600, 50)
    skymap = SkyMap.discrete("sky", [(10.0, 0.0), (10.3, 0.0)], 1.0, grid)
    patches = Rows(
        {"skymap": np.full(8, "sky"), "tract": np.repeat([0, 1], 4), "patch": np.arange(8) % 4}
    )
    polygons = np.concatenate([tract.patch_polygons() for tract in skymap.tracts])
    # Half as wide as their circles, where they are known.
    half = chosen.radius_deg / 2
    ra_deg, dec_deg = (chosen.raws[name][:, None] for name in ("ra_deg", "dec_deg"))
    x, y = half * np.array([-0.5, 0.5, 0.5, -0.5]), half * np.array([-1.0, -1.0, 1.0, 1.0])
    outlines = polygons_from_sky(ra_deg + x, dec_deg + y)
    outlines[::3] = np.nan
    return campaign, replace(chosen, patches=patches, polygons=polygons, outlines=outlines)


@pytest.mark.parametrize("n_blocks", [1, 2, 5])
def test_shards_of_a_campaign_with_calibrations_make_the_whole_plan(
    tmp_path: Path, n_blocks: int
) -> None:
    campaign, chosen = made_up()
    assert_equal_plans(*plan_both(tmp_path, campaign, SelectionSource(chosen), n_blocks))


def test_shards_of_a_survey_planned_by_two_processes_make_the_whole_plan(tmp_path: Path) -> None:
    survey = Survey("pdr1_s18", 6, {"visits_per_chunk": 4})
    assert_equal_plans(*plan_both(tmp_path, survey.campaign, survey, 3, n_jobs=2))


def test_a_job_reads_its_chunk_from_its_shard(tmp_path: Path) -> None:
    campaign, chosen = made_up()
    whole, parts = plan_both(tmp_path, campaign, SelectionSource(chosen), 2)
    for stage, chunks in whole.chunks.items():
        for name in chunks:
            assert read_chunk(parts, stage, name).quanta == read_chunk(whole, stage, name).quanta


def test_a_plan_in_one_piece_takes_the_place_of_its_shards(tmp_path: Path) -> None:
    campaign, chosen = made_up()
    _, parts = plan_both(tmp_path, campaign, SelectionSource(chosen), 2)
    write_plan(parts.folder, Builder(campaign, chosen).build(), campaign)
    assert not (parts.folder / "shards").exists()
    plan = open_plan(parts.folder)
    assert len(read_chunk(plan, "report", "all").quanta) == 1


def test_shards_do_not_cut_a_block_of_visits() -> None:
    campaign, chosen = made_up()
    size = chunk_size(STAGES["visit"], campaign, MODEL).visits
    assert size == 2
    shards = make_shards(SelectionSource(chosen), campaign, STAGES, 5, MODEL)
    visits = [shard.members for shard in shards if shard.kind == "visits"]
    np.testing.assert_array_equal(np.concatenate(visits), np.arange(3, 15))
    for one, other in pairwise(visits):
        assert one[-1] // size < other[0] // size


def test_a_stage_that_is_skipped_has_no_shards() -> None:
    campaign, chosen = made_up()
    less = campaign.model_copy(update={"skip": {"calibs": "certified", "report": "later"}})
    kinds = {s.kind for s in make_shards(SelectionSource(chosen), less, STAGES, 2, MODEL)}
    assert kinds == {"visits", "tracts"}
