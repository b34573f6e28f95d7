"""Pilots on real frames: killed in the middle, they leave bit by bit what single jobs leave."""

from __future__ import annotations

import time

import pytest
from small_campaign import Project

pytestmark = pytest.mark.xdist_group("e2e")


def test_pilots_that_are_killed_make_the_products_of_jobs(calm: Project, fresh: Project) -> None:
    submission = {"pilot_stages": ["calibs", "visit"], "pilot_minutes": 60, "pilot_cores": 2}
    fresh.write(visits_per_chunk=1, submission=submission)
    process = fresh.start("visit")
    while len(fresh.manifests("visit")) < 2 and process.poll() is None:
        time.sleep(0.02)
    assert fresh.stop() > 0, "it was not done yet"
    process.wait()
    fresh.snakemake("visit")
    assert len(list(fresh.repo.glob("pilots/visit/*.done"))) == 1
    types = ("dark", "defects", "flat", "source", "visit_image", "visit_detector_summary")
    assert fresh.products(*types) == calm.products(*types)
