"""Orphans are found, and nothing else is: what is known, young or no product stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import fake_campaign as fake
import pytest
import small_repository as small
from click.testing import CliRunner

from lsstpipe.butler import Butler, ProductStore
from lsstpipe.cli.prune import command as prune
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.collect import collect
from lsstpipe.execute.orphans import find_orphans, remove_orphans
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.repository import Repository
from tests.postgres_server import PostgresServer

DAY_S = 86400.0


def age(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = small.make_repository(tmp_path / "repo")
    for path in repo.rglob("*"):
        if path.is_file():
            age(path, 30)
    return repo


def test_what_the_registry_knows_is_no_orphan(repo: Path) -> None:
    assert find_orphans(repo, 0.0) == []


@pytest.mark.parametrize("spelling", [".", "../repo", "../link", "{repo}"])
def test_what_was_ingested_from_below_the_repository_is_no_orphan(
    repo: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    path = age(repo / "incoming/main/visit_image/visit_image_st10_0_7.fits", 30)
    with Butler(repo) as butler:
        data_id = DataId(instrument="st10", visit=7, detector=0)
        ref = make_ref(DATASET_TYPES["visit_image"], data_id, "theirs")
        own = (ref.id, "visit_image", data_id, "theirs", str(path), 0, "x:0")
        butler.registry.load([DatasetRecord(*own)])
    (repo.parent / "link").symlink_to(repo)
    monkeypatch.chdir(repo)
    assert find_orphans(Path(spelling.format(repo=repo)), 0.0) == []


def test_old_products_that_nothing_names_are_orphans(repo: Path) -> None:
    orphans = [
        age(repo / "main/metrics/metrics_x.json", 8),
        age(repo / "main/visit_image/visit_image_st10_0_99.fits", 8),
        age(repo / "u/me/try/source/source_st10_0_1.parquet", 100),
    ]
    age(repo / "main/visit_image/visit_image_st10_0_98.fits", 6)
    assert find_orphans(repo, 7.0) == orphans
    files = small.files_of(repo)
    remove_orphans(repo, orphans)
    assert find_orphans(repo, 7.0) == []
    assert not any(path.exists() for path in orphans)
    gone = {str(path.relative_to(repo)) for path in orphans}
    assert small.files_of(repo) == {p: c for p, c in files.items() if p not in gone}


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "logs/visit/1.log",
        "plan/plan.parquet",
        "plan/source/source.json",
        "main/metrics/metrics.txt",
        "main/metrics/my_metrics.json",
        "main/metrics/metricsx.json",
        "main/mine/metrics.json",
        "metrics/metrics.json",
        "main/metrics/below/metrics.json",
        "main/metrics/.metrics.json.1.tmp",
        "registry.sqlite3-wal",
    ],
)
def test_what_is_not_named_as_a_product_stays(repo: Path, path: str) -> None:
    age(repo / path, 1000)
    assert find_orphans(repo, 0.0) == []


def test_what_a_manifest_or_a_stopped_job_names_is_no_orphan(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    fake.run_all(fake.make_plan(repo, 3))  # not collected, so the registry knows none of it
    products = sorted((repo / "fake").rglob("*.json"))
    known = [path for path in products if path.parent.name != "skymap"]
    assert len(known) == 4
    # The skymap was written for this test and is named by nobody.
    skymap = [path for path in products if path not in known]
    assert find_orphans(repo, 0.0) == skymap
    manifest = next((repo / "manifests" / "visit").glob("*.json"))
    quanta = json.loads(manifest.read_bytes())["quanta"]
    lines = "".join(json.dumps(quantum) + "\n" for quantum in quanta)
    manifest.with_name(f"{manifest.name}.partial").write_text(lines + '{"torn')
    manifest.unlink()
    assert find_orphans(repo, 0.0) == skymap


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_a_prune_that_was_killed_left_is_an_orphan(
    tmp_path: Path, postgres: PostgresServer, kind: str
) -> None:
    repo = tmp_path / "repo"
    if kind == "postgresql":
        Butler.create(repo, settings=Repository(postgres.create_database()))
    plan = fake.make_plan(repo, 3)
    fake.run_all(plan)
    collect(plan)
    with Butler(repo) as butler:
        butler.registry.load([fake.skymap_of(repo)])
        assert find_orphans(repo, 0.0) == []
        records = butler.registry.query_datasets(small.SUMMARY, "visit IN (1..2)")
        butler.registry.prune([record.id for record in records])
    left = [repo / record.path for record in records]
    assert len(left) == 2
    assert find_orphans(repo, 0.0) == left
    # One of them is made anew: its manifest is not collected yet, nor are the lines of a job.
    left[0].unlink()
    fake.run_all(plan)
    assert find_orphans(repo, 0.0) == left[1:]
    visits = (repo / "manifests" / "visit").glob("*.json")
    manifest = next(path for path in visits if left[0].name in path.read_text())
    lines = [json.dumps(entry) + "\n" for entry in json.loads(manifest.read_bytes())["quanta"]]
    manifest.with_name(f"{manifest.name}.partial").write_text("".join(lines))
    manifest.unlink()
    assert find_orphans(repo, 0.0) == left[1:]
    remove_orphans(repo, left[1:])
    fake.run_all(plan)
    collect(plan)
    assert find_orphans(repo, 0.0) == []


def test_what_the_removal_of_a_run_that_was_killed_left_are_orphans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = fake.make_plan(tmp_path, 3)
    fake.run_all(plan)
    collect(plan)

    def die(self: ProductStore, record: DatasetRecord) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProductStore, "remove", die)
    result = CliRunner().invoke(prune, ["--all", "--run", "fake", "--repo", str(tmp_path)])
    assert result.exit_code != 0
    assert len(fake.products(tmp_path)) == 5
    assert find_orphans(tmp_path, 0.0) == sorted((tmp_path / "fake").rglob("*.json"))


def test_a_manifest_that_cannot_be_read_ends_it(repo: Path) -> None:
    age(repo / "main/metrics/metrics_x.json", 8)
    (repo / "manifests").mkdir()
    (repo / "manifests" / "1.json").write_text('{"quanta": [')
    with pytest.raises(RepositoryError, match=r"1\.json is not a readable manifest"):
        find_orphans(repo, 0.0)


def test_a_machine_whose_clock_is_ahead_takes_nothing_young_for_old(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(repo / "main/visit_image/visit_image_st10_0_98.fits", 6)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100 * DAY_S)
    assert find_orphans(repo, 7.0) == []
