"""A campaign that is planned in shards, run by the workflow."""

from __future__ import annotations

import json

import pytest
from small_campaign import Json, Project, ran_again

from lsstpipe.plan.chunks import read_chunks

pytestmark = pytest.mark.xdist_group("e2e")


def test_a_campaign_planned_in_shards_runs_to_the_products_of_one_planned_whole(
    calm: Project, fresh: Project
) -> None:
    fresh.write(plan_shards=2)
    fresh.snakemake()
    stages = read_chunks(fresh.repo / "plan" / "chunks.tsv").values()
    shards = {chunk.shard.rpartition("-")[0] for stage in stages for chunk in stage.values()}
    assert shards == {"detectors", "visits", "tracts", "rest"}
    assert _summary(fresh)["n_shards"] > len(shards), "there are two blocks of visits"
    assert fresh.products() == calm.products()
    assert fresh.manifests().keys() == calm.manifests().keys()
    assert fresh.status()["plan_is_current"]
    assert "Nothing to be done" in fresh.snakemake()
    before = fresh.quanta()
    fresh.write(plan_shards=1)
    fresh.snakemake()
    assert _summary(fresh)["n_shards"] == 1
    assert ran_again(before, fresh.quanta()) == set(), "how it is planned changes no chunk"


def _summary(project: Project) -> Json:
    content: Json = json.loads((project.repo / "plan" / "plan.json").read_text())
    return content
