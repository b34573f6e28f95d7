"""What a plan finds in the registry of a repository."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lsstpipe import datasets
from lsstpipe.butler import Butler
from lsstpipe.config import parse_campaign
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.plan.layout import ingest_manifest_path
from lsstpipe.plan.quanta import Quanta
from lsstpipe.plan.select import build_plan
from lsstpipe.registry.records import DatasetRecord
from tests.execute import fake_campaign as fake
from tests.plan.made_up import task_of

NIGHTS = (60000.3, 60001.3)
SPANS = {"night1": (59999.0, 60001.0), "night2": (60001.0, 60010.0), "old": (59000.0, 60000.8)}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a science exposure a night, and biases and darks that others certified."""
    Butler.create(tmp_path)
    plane = np.zeros((4, 4), np.float32)
    image = Exposure(plane, np.zeros((4, 4), np.int32), plane, Box(0, 0, 4, 4), "electron")
    for run, span in SPANS.items():
        with Butler(tmp_path, run=run) as butler:
            bias = butler.put(image, "bias", instrument="st10", detector=0)
            butler.registry.certify(f"{run}/calib", [bias.id], *span)
            if run == "old":
                dark = butler.put(image, "dark", instrument="st10", detector=0)
                butler.registry.certify("old/dark", [dark.id], 59000.0, 61000.0)
    infos = [
        ObservationInfo(
            "st10", i, 0, "Filter 2", "clear", "science", "", 45.0, 45.0, mjd,
            ra_deg=10.0, dec_deg=0.0,
        )
        for i, mjd in enumerate(NIGHTS)
    ]  # fmt: skip
    records = [
        DatasetRecord(ref.id, "raw", ref.data_id, "raws", f"/{i}.fits", 1, "blake2b:a")
        for i in range(len(NIGHTS))
        for ref in [
            make_ref(datasets.raw, DataId(instrument="st10", exposure=i, detector=0), "raws")
        ]
    ]
    with Butler(tmp_path, run="fake") as butler:
        butler.put({}, "skymap", skymap="sky")
        butler.registry.insert_exposures(infos, records)
    path = ingest_manifest_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"raws": [{"id": str(r.id)} for r in records]}))
    return tmp_path


def plan(repo: Path, *collections: str) -> Quanta:
    settings = fake.make_campaign(repo).model_dump(mode="json", exclude=set(fake.STAGES))
    return build_plan(parse_campaign(settings | {"calibrations": list(collections)}))


def runs_of_biases(quanta: Quanta) -> list[str]:
    isr = task_of(quanta, "isr")
    part = next(p for p in quanta.datasets if p.dataset_type.name == "bias")
    numbers = [isr.inputs[a:b] for a, b in pairwise(isr.input_offsets)]
    return [
        part.records[n - part.start].run
        for own in numbers
        for n in own.tolist()
        if 0 <= n - part.start < len(part.rows)
    ]


def test_each_night_gets_its_bias_by_the_order_of_the_collections(repo: Path) -> None:
    assert runs_of_biases(plan(repo, "night1/calib", "night2/calib", "old/dark")) == [
        "night1",
        "night2",
    ]
    assert runs_of_biases(plan(repo, "old/calib", "night1/calib", "night2/calib", "old/dark")) == [
        "old",
        "night2",
    ]


def test_without_an_order_two_at_once_are_refused_by_name(repo: Path) -> None:
    with pytest.raises(UserError, match=r"night1/bias/bias_st10_0.fits and old/bias/bias_st10_0"):
        plan(repo)


def test_a_night_without_a_bias_is_refused_with_its_date(repo: Path) -> None:
    with pytest.raises(UserError, match=r"No bias of .* holds on 2023-02-26 \(MJD 60001.3000\)"):
        plan(repo, "night1/calib", "old/dark")


def test_a_collection_that_is_not_there_is_named(repo: Path) -> None:
    with pytest.raises(RepositoryError, match="no collection 'nihgt1'"):
        plan(repo, "nihgt1")
