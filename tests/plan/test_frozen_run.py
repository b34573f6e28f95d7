"""A run that is frozen gets no other plan: its jobs would write over what was published."""

from __future__ import annotations

from pathlib import Path

import fake_campaign as fake
import pytest

from lsstpipe.butler import Butler
from lsstpipe.cli.plan import _plan
from lsstpipe.config import Campaign
from lsstpipe.errors import ConflictError
from lsstpipe.execute.collect import collect
from lsstpipe.plan.build import Builder
from lsstpipe.plan.cost import read_costs
from lsstpipe.plan.quanta import Quanta


def test_a_frozen_run_gets_no_other_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    collect(plan)
    skymap = fake.skymap_of(tmp_path)

    def build_plan(campaign: Campaign) -> Quanta:
        return Builder(campaign, fake.make_selection(2, skymap), fake.STAGES).build()

    monkeypatch.setattr("lsstpipe.plan.select.build_plan", build_plan)
    changed = fake.make_campaign(tmp_path, visit={"halve": {"add": 1.0}})
    _plan(plan.campaign, read_costs(str(tmp_path)), 1, 1)
    with Butler(tmp_path) as butler:
        butler.registry.freeze("fake")
    before = {path.name: path.read_bytes() for path in plan.folder.iterdir()}
    products = fake.products(tmp_path)
    with pytest.raises(ConflictError, match=r"'fake' is frozen.* Give the campaign another `run`"):
        _plan(changed, read_costs(str(tmp_path)), 1, 1)
    assert {path.name: path.read_bytes() for path in plan.folder.iterdir()} == before
    _plan(plan.campaign, read_costs(str(tmp_path)), 1, 1)  # the same plan, so nothing is written
    assert {path.name: path.read_bytes() for path in plan.folder.iterdir()} == before
    fake.run_all(plan)  # what there is may still be made again
    assert fake.products(tmp_path) == products
