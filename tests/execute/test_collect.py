"""Collectors keep a registry in step with manifests: late, twice, side by side, and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_campaign as fake
import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from lsstpipe import datasets
from lsstpipe.butler import Butler, ProductStore
from lsstpipe.cli.collect import command
from lsstpipe.cli.prune import command as prune
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.errors import ConflictError, RepositoryError
from lsstpipe.execute.collect import Collector, collect, follow
from lsstpipe.execute.manifest import partial_path, read_manifest, read_partial, write_manifest
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure
from lsstpipe.plan.build import Builder
from lsstpipe.plan.cost import read_costs
from lsstpipe.plan.layout import ingest_manifest_path, manifest_path, pilot_path
from lsstpipe.plan.quanta import Quanta
from lsstpipe.plan.read import Plan, open_plan
from lsstpipe.plan.selection import Selection
from lsstpipe.plan.shard import Shard
from lsstpipe.plan.sharding import SelectionSource, make_shards, plan_shards
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import Repository, registry_url
from tests.postgres_server import PostgresServer

MOST_STATEMENTS = 30
"""For a collection of manifests, and for a plan too: `benchmarks/registry.py`."""


def datasets_of(repo: Path) -> list[DatasetRecord]:
    with Registry.open(registry_url(repo)) as registry:
        return registry.query_datasets(where="run = 'fake'")


def named_by_manifests(plan: Plan) -> dict[object, DatasetRecord]:
    named: dict[object, DatasetRecord] = {}
    for stage, chunks in plan.chunks.items():
        for name in chunks:
            for entry in read_manifest(manifest_path(plan.campaign.repo, stage, name)).quanta:
                named |= {file.id: file for file in entry.files}
    return named


def assert_agrees(plan: Plan) -> None:
    """Registry, manifests and files say the same."""
    found = datasets_of(Path(plan.campaign.repo))
    assert {record.id: record for record in found} == named_by_manifests(plan)
    assert len(found) == len({record.id for record in found})
    store = ProductStore(plan.campaign.repo)
    assert all(store.verify(record) for record in found)


def test_what_is_collected_is_what_the_manifests_name(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 6, visits_per_chunk=2)
    fake.run_all(plan)
    first = collect(plan)
    assert (first.n_manifests, first.n_missing) == (len(plan.chunks["visit"]) + 1, 0)
    assert_agrees(plan)
    assert collect(plan) == first
    assert_agrees(plan)


def test_a_plan_in_shards_is_collected_like_any_other(tmp_path: Path) -> None:
    whole = fake.make_plan(tmp_path, 6, visits_per_chunk=2)
    campaign, selection = whole.campaign, fake.make_selection(6, fake.skymap_of(tmp_path))
    source, model = SelectionSource(selection), read_costs(campaign.repo)
    shards = make_shards(source, campaign, fake.STAGES, 2, model)
    assert len(shards) > 2

    def build(own: Selection, shard: Shard) -> Quanta:
        return Builder(campaign, own, fake.STAGES, shard).build()

    plan_shards(whole.folder, source, shards, build, (campaign, model))
    plan = open_plan(whole.folder, fake.STAGES)
    fake.run_all(plan)
    assert collect(plan).n_missing == 0
    assert_agrees(plan)


def test_a_collector_loads_only_what_is_new(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 4)
    with Registry.open(registry_url(tmp_path)) as registry:
        collector = Collector(plan, registry)
        assert collector.collect_new() == 0
        assert collector.result.n_missing == 5
        fake.run_all(plan)
        assert collector.collect_new() == 5
        assert collector.collect_new() == 0
        path = manifest_path(plan.campaign.repo, "visit", next(iter(plan.chunks["visit"])))
        write_manifest(path, read_manifest(path))
        assert collector.collect_new() == 1
    assert_agrees(plan)


def collected_campaign(repo: Path, postgres: PostgresServer, kind: str, n_visits: int = 3) -> Plan:
    if kind == "postgresql":
        Butler.create(repo, settings=Repository(postgres.create_database()))
    plan = fake.make_plan(repo, n_visits)
    fake.run_all(plan)
    collect(plan)
    return plan


def prune_by_command(repo: Path, *words: str) -> None:
    words = (*words, "--run", "fake", "--repo", str(repo))
    CliRunner().invoke(prune, words, catch_exceptions=False)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_pruned_stays_away_until_it_is_made_anew(
    tmp_path: Path, postgres: PostgresServer, kind: str
) -> None:
    plan = collected_campaign(tmp_path, postgres, kind)
    prune_by_command(tmp_path, "visit_detector_summary", "--where", "visit = 1")
    collect(plan)
    store = ProductStore(tmp_path)
    assert len(datasets_of(tmp_path)) == 3
    assert all(store.exists(record) for record in datasets_of(tmp_path))
    fake.run_all(plan)
    collect(plan)
    assert_agrees(plan)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_run_that_was_removed_stays_away_until_it_is_made_anew(
    tmp_path: Path, postgres: PostgresServer, kind: str
) -> None:
    plan = collected_campaign(tmp_path, postgres, kind)
    stages = tmp_path / "manifests"
    other = stages / "visit" / "other.json"
    write_manifest(other, replace(read_manifest(next(stages.glob("visit/*.json"))), run="other"))
    done = pilot_path(tmp_path, "visit", "p0")
    done.parent.mkdir(parents=True)
    done.touch()
    prune_by_command(tmp_path, "--all")
    assert list(stages.rglob("*.json")) == [other]
    assert not done.exists()
    assert collect(plan).n_missing == 4
    assert fake.products(tmp_path).keys() == {"skymap/skymap_sky.json"}
    with Registry.open(registry_url(tmp_path)) as registry:
        assert registry.collections() == []
    fake.run_all(plan)
    collect(plan)
    assert_agrees(plan)


def test_a_run_that_may_not_be_removed_keeps_its_manifests(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    plan = collected_campaign(tmp_path, postgres, "sqlite")
    with Registry.open(registry_url(tmp_path)) as registry:
        registry.freeze("fake")
    with pytest.raises(ConflictError, match="frozen"):
        prune_by_command(tmp_path, "--all")
    assert collect(plan).n_missing == 0
    assert_agrees(plan)


def test_a_calibration_that_was_pruned_is_not_certified_again(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 1)
    fake.run_all(plan)
    ref = make_ref(datasets.dark, DataId(instrument="st10", detector=0), "fake")
    path = manifest_path(tmp_path, "visit", next(iter(plan.chunks["visit"])))
    manifest = read_manifest(path)
    entry = manifest.quanta[0]
    dark = ProductStore(tmp_path).write(ref, _dark(), entry.record.id)
    quanta = (replace(entry, files=(dark,)), *manifest.quanta[1:])
    write_manifest(path, replace(manifest, quanta=quanta))
    raws = ingest_manifest_path(tmp_path)
    raws.parent.mkdir()
    raws.write_text(json.dumps({"raws": [{"mid_mjd": 60000.0}]}))
    collect(plan)
    with Registry.open(registry_url(tmp_path)) as registry:
        assert len(registry.query_calibrations("dark", ["fake/calib"])) == 1
    prune_by_command(tmp_path, "dark", "--held-too")
    collect(plan)
    assert "dark" not in {record.dataset_type for record in datasets_of(tmp_path)}


def _dark() -> Exposure:
    pixels = np.zeros((4, 5), np.float32)
    return Exposure(pixels, np.zeros((4, 5), np.int32), pixels, Box(0, 0, 4, 5), "adu")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_slow_collector_leaves_alone_what_ran_again(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "postgresql":
        Butler.create(tmp_path, settings=Repository(postgres.create_database()))
    plan = fake.make_plan(tmp_path, 3)
    fake.run_all(plan)
    load = Registry.load

    def load_late(self: Registry, *arguments: Any) -> None:
        monkeypatch.undo()
        again = fake.make_plan(tmp_path, 3, value=5.0)
        fake.run_all(again)
        collect(again)
        load(self, *arguments)

    monkeypatch.setattr(Registry, "load", load_late)
    collect(plan)
    assert_agrees(plan)


def test_followers_side_by_side_keep_up_with_the_jobs(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 8)
    seen: list[int] = []
    threads = [
        threading.Thread(
            target=follow, args=(plan, 0.1), kwargs={"on_new": lambda r: seen.append(r.n_manifests)}
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    fake.run_all(plan)
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert max(seen) == 9
    assert_agrees(plan)


def test_the_number_of_statements_does_not_depend_on_the_number_of_quanta(tmp_path: Path) -> None:
    counts = []
    for n_visits in (2, 40):
        plan = fake.make_plan(tmp_path / str(n_visits), n_visits, visits_per_chunk=2)
        fake.run_all(plan)
        statements: list[str] = []

        def note(*arguments: object, into: list[str] = statements) -> None:
            into.append(str(arguments[2]))

        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            collect(plan)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert 0 < counts[0] == counts[1] <= MOST_STATEMENTS


@pytest.mark.xdist_group("postgres")
def test_a_server_gets_as_many_statements_for_few_quanta_as_for_many(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    counts = []
    for n_visits in (2, 40):
        root, url = tmp_path / str(n_visits), postgres.create_database()
        Butler.create(root, settings=Repository(url))
        plan = fake.make_plan(root, n_visits, visits_per_chunk=2)
        fake.run_all(plan)
        postgres.log_statements(url.rpartition("/")[2])
        before = postgres.n_statements()
        collect(plan)
        counts.append(postgres.n_statements() - before)
    assert 0 < counts[0] == counts[1] <= MOST_STATEMENTS


@pytest.mark.parametrize("change", ["run", "chunk", "quanta"])
def test_a_manifest_of_another_plan_is_refused(tmp_path: Path, change: str) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    other = fake.make_plan(tmp_path / "other", 3)
    fake.run_all(other)
    path, *_ = (manifest_path(plan.campaign.repo, "visit", name) for name in plan.chunks["visit"])
    manifest = read_manifest(path)
    if change == "quanta":
        last = read_manifest(
            manifest_path(other.campaign.repo, "visit", list(other.chunks["visit"])[-1])
        )
        manifest = replace(manifest, quanta=last.quanta)
    else:
        manifest = replace(manifest, **{change: "another"})  # type: ignore[arg-type]
    write_manifest(path, manifest)
    with pytest.raises(RepositoryError, match="is a manifest of another plan"):
        collect(plan)


def test_a_manifest_that_was_cut_in_half_is_named_and_changes_nothing(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    path = manifest_path(
        plan.campaign.repo, "visit_summary", next(iter(plan.chunks["visit_summary"]))
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RepositoryError, match="is not a readable manifest"):
        collect(plan)
    assert datasets_of(tmp_path) == []
    path.write_bytes(content)
    collect(plan)
    assert_agrees(plan)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ([], "it is no object of JSON"),
        (3, "it is no object of JSON"),
        ({"quanta": None}, "a part of it lacks 'quanta'"),
        ({"quanta": {}}, "the quanta of a manifest may not be {}"),
        ({"quanta": [7]}, "a part of it has another form"),
        ({"quanta": [{}]}, "a part of it lacks 'files'"),
        ({"configs": []}, r"the configs of a manifest may not be \[\]"),
        ({"wall_s": "long"}, 'the wall_s of a quantum may not be "long"'),
        ({"id": "x"}, "badly formed"),
        ({"data_id": {"ccd": 3}}, "'ccd' is not a dimension"),
    ],
)
def test_what_is_no_manifest_is_named_and_changes_nothing(
    tmp_path: Path, change: Any, says: str
) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    path = manifest_path(plan.campaign.repo, "visit", next(iter(plan.chunks["visit"])))
    plain = json.loads(path.read_text())
    if not isinstance(change, dict):
        plain = change
    elif change == {"quanta": None}:
        del plain["quanta"]
    elif change.keys() <= plain.keys():
        plain |= change
    else:
        plain["quanta"][0] |= change
    path.write_text(json.dumps(plain))
    with pytest.raises(RepositoryError, match=f"{path} is not a readable manifest: {says}"):
        collect(plan)
    assert datasets_of(tmp_path) == []


@pytest.mark.parametrize("line", ["7", "{}", "{", '{"files": 7}'])
def test_a_line_that_is_no_quantum_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "v1.json"
    partial_path(path).write_text(line + "\n")
    with pytest.raises(RepositoryError, match=f"{path}.partial has a line that is no quantum"):
        read_partial(path, "run", "visit", "v1")


_COLLECT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import fake_campaign as fake
from lsstpipe.execute import collect
from lsstpipe.plan.read import open_plan
plan = open_plan(sys.argv[1], fake.STAGES)
print("ready", flush=True)
collect.BATCH_QUANTA = 4
while True:
    collect.collect(plan)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_collectors_that_are_killed_leave_nothing_half_done(
    tmp_path: Path, postgres: PostgresServer, rng: np.random.Generator, kind: str
) -> None:
    if kind == "postgresql":
        Butler.create(tmp_path, settings=Repository(postgres.create_database()))
    plan = fake.make_plan(tmp_path, 12, visits_per_chunk=3)
    fake.run_all(plan)
    root = Path(__file__).parents[2]
    collector = [sys.executable, "-c", _COLLECT, str(plan.folder), str(Path(__file__).parent)]
    for _ in range(4):
        pair = [
            subprocess.Popen(
                collector, env=os.environ | {"PYTHONPATH": str(root)}, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        for process in pair:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in pair:
            time.sleep(float(rng.uniform(0.0, 0.2)))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        known = named_by_manifests(plan)
        for record in datasets_of(tmp_path):
            assert known[record.id] == record
    collect(open_plan(plan.folder, fake.STAGES))
    assert_agrees(plan)


def test_the_command_prints_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = fake.make_plan(tmp_path, 2)
    fake.run_all(plan)
    monkeypatch.setattr("lsstpipe.plan.read.open_plan", lambda *_, **__: plan)
    words = ["--plan", str(plan.folder), "--follow", "--json"]
    printed = json.loads(CliRunner().invoke(command, words, catch_exceptions=False).stdout)
    assert printed == {"n_manifests": 3, "n_quanta": 5, "n_datasets": 3, "n_missing": 0}


def test_calibrations_that_are_made_anew_of_other_raws_hold_at_the_times_of_these(
    tmp_path: Path,
) -> None:
    plan = fake.make_plan(tmp_path, 1)
    fake.run_all(plan)
    data_id = DataId(instrument="st10", detector=0)
    ref = make_ref(datasets.dark, data_id, "fake")
    dark = DatasetRecord(ref.id, "dark", data_id, "fake", ref.path, 3, "blake2b:a")
    path = ingest_manifest_path(tmp_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Registry.open(registry_url(tmp_path)) as registry:
        registry.load([dark])
        for mjd in (60000.5, 60050.5, 60050.5):
            path.write_text(json.dumps({"raws": [{"mid_mjd": mjd}]}))
            collector = Collector(plan, registry, _calibrations={dark.id: None})
            collector.finish()
            (found,) = registry.query_calibrations("dark", ["fake/calib"])
            assert found.valid_begin_mjd < mjd < found.valid_end_mjd
            assert found.valid_end_mjd - found.valid_begin_mjd < 10
