"""What was exported comes in as it was, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_repository as small
from hypothesis import given, settings
from hypothesis import strategies as st

from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, make_id, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore import Datastore
from lsstpipe.errors import ConflictError, InputFileError, RepositoryError, UserError
from lsstpipe.execute.export import export, plan_export
from lsstpipe.execute.fetch import Intake, plan_intake, take_in
from lsstpipe.execute.index import SCHEMA_VERSION, read_index
from lsstpipe.execute.orphans import find_orphans, remove_orphans
from lsstpipe.execute.sweep import sweep

TAG = "imported/main"


def send(repo: Path, folder: Path, collection: str = "main") -> None:
    with Butler(repo) as butler:
        export(butler, collection, folder, jobs=2, advance=lambda _: None)


def receive(folder: Path, repo: Path) -> Intake:
    source = Datastore(folder)
    index = read_index(source)
    with Butler(repo) as butler:
        return take_in(butler, source, index, index.datasets, jobs=2, advance=lambda _: None)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return small.make_repository(tmp_path / "repo")


@pytest.fixture
def folder(repo: Path, tmp_path: Path) -> Path:
    send(repo, tmp_path / "exported")
    return tmp_path / "exported"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    Butler.create(tmp_path / "mine")
    return tmp_path / "mine"


def test_a_round_trip_keeps_files_records_and_provenance(
    repo: Path, folder: Path, mine: Path
) -> None:
    done = receive(folder, mine)
    assert (done.n_files, done.n_copied, done.collection) == (9, 9, TAG)
    assert small.files_of(mine) == small.files_of(repo)
    with Butler(repo, ["main"]) as theirs, Butler(mine, [TAG]) as ours:
        assert ours.query() == theirs.query()
        for record in ours.query():
            graph = ours.registry.provenance(record.id)
            assert graph == theirs.registry.provenance(record.id)
            assert graph.documents["c0ffee"].text == "sigma: 5"


def test_importing_again_changes_nothing(folder: Path, mine: Path) -> None:
    receive(folder, mine)
    before = small.state_of(mine)
    assert receive(folder, mine).n_copied == 0
    assert small.state_of(mine) == before


def test_what_was_pruned_comes_back_by_an_import(folder: Path, mine: Path) -> None:
    receive(folder, mine)
    before = small.state_of(mine)
    with Butler(mine) as butler:
        records = butler.registry.query_datasets(where="run = 'main'")
        # All that a quantum made, so that the registry has the quantum alone.
        for record in butler.registry.prune([record.id for record in records], is_held_too=True):
            butler.store.remove(record)
    receive(folder, mine)
    assert small.state_of(mine) == before


def test_importing_into_where_it_came_from_only_tags(folder: Path, repo: Path) -> None:
    before = small.state_of(repo)
    assert receive(folder, repo).n_copied == 0
    after = small.state_of(repo)
    assert after["files"] == before["files"]
    assert after["quanta"] == before["quanta"]
    assert after["members"][TAG] == before["members"]["main"]


def test_a_part_does_not_make_the_rest_be_forgotten(repo: Path, folder: Path, mine: Path) -> None:
    # The quantum of a visit made two datasets; each comes by itself.
    index = read_index(Datastore(folder))
    for kind in (small.SUMMARY, "visit_image", "metrics"):
        part = [record for record in index.datasets if record.dataset_type == kind]
        with Butler(mine) as butler:
            take_in(butler, Datastore(folder), index, part, jobs=2, advance=lambda _: None)
    with Butler(repo, ["main"]) as theirs, Butler(mine, [TAG]) as ours:
        assert ours.query() == theirs.query()


def test_exporting_again_and_after_a_stop_gives_the_same_folder(repo: Path, folder: Path) -> None:
    whole = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    send(repo, folder)
    (folder / "index.json").unlink()
    next((folder / "main" / "visit_image").iterdir()).unlink()
    send(repo, folder)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == whole


def test_a_dry_run_changes_nothing(repo: Path, folder: Path, mine: Path, tmp_path: Path) -> None:
    with Butler(repo) as butler:
        assert plan_export(butler, "main", tmp_path / "new").n_copied == 9
        assert plan_export(butler, "main", folder).n_copied == 0
    assert not (tmp_path / "new").exists()
    before = small.state_of(mine)
    index = read_index(Datastore(folder))
    with Butler(mine) as butler:
        planned = plan_intake(butler, Datastore(folder), index, index.datasets)
    assert small.state_of(mine) == before
    assert planned == receive(folder, mine)


def test_a_tag_keeps_its_name(repo: Path, tmp_path: Path, mine: Path) -> None:
    with Butler(repo) as butler:
        butler.registry.tag("best", [butler.registry.query_datasets("metrics")[0].id])
    send(repo, tmp_path / "best", "best")
    receive(tmp_path / "best", mine)
    with Butler(mine, ["best"]) as butler:
        assert [record.dataset_type for record in butler.query()] == ["metrics"]


def test_a_folder_of_another_export_is_refused(repo: Path, folder: Path) -> None:
    with Butler(repo, run="other") as butler:
        butler.put({}, "metrics")
    with pytest.raises(ConflictError, match=f"has an export of '{TAG}' already"):
        send(repo, folder, "other")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "index.json"
    plain = json.loads(path.read_bytes())
    change(plain)
    path.write_text(json.dumps(plain))


def with_run(run: str) -> Callable[[dict[str, Any]], None]:
    """Give every dataset another run, with the ids and paths that then are right."""

    def change(plain: dict[str, Any]) -> None:
        for entry in plain["datasets"]:
            kind = DATASET_TYPES[entry["dataset_type"]]
            ref = make_ref(kind, DataId(entry["data_id"]), run)
            entry |= {"run": run, "id": str(ref.id), "path": ref.path}

    return change


def first_dataset(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda plain: plain["datasets"][0].update(values)


def with_quantum_of(run: str) -> Callable[[dict[str, Any]], None]:
    """Give the first quantum the id that it would have in a run."""

    def change(plain: dict[str, Any]) -> None:
        entry = plain["quanta"][0]
        other = str(make_id(run, entry["task"], str(DataId(entry["data_id"]))))
        for dataset in plain["datasets"]:
            if dataset["quantum_id"] == entry["id"]:
                dataset["quantum_id"] = other
        entry["id"] = other

    return change


REFUSALS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (lambda p: p.update(schema_version=SCHEMA_VERSION + 1), "reads up to 1"),
    "no version": (lambda p: p.pop("schema_version"), "no index of lsstpipe"),
    "no datasets": (lambda p: p.pop("datasets"), "no index of lsstpipe"),
    "a list": (lambda p: p.update(datasets={}, quanta=3), "no index of lsstpipe"),
    "another path": (first_dataset(path="../../metrics.json"), "which should be"),
    "an absolute path": (first_dataset(path="/etc/passwd"), "which should be"),
    "another id": (first_dataset(id="6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11"), "which should be"),
    "an unknown type": (first_dataset(dataset_type="sauce"), "no dataset type 'sauce'"),
    "an unknown dimension": (first_dataset(data_id={"colour": "red"}), "is not a dimension"),
    "a wrong checksum": (first_dataset(checksum="xxh3_128:00"), "was changed or damaged"),
    "no checksum": (first_dataset(checksum=""), "does not say the size and the checksum"),
    "no quantum": (lambda p: p.update(quanta=[]), "lacks the quantum"),
    "a quantum of another run": (with_quantum_of("other"), "which is another one's id"),
    "twice": (lambda p: p["datasets"].append(p["datasets"][0]), "names a dataset twice"),
    "a run above": (with_run("../outside"), "no path below a folder"),
    "an absolute run": (with_run("/tmp/outside"), "no path below a folder"),
    "a hidden run": (with_run(".ssh"), "no path below a folder"),
    "a run with a dot": (with_run("a/./b"), "no path below a folder"),
    "an empty run": (with_run(""), "no path below a folder"),
    "a run of Windows": (with_run("a\\..\\b"), "no path below a folder"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_leaves_all_as_it_was(
    folder: Path, mine: Path, tmp_path: Path, name: str
) -> None:
    change, message = REFUSALS[name]
    edit(folder, change)
    before, outside = small.state_of(mine), sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        receive(folder, mine)
    assert small.state_of(mine) == before
    assert sorted(tmp_path.iterdir()) == outside


def test_text_that_is_no_json_is_refused(folder: Path, mine: Path) -> None:
    (folder / "index.json").write_bytes(b"\xff\x00")
    with pytest.raises(InputFileError, match="no index of lsstpipe"):
        receive(folder, mine)


def test_a_folder_without_an_index_is_refused(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"index\.json is not there"):
        receive(tmp_path, mine)


@pytest.mark.parametrize("damage", ["absent", "changed", "a link"])
def test_a_damaged_file_leaves_all_as_it_was(
    folder: Path, mine: Path, tmp_path: Path, damage: str
) -> None:
    path = next((folder / "main" / "metrics").iterdir())
    content = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(content[:-1] + b" ")
    elif damage == "a link":
        (tmp_path / "secret").write_bytes(content)
        path.symlink_to(tmp_path / "secret")
    before = small.state_of(mine)
    message = {"absent": "is not there", "changed": "changed or damaged", "a link": "leads out of"}
    with pytest.raises(InputFileError, match=message[damage]):
        receive(folder, mine)
    assert small.state_of(mine) == before


def test_other_content_under_the_same_name_is_a_conflict(folder: Path, mine: Path) -> None:
    with Butler(mine, run="main") as butler:
        butler.put({"visit": 77}, small.SUMMARY, instrument="st10", visit=2, detector=0)
    before = small.state_of(mine)
    with pytest.raises(ConflictError, match=f"The run 'main' has another {small.SUMMARY}"):
        receive(folder, mine)
    assert small.state_of(mine) == before


def test_a_file_that_the_registry_does_not_know_is_not_replaced(folder: Path, mine: Path) -> None:
    path = mine / "main" / "metrics" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    before = small.state_of(mine)
    with pytest.raises(ConflictError, match="is there already with other content"):
        receive(folder, mine)
    assert small.state_of(mine) == before


def test_a_frozen_run_takes_nothing_new(folder: Path, mine: Path) -> None:
    with Butler(mine, run="main") as butler:
        butler.put({"n": 1}, "skymap", skymap="sky")
        butler.registry.freeze("main")
    before = small.state_of(mine)
    with pytest.raises(ConflictError, match="Run 'main' is frozen, so it takes no"):
        receive(folder, mine)
    assert small.state_of(mine) == before


def test_the_name_of_a_run_is_no_tag(folder: Path, mine: Path) -> None:
    with Butler(mine, run=TAG) as butler:
        butler.put({"n": 1}, "metrics")
    before = small.state_of(mine)
    with pytest.raises(ConflictError, match=f"'{TAG}' is RUN, not TAGGED"):
        receive(folder, mine)
    assert small.state_of(mine) == before


@pytest.mark.parametrize("tag", ["", "best"])
def test_what_the_tag_cannot_hold_leaves_all_as_it_was(folder: Path, mine: Path, tag: str) -> None:
    data_id = {"instrument": "st10", "visit": 1, "detector": 0}
    with Butler(mine, run="other") as butler:
        butler.registry.tag("best", [butler.put({}, small.SUMMARY, data_id).id])
    edit(folder, lambda index: index.update(collection=tag))
    before = small.state_of(mine)
    with pytest.raises(UserError, match=r"names no collection|from run 'other'"):
        receive(folder, mine)
    assert small.state_of(mine) == before
    index = read_index(Datastore(folder))
    with Butler(mine) as butler, pytest.raises(UserError):
        plan_intake(butler, Datastore(folder), index, index.datasets)


def test_a_disk_that_cannot_be_written_leaves_all_as_it_was(folder: Path, mine: Path) -> None:
    (mine / "main").mkdir()
    (mine / "main" / "visit_image").touch()  # a file where a folder should be
    before = small.state_of(mine)
    with pytest.raises(RepositoryError, match="cannot be written"):
        receive(folder, mine)
    assert small.state_of(mine) == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
RUNS = st.sampled_from(["main", "u/someone/try 2", "été", "a.b"])
VISITS = st.dictionaries(st.integers(0, 2**40), JSON, max_size=5)


@settings(max_examples=8)
@given(runs=st.dictionaries(RUNS, VISITS, min_size=1, max_size=3), metrics=JSON)
def test_any_collection_makes_the_round_trip(runs: dict[str, Any], metrics: object) -> None:
    with tempfile.TemporaryDirectory() as name:
        theirs, ours, folder = (Path(name) / part for part in ("theirs", "ours", "folder"))
        for repo in (theirs, ours):
            Butler.create(repo)
        for run, visits in runs.items():
            with Butler(theirs, run=run) as butler:
                butler.put(metrics, "metrics")
                for visit, value in visits.items():
                    butler.put(value, small.SUMMARY, instrument="st10", visit=visit, detector=1)
        with Butler(theirs) as butler:
            butler.registry.define_chain("all", list(runs))
            found = butler.registry.query_datasets(None, "", ["all"])
        send(theirs, folder, "all")
        for _ in range(2):
            receive(folder, ours)
            with Butler(ours, ["imported/all"]) as butler:
                assert butler.query() == [replace(record, quantum_id=None) for record in found]
                assert all(butler.store.verify(record) for record in butler.query())


def test_an_import_that_is_killed_is_done_again_or_swept(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder, mine = tmp_path / "folder", tmp_path / "mine"
    send(small.make_repository(tmp_path / "repo", 30), folder)
    Butler.create(mine)
    empty = small.files_of(mine)
    command = [sys.executable, "-c", "from lsstpipe.cli.main import main; main()", "import"]
    command += [str(folder), "--repo", str(mine), "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    n_killed = 0
    for kill in range(3):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while not (mine / "main").exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0.0, 0.1 * kill)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        n_killed += process.returncode == -signal.SIGKILL
        with Butler(mine) as butler:
            assert all(butler.store.verify(record) for record in butler.query())
            is_registered = bool(butler.query())
        if not is_registered:
            sweep(mine)
            remove_orphans(mine, find_orphans(mine, 0.0))
            assert small.files_of(mine) == empty
            shutil.rmtree(mine / "main", ignore_errors=True)
    assert n_killed > 0
    receive(folder, mine)
    assert small.files_of(mine) == small.files_of(tmp_path / "repo")
