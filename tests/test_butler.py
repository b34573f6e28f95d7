"""The butler: what was put is got, retries are harmless, and opening it is cheap."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from lsstpipe import datasets
from lsstpipe.butler import Butler, ProductStore
from lsstpipe.data_model import DataId, make_id, make_ref
from lsstpipe.errors import (
    ConflictError,
    DataIdError,
    InputFileError,
    RepositoryError,
    UserError,
)
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure
from lsstpipe.instruments.raw import get_camera, read_raw
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.repository import Repository
from tests.postgres_server import PostgresServer

SUMMARY = "visit_detector_summary"
DATA_ID = DataId(instrument="st10", visit=1, detector=0)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Butler.create(tmp_path / "repository")
    return tmp_path / "repository"


def test_what_was_put_is_got(repository: Path) -> None:
    pixels = np.arange(6, dtype=np.float32).reshape(2, 3)
    image = Exposure(pixels, np.zeros((2, 3), np.int32), pixels, Box(0, 0, 2, 3), "nJy")
    with Butler(repository, run="run") as butler:
        butler.put({"seeing": float("nan")}, SUMMARY, DATA_ID)
        butler.put(image, datasets.visit_image, instrument="st10", visit=1, detector=0)
        butler.put("a,b\n", "lightcurve")
    with Butler(repository, ["run"]) as butler:
        summary = butler.get(SUMMARY, DATA_ID)
        assert isinstance(summary, dict)
        assert np.isnan(summary["seeing"])
        assert butler.get("lightcurve") == "a,b\n"
        got = butler.get("visit_image", DATA_ID)
        assert isinstance(got, Exposure)
        np.testing.assert_array_equal(got.image, pixels)
        assert [r.dataset_type for r in butler.query()] == ["visit_image", SUMMARY, "lightcurve"]
        assert butler.exists(SUMMARY, DATA_ID)
        assert not butler.exists("source", DATA_ID)


def test_putting_again_gives_the_same_dataset_with_the_new_content(repository: Path) -> None:
    with Butler(repository, run="run") as butler:
        first = butler.put({"n": 1}, SUMMARY, DATA_ID)
        assert butler.put({"n": 1}, SUMMARY, DATA_ID) == first
        second = butler.put({"n": 2}, SUMMARY, DATA_ID)
        assert (second.id, second.path) == (first.id, first.path)
        assert butler.get(SUMMARY, DATA_ID) == {"n": 2}
        assert butler.query() == [second]


def test_collections_are_searched_in_order(repository: Path) -> None:
    for run in ("a", "b"):
        with Butler(repository, run=run) as butler:
            butler.put({"run": run}, SUMMARY, DATA_ID)
    with Butler(repository, ["b", "a"]) as butler:
        assert butler.get(SUMMARY, DATA_ID) == {"run": "b"}


def test_what_is_absent_is_named(repository: Path) -> None:
    with Butler(repository, run="run") as butler:
        butler.put({}, SUMMARY, DATA_ID)
        with pytest.raises(RepositoryError, match=r"no source of .*'visit': 1.* in run"):
            butler.get("source", DATA_ID)
        with pytest.raises(DataIdError, match="source needs instrument, visit, detector"):
            butler.get("source", visit=1)
        with pytest.raises(UserError, match="no dataset type 'sauce'"):
            butler.get("sauce", DATA_ID)
    for run in (None, ""):
        with (
            Butler(repository, ["run"], run) as reader,
            pytest.raises(RepositoryError, match="without a run"),
        ):
            reader.put({}, SUMMARY, DATA_ID)


def test_a_dimension_too_many_is_refused(repository: Path) -> None:
    more = DataId(DATA_ID, band="r")
    with Butler(repository, run="run") as butler:
        record = butler.put({"n": 1}, SUMMARY, DATA_ID)
        refused = pytest.raises(
            DataIdError, match=r"instrument, visit, detector; got .*'band': 'r'"
        )
        with refused:
            butler.put({"n": 2}, SUMMARY, more)
        for ask in (butler.get, butler.find, butler.exists):
            with refused:
                ask(SUMMARY, DATA_ID, band="r")
        with pytest.raises(DataIdError, match="metrics has the dimensions none"):
            butler.put({}, "metrics", DATA_ID)
        assert butler.query() == [record]
        assert butler.get(SUMMARY, DATA_ID) == {"n": 1}


@pytest.mark.parametrize(
    "run",
    ["..", "../run", "a/../../run", "/run", "a//b", "a/", ".a", "a/.b", "a\\b", "s3://b", "a\0"],
)
def test_a_run_is_a_folder_below_the_root(repository: Path, run: str) -> None:
    with pytest.raises(RepositoryError, match="A run is named by parts"):
        Butler(repository, run=run)
    with Butler(repository, run="hsc/main 1") as butler:
        assert butler.put({}, SUMMARY, DATA_ID).path.startswith("hsc/main 1/")


def test_a_file_that_is_gone_or_changed_is_noticed(repository: Path) -> None:
    with Butler(repository, run="run") as butler:
        record = butler.put({"n": 1}, SUMMARY, DATA_ID)
        path = repository / record.path
        path.write_bytes(path.read_bytes().replace(b"1", b"2"))
        with pytest.raises(InputFileError, match="changed or damaged"):
            butler.get(SUMMARY, DATA_ID)
        assert not butler.store.verify(record)
        butler.store.remove(record)
        assert not butler.exists(SUMMARY, DATA_ID)
        with pytest.raises(InputFileError, match="is not there"):
            butler.get(SUMMARY, DATA_ID)


def test_a_frozen_run_refuses_another_content(repository: Path) -> None:
    with Butler(repository, run="run") as butler:
        butler.put({"n": 1}, SUMMARY, DATA_ID)
        butler.registry.freeze("run")
        with pytest.raises(ConflictError, match="frozen"):
            butler.put({"n": 2}, SUMMARY, DATA_ID)
        assert butler.get(SUMMARY, DATA_ID) == {"n": 1}


def test_a_store_works_without_a_registry(tmp_path: Path) -> None:
    store = ProductStore(tmp_path)
    ref = make_ref(datasets.visit_detector_summary, DATA_ID, "run")
    quantum = make_id("run", "calibrate", str(DATA_ID))
    record = store.write(ref, {"n": 1}, quantum)
    assert (record.id, record.quantum_id, record.path) == (ref.id, quantum, ref.path)
    assert store.read(ref) == store.read(record) == {"n": 1}
    assert store.exists(ref)
    assert store.verify(record)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_there_must_be_a_repository(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no repository at"):
        Butler(tmp_path)
    Butler.create(tmp_path / "with ? and % signs")
    with pytest.raises(RepositoryError, match="is a registry already"):
        Butler.create(tmp_path / "with ? and % signs")
    Butler.create(tmp_path / "with ? and % signs", exist_ok=True)
    assert [p.name for p in tmp_path.iterdir()] == ["with ? and % signs"]


def test_importing_the_butler_brings_none_of_the_heavy_libraries() -> None:
    heavy = ["astropy", "numba", "pandas", "pyarrow", "scipy", "fsspec", "pydantic"]
    code = f"import sys, lsstpipe.butler; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_a_repository_remembers_where_its_registry_is(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.create_database()
    Butler.create(tmp_path / "a", settings=Repository(url))
    Butler.create(tmp_path / "a", settings=Repository(url), exist_ok=True)
    with Butler(tmp_path / "a", run="run") as butler:
        butler.put({"n": 1}, SUMMARY, DATA_ID)
    with Butler(tmp_path / "a", ["run"]) as butler:
        assert butler.get(SUMMARY, DATA_ID) == {"n": 1}
    assert not (tmp_path / "a" / "registry.sqlite3").exists()
    with pytest.raises(RepositoryError, match="keeps what it was made with"):
        Butler.create(
            tmp_path / "a", settings=Repository(postgres.create_database()), exist_ok=True
        )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"schema_version": 1, "colour": 1}',
        '{"schema_version": 2',
        '{"schema_version": 2, "registry": 5}',
        '{"schema_version": 2, "also_read": "s3://a"}',
        '{"schema_version": 2, "also_read": [5]}',
        '{"schema_version": 2, "cache_gb": NaN}',
        '{"schema_version": 2, "cache_gb": "5"}',
    ],
)
def test_a_damaged_repository_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "repository.json").write_text(content)
    with pytest.raises(RepositoryError, match=r"repository\.json does not describe a repository"):
        Butler(tmp_path)
    (tmp_path / "repository.json").write_text('{"schema_version": 9, "registry": "x"}')
    with pytest.raises(RepositoryError, match="has version 9, this lsstpipe reads versions 1 to 2"):
        Butler(tmp_path)


def test_a_raw_is_read_from_a_remote_datastore(tres1: Path) -> None:
    path = next(path for path in sorted(tres1.rglob("*.fits*")))
    camera = get_camera("st10")
    local = read_raw(path, camera)
    assert local.info is not None
    store = ProductStore(f"memory://{uuid.uuid4()}")
    data_id = DataId(instrument="st10", exposure=local.info.exposure, detector=0)
    stored = store.datastore.write(f"raws/{path.name}", path.read_bytes())
    record = DatasetRecord(
        uuid.uuid4(), "raw", data_id, "raw", stored.path, stored.size, stored.checksum
    )
    remote = store.read(record)
    assert isinstance(remote, Exposure)
    assert remote.info == local.info
    np.testing.assert_array_equal(remote.image, local.image)
    store.datastore.write(stored.path, path.read_bytes()[:-1])
    with pytest.raises(InputFileError, match="changed or damaged"):
        store.read(record)


def test_a_table_of_datasets_has_what_the_records_have(repository: Path) -> None:
    with Butler(repository, run="run") as butler:
        records = [
            butler.put({"n": visit}, SUMMARY, instrument="st10", visit=visit, detector=0)
            for visit in (1, 2)
        ]
        records.append(butler.put("a,b\n", "lightcurve"))
        table = butler.query_table()
        assert table["id"].to_pylist() == [str(record.id) for record in records]
        assert table["visit"].to_pylist() == [1, 2, None]
        assert table["path"].to_pylist() == [record.path for record in records]
        assert butler.query_table(SUMMARY, "visit = 2")["visit"].to_pylist() == [2]
        empty = butler.query_table(SUMMARY, "visit = 9")
        assert (empty.num_rows, empty.schema) == (0, table.schema)


def test_a_repository_reads_what_others_have_and_keeps_copies(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    Butler.create(first)
    with Butler(first, run="run") as butler:
        record = butler.put({"n": 1}, SUMMARY, DATA_ID)
    Butler.create(second, settings=Repository(also_read=(str(first),), cache_gb=0.001))
    with Butler(second, run="run") as butler:
        butler.registry.load([record])
        assert butler.get(SUMMARY, DATA_ID) == {"n": 1}
        assert butler.put({"n": 2}, SUMMARY, DATA_ID).path == record.path
        assert butler.get(SUMMARY, DATA_ID) == {"n": 2}
    with Butler(first, ["run"]) as butler:
        assert butler.get(SUMMARY, DATA_ID) == {"n": 1}


@pytest.mark.parametrize("data_id", [{"visit": 2**63}, {"visit": 1, "instrument": "a\0"}])
def test_a_data_id_that_no_database_takes_leaves_no_file(
    repository: Path, data_id: dict[str, int | str]
) -> None:
    before = sorted(repository.rglob("*"))
    with Butler(repository, run="run") as butler, pytest.raises(DataIdError):
        butler.put({}, "visit_summary", {"instrument": "st10"} | data_id)
    assert [p for p in sorted(repository.rglob("*")) if p not in before] == []
