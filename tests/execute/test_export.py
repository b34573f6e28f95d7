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
from lsstpipe.geometry.position import parse_position
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.repository import Repository

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


CORNERS = [(10.0, 5.0), (11.0, 5.0), (11.0, 6.0), (10.0, 6.0)]
CELL = [(10.0, 5.0), (10.5, 5.0), (10.5, 5.5), (10.0, 5.5)]


@pytest.fixture
def placed(repo: Path, tmp_path: Path) -> Path:
    """Export visits of which detectors' outlines are known, and a coadd with its patches."""
    with Butler(repo, run="main") as butler:
        found = butler.registry.query_exposures()
        first = found[0][1].data_id
        # A second detector, of which there is no dataset.
        second = replace(found[0][0], detector=1, ra_deg=10.5, dec_deg=5.5, airmass=1.1)
        data_id = DataId(instrument="st10", exposure=second.exposure, detector=1)
        ref = make_ref(DATASET_TYPES["raw"], data_id, "raw")
        raw = replace(found[0][1], id=ref.id, data_id=data_id, path="/raws/1_1.fits")
        infos, records = [*(info for info, _ in found), second], [*(r for _, r in found), raw]
        butler.registry.insert_exposures(infos, records, {first: CORNERS, data_id: CORNERS})
        butler.registry.insert_patches("map", [(0, 3, CELL), (1, 3, CELL)])
        image = butler.get("visit_image", instrument="st10", visit=1, detector=0)
        butler.put(image, "deep_coadd", skymap="map", tract=0, patch=3, band="r")
        butler.put({}, "visit_summary", instrument="st10", visit=1)
    send(repo, tmp_path / "placed")
    return tmp_path / "placed"


QUERIES = {
    "band": ("visit_image", "band = 'r' AND mid_mjd > 60001.5", None),
    "target": (None, "target = 'M31'", None),
    "visit": (None, "", "POINT 10.7 5.7"),
    "patch": ("deep_coadd", "", "CIRCLE 10.2 5.2 0.01"),
    "nowhere": (None, "", "POINT 50 5"),
}


def answers(repo: Path, collection: str) -> dict[str, list[Any]]:
    with Butler(repo) as butler:
        registry = butler.registry
        return {
            name: [
                (r.dataset_type, r.data_id)
                for r in registry.query_datasets(
                    kind, where, [collection], place and parse_position(place)
                )
            ]
            for name, (kind, where, place) in QUERIES.items()
        }


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make an empty repository with a registry of either kind."""
    settings = None
    if request.param == "postgresql":
        settings = Repository(registry=request.getfixturevalue("postgres").create_database())
    Butler.create(tmp_path / "target", settings=settings)
    return tmp_path / "target"


def test_what_is_imported_is_found_by_exposure_and_place(
    repo: Path, placed: Path, target: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        receive(placed, target)
    expected = answers(repo, "main")
    assert [len(expected[name]) for name in QUERIES] == [1, 9, 3, 1, 0]
    assert answers(target, TAG) == expected
    with Butler(target) as butler:
        # No raw came, so there is none to be reduced; what is made of it may be removed.
        assert butler.registry.query_exposures() == []
        assert len(butler.registry.query_outlines("patch")) == 1
        assert len(butler.registry.query_outlines("exposure")) == 2
    # What was imported says as much when it is exported again.
    send(target, tmp_path / "again", TAG)
    assert (tmp_path / "again" / "index.json").read_bytes() == (placed / "index.json").read_bytes()


def test_an_imported_exposure_lasts_as_long_as_a_dataset_of_it(placed: Path, target: Path) -> None:
    receive(placed, target)
    with Butler(target) as butler:
        registry = butler.registry
        own = [r for r in registry.query_datasets(None, "visit = 1") if "visit" in r.data_id]
        assert len(own) == 3
        for n, record in enumerate(own):
            assert len(registry.query_datasets(None, "visit = 1 AND band = 'r'")) == 3 - n
            registry.release(TAG, [record.id])
            registry.prune([record.id])
        assert registry.query_known_exposures({("st10", 1)}) == []
        assert len(registry.query_known_exposures({("st10", 2)})) == 1
        # A quantum that is done again without it forgets the dataset that an exposure hangs on.
        (image,) = registry.query_datasets("visit_image", "visit = 2")
        quantum = registry.provenance(image.id).quanta[image.quantum_id]
        registry.release(TAG, [r.id for r in registry.query_datasets(None, "visit = 2")])
        again = replace(quantum, outputs=(image.id,), started_mjd=quantum.started_mjd + 1)
        registry.load([image], [again])
        assert registry.query_datasets(None, "visit = 2 AND band = 'g'") == [image]
        registry.load([], [replace(again, outputs=(), started_mjd=again.started_mjd + 1)])
        assert registry.query_known_exposures({("st10", 2)}) == []


def test_what_a_registry_knows_of_exposures_and_patches_stays(placed: Path, mine: Path) -> None:
    data_id = DataId(instrument="st10", exposure=1, detector=0)
    ref = make_ref(DATASET_TYPES["raw"], data_id, "raw")
    raw = DatasetRecord(ref.id, "raw", data_id, "raw", "/raws/1.fits", 1, "x:0")
    (info, *_) = read_index(Datastore(placed)).sky.exposures
    own = replace(info, target="M32")
    moved = [(ra + 5, dec) for ra, dec in CELL]
    with Butler(mine) as butler:
        butler.registry.insert_exposures([own], [raw])
        butler.registry.insert_patches("map", [(0, 3, moved)])
    receive(placed, mine)
    with Butler(mine) as butler:
        assert butler.registry.query_exposures() == [(own, raw)]
        assert butler.registry.query_patches({("map", 0)}) == [("map", 0, 3, moved)]
        # The raw itself may come later: what its header says counts.
        late = butler.registry.query_known_exposures({("st10", 2)})[0][0]
        second = DataId({**data_id, "exposure": 2})
        ref = make_ref(DATASET_TYPES["raw"], second, "raw")
        other = replace(raw, id=ref.id, data_id=second)
        butler.registry.insert_exposures([replace(late, target="M33")], [other])
        assert [i.target for i, _ in butler.registry.query_exposures()] == ["M32", "M33"]


def test_an_index_of_the_older_form_is_read(placed: Path, mine: Path) -> None:
    def make_older(plain: dict[str, Any]) -> None:
        del plain["outlines"], plain["patches"]
        plain["exposures"] = [e for e in plain["exposures"] if e["detector"] == 0]

    edit(placed, make_older)
    receive(placed, mine)
    found = answers(mine, TAG)
    assert [len(found[name]) for name in QUERIES] == [1, 9, 0, 0, 0]


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


def first_exposure(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda plain: plain["exposures"][0].update(values)


def with_outline(**values: object) -> Callable[[dict[str, Any]], object]:
    entry = {"instrument": "st10", "exposure": 1, "detector": 0, "corners": CORNERS}
    return lambda plain: plain.update(outlines=[entry | values])


def with_patch(**values: object) -> Callable[[dict[str, Any]], object]:
    entry = {"skymap": "map", "tract": 0, "patch": 3, "corners": CELL}
    return lambda plain: plain.update(patches=[entry | values])


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
    **{
        f"an exposure of {name} {value!r}": (first_exposure(**{name: value}), message)
        for name, value, message in (
            ("colour", "red", "an exposure has no 'colour'"),
            ("band", 3, "band must be text, got 3"),
            ("exposure", "1", "exposure must be a whole number, got '1'"),
            ("exposure", 2**63, "exposure is 9223372036854775808, which is out of its range"),
            ("detector", -1, "detector is -1, which is out of its range"),
            ("mid_mjd", None, "an exposure lacks 'mid_mjd'"),
            ("mid_mjd", float("inf"), "mid_mjd must be a number, got inf"),
            ("airmass", "high", "airmass must be a number, got 'high'"),
        )
    },
    **{
        f"an outline of {name} {value!r}": (with_outline(**{name: value}), message)
        for name, value, message in (
            ("colour", "red", "a place has instrument, exposure, detector and corners, not"),
            ("exposure", 77, "an outline of .*77.* but no such exposure"),
            ("corners", CORNERS[:3], "a place has 3 corners instead of 4"),
            ("corners", [*CORNERS[:3], (1.0, 91.0)], "a corner has dec 91.0"),
            ("corners", [*CORNERS[:3], (float("nan"), 1.0)], "ra must be a number, got nan"),
            ("corners", 3, "no index of lsstpipe"),
        )
    },
    "a patch of a large number": (with_patch(patch=2**31), "patch is 2147483648, which is out"),
    "a patch of no map": (with_patch(skymap=3), "skymap must be text, got 3"),
    "patches of no list": (lambda p: p.update(patches=3), "no index of lsstpipe"),
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
