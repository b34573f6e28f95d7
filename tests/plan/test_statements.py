"""A plan asks a registry the same few statements, however many visits there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from lsstpipe import datasets
from lsstpipe.butler import Butler
from lsstpipe.config import parse_campaign
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.plan.layout import ingest_manifest_path
from lsstpipe.plan.select import build_plan
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.repository import Repository
from tests.execute import fake_campaign as fake
from tests.plan.made_up import task_of
from tests.postgres_server import PostgresServer

MOST_STATEMENTS = 30
FEW, MANY = 2, 300


def fill(root: Path, registry: str, n_visits: int) -> None:
    """Make a repository with visits of one detector, their calibrations and a sky map."""
    Butler.create(root, settings=Repository(registry))
    plane = np.zeros((4, 4), np.float32)
    image = Exposure(plane, np.zeros((4, 4), np.int32), plane, Box(0, 0, 4, 4), "electron")
    with Butler(root, run="night") as butler:
        for kind in ("bias", "dark"):
            made = butler.put(image, kind, instrument="st10", detector=0)
            butler.registry.certify("night/calib", [made.id], 59000.0, 61000.0)
    infos, records, outlines = [], [], {}
    for visit in range(n_visits):
        data_id = DataId(instrument="st10", exposure=visit, detector=0)
        ref = make_ref(datasets.raw, data_id, "raws")
        records.append(DatasetRecord(ref.id, "raw", data_id, "raws", f"/{visit}", 1, "blake2b:a"))
        infos.append(
            ObservationInfo(
                "st10", visit, 0, "Filter 2", "clear", "science", "", 45.0, 45.0, 60000.0 + visit,
                ra_deg=10.0, dec_deg=0.0,
            )
        )  # fmt: skip
        outlines[ref.data_id] = [(9.9, -0.1), (10.1, -0.1), (10.1, 0.1), (9.9, 0.1)]
    with Butler(root, run="fake") as butler:
        butler.put({}, "skymap", skymap="sky")
        butler.registry.insert_exposures(infos, records, outlines)
    path = ingest_manifest_path(root)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"raws": [{"id": str(record.id)} for record in records]}))


def plan_visits(root: Path) -> int:
    """Plan all visits of a repository; give their number."""
    settings = fake.make_campaign(root).model_dump(mode="json", exclude=set(fake.STAGES))
    quanta = build_plan(parse_campaign(settings | {"calibrations": ["night/calib"]}))
    return len(task_of(quanta, "isr").rows)


@contextmanager
def traced(into: list[str]) -> Iterator[None]:
    """Note all statements that SQLite runs, those that do without SQLAlchemy too."""

    def trace(raw: sqlite3.Connection, _record: object) -> None:
        raw.set_trace_callback(into.append)

    sa.event.listen(sa.Engine, "connect", trace)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", trace)


def test_a_plan_asks_a_file_as_often_for_few_visits_as_for_many(tmp_path: Path) -> None:
    counts = []
    for n_visits in (FEW, MANY):
        root, statements = tmp_path / str(n_visits), list[str]()
        fill(root, "", n_visits)
        with traced(statements):
            assert plan_visits(root) == n_visits
        counts.append(len(statements))
    assert 0 < counts[0] == counts[1] <= MOST_STATEMENTS


@pytest.mark.xdist_group("postgres")
def test_a_plan_asks_a_server_as_often_for_few_visits_as_for_many(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    counts = []
    for n_visits in (FEW, MANY):
        root, url = tmp_path / str(n_visits), postgres.create_database()
        fill(root, url, n_visits)
        postgres.log_statements(url.rpartition("/")[2])
        before = postgres.n_statements()
        assert plan_visits(root) == n_visits
        counts.append(postgres.n_statements() - before)
    assert 0 < counts[0] == counts[1] <= MOST_STATEMENTS
