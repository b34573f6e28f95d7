"""What lsstpipe exports Rubin's own Butler imports, finds and reads; and the other way round."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from lsstpipe import datasets
from lsstpipe.butler import Butler
from lsstpipe.cli.main import cli
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.errors import InputFileError, RepositoryError
from lsstpipe.execute.butler_dimensions import _hull
from lsstpipe.execute.butler_ingest import ingest_butler
from lsstpipe.execute.butler_yaml import Time, day_of
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.region import polygon_contains, polygons_from_sky
from lsstpipe.geometry.skymap import PatchGrid, SkyMap
from lsstpipe.geometry.sphere import sky_positions, unit_vectors
from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.registry.records import DatasetRecord
from tests.conftest import IN_CI

LOCK = Path(__file__).parents[2] / "envs" / "requirements.lock"
PROGRAM = Path(__file__).with_name("theirs.py")
VISITS = (101, 102)
DETECTORS = (40, 41)
FILTER, BAND = "HSC-R", "r"
CENTRES = {101: (180.0, 10.0), 102: (180.3, 10.1)}
SKYMAP = SkyMap.discrete("two", [(180.0, 10.0), (184.0, 10.0)], 2.0, PatchGrid(2, 3, 400, 400, 20))
SCHEMA = Schema(
    "source",
    (
        Column("source_id", "int64", "", "Id."),
        Column("flux", "float64", "nJy", "Flux."),
        Column("name", "<U4", "", "Name."),
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _theirs() -> None:
    """Leave the tests out where Rubin's Butler is not installed, unless the lock file has it."""
    if importlib.util.find_spec("lsst.daf.butler") is None:
        reason = "lsst-daf-butler is not installed"
        if IN_CI and "lsst-daf-butler==" in LOCK.read_text():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def theirs(what: str, *arguments: object) -> Any:
    """Let Rubin's Butler do something in a process of its own; give what it says."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), what, *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def invoke(*words: str | Path) -> str:
    arguments = [str(word) for word in words]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False).output


def table_of(visit: int, detector: int) -> Catalog:
    n = np.arange(5)
    values = {"source_id": 1000 * visit + n, "flux": detector * np.sqrt(n), "name": ["ab"] * 5}
    return Catalog(SCHEMA, values)


def corners_of(visit: int, detector: int) -> list[tuple[float, float]]:
    ra, dec = CENTRES[visit]
    west = ra + 0.2 * (detector - DETECTORS[0])
    return [(west, dec), (west + 0.2, dec), (west + 0.2, dec + 0.2), (west, dec + 0.2)]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Two visits of two detectors: raws, images, tables, a coadd, a dark, a chain, a tag."""
    root = tmp_path / "repo"
    Butler.create(root)
    with Butler(root, run="night") as butler:
        insert_raws(butler, tmp_path)
        butler.put(SKYMAP.to_json_dict(), "skymap", skymap="two")
        for visit in VISITS:
            for detector in DETECTORS:
                data_id = DataId(instrument="hsc", visit=visit, detector=detector)
                butler.put(image(), "visit_image", data_id)
                butler.put(table_of(visit, detector), "source", data_id)
            butler.put({"visit": visit}, "visit_summary", instrument="hsc", visit=visit)
        butler.put(image(), "deep_coadd", skymap="two", tract=0, patch=4, band=BAND)
        butler.put({"ok": True}, "metrics")
    with Butler(root, run="old") as butler:
        kept = butler.put({"visit": 101}, "visit_summary", instrument="hsc", visit=101)
        darks = [butler.put(image(), "dark", instrument="hsc", detector=n) for n in DETECTORS]
        butler.registry.tag("good", [kept.id])
        butler.registry.certify("calib", [darks[0].id], 60000.0, math.inf)
        butler.registry.certify("calib", [darks[1].id], 60000.25, 60100.5)
        butler.registry.define_chain("inner", ["night", "raw"])
        butler.registry.define_chain("all", ["inner", "good", "calib"])
    return root


def insert_raws(butler: Butler, folder: Path) -> None:
    infos, records, outlines, patches = [], [], {}, []
    for visit in VISITS:
        for detector in DETECTORS:
            data_id = DataId(instrument="hsc", exposure=visit, detector=detector)
            path = folder / f"HSC.{visit}.{detector}.fits.fz"
            path.write_bytes(f"raw {visit} {detector}".encode())
            ref = make_ref(datasets.raw, data_id, "raw")
            stored = butler.store.datastore.describe(str(path))
            infos.append(
                ObservationInfo(
                    "hsc", visit, detector, FILTER, BAND, "science", "field", 30.0, 31.0,
                    60000.0 + visit / 1000, airmass=2.0,
                )
            )  # fmt: skip
            records.append(
                DatasetRecord(
                    ref.id, "raw", data_id, "raw", str(path), stored.size, stored.checksum
                )
            )
            outlines[data_id] = corners_of(visit, detector)
    butler.registry.insert_exposures(infos, records, outlines)
    for tract in SKYMAP.tracts:
        ra, dec = sky_positions(tract.patch_polygons())
        outlined = np.stack([ra, dec], axis=-1).tolist()
        patches += [(tract.index, p.index, outlined[n]) for n, p in enumerate(tract.patches)]
    butler.registry.insert_patches("two", patches)


def image() -> Exposure:
    pixels = np.ones((4, 5), dtype=np.float32)
    return Exposure(pixels, np.zeros((4, 5), np.int32), pixels, Box(0, 0, 4, 5), "nJy")


def test_rubins_butler_imports_finds_and_reads_what_is_exported(repo: Path, tmp_path: Path) -> None:
    folder, target = tmp_path / "folder", tmp_path / "theirs"
    done = json.loads(invoke("export-butler", "all", folder, "--repo", repo, "--json"))
    with Butler(repo) as butler:
        records = butler.registry.query_datasets()
        overlaps = butler.registry.query_overlaps("two")
    assert done["n_datasets"] == len(records)
    names = {"skymap": "skymap_json"}
    asked = tmp_path / "asked.json"
    asked.write_text(
        json.dumps(
            [[names.get(r.dataset_type, r.dataset_type), dict(r.data_id), r.run] for r in records]
        )
    )
    found = theirs("import", folder, target, asked)
    # Every dataset is found by its data ID, under the id that it has here.
    assert found["ids"] == [str(record.id) for record in records]
    assert found["files"] == [record.size for record in records]
    assert found["chain"] == ["inner", "good", "calib"]
    assert found["tagged"] == [101]
    assert found["certified"] == [
        [40, ["2023-02-25 00:00:00.000000000", None]],
        [41, ["2023-02-25 06:00:00.000000000", "2023-06-05 12:00:00.000000000"]],
    ]
    for visit in VISITS:
        for detector in DETECTORS:
            own = found["tables"][f"{visit} {detector}"]
            expected = table_of(visit, detector).columns
            assert own["source_id"] == own["arrow"] == expected["source_id"].tolist()
            assert own["flux"] == expected["flux"].tolist()
            assert own["name"] == expected["name"].tolist()
            assert own["unit"] == "nJy"
    assert found["image"] == {"shape": [4, 5], "sum": 20.0}
    assert found["json"] == {"visit": 102}
    # Rubin's geometry says of the same regions what lsstpipe's says.
    ours = zip(
        *(overlaps[n].tolist() for n in ("exposure", "detector", "tract", "patch")), strict=True
    )
    assert found["overlaps"] == sorted([list(pair) for pair in ours if pair[2] == 0])
    begin, end = found["visit_timespan"]
    assert end - begin == pytest.approx(30.0, abs=1e-5)
    assert (begin + end) / 2 == pytest.approx((60000.101 - 40587) * 86400, abs=1e-4)
    assert found["zenith_angle"] == pytest.approx(60.0)
    assert found["day_obs"] == 20230224


def test_what_rubins_butler_exports_is_ingested(repo: Path, tmp_path: Path) -> None:
    folder, target, back = tmp_path / "folder", tmp_path / "theirs", tmp_path / "back"
    invoke("export-butler", "all", folder, "--repo", repo)
    theirs("export", folder, target, back)
    mine = tmp_path / "mine"
    Butler.create(mine)
    done = json.loads(invoke("ingest-butler", back / "export.yaml", "--repo", mine, "--json"))
    # The raws of this repository are no FITS; all else comes back as it was.
    refused = [item for item in done["refused"] if "theirs_only" not in item["message"]]
    assert len(refused) == len(VISITS) * len(DETECTORS)
    with Butler(repo) as old, Butler(mine, ["all"]) as new:
        expected = {r.id: r for r in old.registry.query_datasets() if r.dataset_type != "raw"}
        found = {r.id: r for r in new.registry.query_datasets()}
        assert found.keys() == expected.keys()
        for key, record in found.items():
            assert record.data_id == expected[key].data_id
            assert record.checksum == expected[key].checksum
            assert Path(record.path).is_relative_to(back)
        assert new.get("visit_summary", instrument="hsc", visit=102) == {"visit": 102}
        data_id = DataId(instrument="hsc", detector=41)
        for mjd, holds in ((60000.2, False), (60000.3, True), (60100.6, False)):
            calibration = new.registry.find_calibration("dark", data_id, mjd, ["calib"])
            assert (calibration is not None) == holds
        assert new.registry.chains()["all"] == ["inner", "good", "calib"]
        there = new.registry.query_outlines("patch")
        theirs_ = {k: v for k, v in old.registry.query_outlines("patch").items() if k["tract"] == 0}
        assert there.keys() == theirs_.keys()
        for key, corners in there.items():
            np.testing.assert_allclose(corners, theirs_[key], rtol=0, atol=1e-12)
    again = json.loads(invoke("ingest-butler", back / "export.yaml", "--repo", mine, "--json"))
    assert (again["n_new"], again["n_datasets"]) == (0, len(expected))


def test_raws_are_named_by_their_headers(tres1: Path, tmp_path: Path) -> None:
    raws = sorted(tres1.glob("*.fits.fz"))[:2]
    mine, export = tmp_path / "mine", tmp_path / "export.yaml"
    Butler.create(mine)
    from lsstpipe.instruments import get_camera, read_info

    infos = [read_info(path, get_camera("st10")) for path in raws]
    theirs(
        "raws", export, json.dumps([[str(p), i.exposure] for p, i in zip(raws, infos, strict=True)])
    )
    with Butler(mine) as butler:
        taken = ingest_butler(butler, export)
        assert (taken.n_raws, taken.n_new) == (2, 2)
        # The third claims the first file for another exposure.
        (refusal,) = taken.refused
        assert refusal.path == str(raws[0])
        assert f"{infos[0].exposure}" in refusal.message
        found = butler.registry.query_exposures()
        # Spelled, because what is not known is NaN, which equals nothing.
        assert [str(info) for info, _ in found] == [
            str(info) for info in sorted(infos, key=lambda info: info.mid_mjd)
        ]
        assert {record.path for _, record in found} == {str(path) for path in raws}
        assert isinstance(butler.store.read(found[0][1]), Exposure)


def test_an_exposure_that_is_not_known_is_named(tmp_path: Path) -> None:
    Butler.create(tmp_path / "repo")
    with Butler(tmp_path / "repo", run="night") as butler:
        butler.put({}, "visit_summary", instrument="hsc", visit=7)
    with pytest.raises(RepositoryError, match="knows no exposure 7 of hsc"):
        invoke("export-butler", "night", tmp_path / "folder", "--repo", tmp_path / "repo")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "a: [",
        "data: []",
        "version: 2.0.0\ndata: []",
        "7",
        "version: 1\ndata: [7]",
        "version: 1\ndata: [{}]",
        "version: 1\ndata: [{type: dataset, run: a}]",
        "version: 1\ndata: [{type: [], run: a}]",
        *(
            f"version: 1\ndata: [{{type: dataset, dataset_type: raw, run: a, records: {rows}}}]"
            for rows in (
                "7",
                "[7]",
                "[{}]",
                "[{path: 7, dataset_id: a, data_id: {}}]",
                "[{path: a, dataset_id: a, data_id: 7}]",
            )
        ),
        "version: 1\ndata: [{type: dimension, element: patch, records: [{skymap: a, tract: b}]}]",
        "version: 1\ndata: [{type: associations, collection: a, collection_type: TAGGED}]",
        *(
            "version: 1\ndata: [{type: associations, collection: a, collection_type: CALIBRATION, "
            f"validity_ranges: {ranges}}}]"
            for ranges in (
                "7",
                "[7]",
                "[{timespan: 7, dataset_ids: []}]",
                "[{timespan: !lsst.daf.butler.Timespan {begin: 7, end: 8}}]",
            )
        ),
        "version: 1\ndata: [{type: collection, collection_type: CHAINED, name: a, children: [7]}]",
        "version: 1\ndata: [!uuid [7]]",
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, content: str) -> None:
    Butler.create(tmp_path / "repo")
    (tmp_path / "export.yaml").write_text(content)
    with (
        Butler(tmp_path / "repo") as butler,
        pytest.raises(InputFileError, match=r"no export of a Butler|version 2\.0\.0") as refused,
    ):
        ingest_butler(butler, tmp_path / "export.yaml")
    said = str(refused.value)
    assert "\n" not in said
    assert not any(word in said for word in ("object", "indices", "key"))


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ("dataset_id: a, data_id: {instrument: hsc, exposure: x}", "visit_summary has instrument,"),
        ("dataset_id: a, data_id: {7: 8}", "visit_summary has instrument, visit, not 7"),
        ("dataset_id: a, data_id: [7]", "A data ID of visit_summary must be a mapping, got 7"),
        ("dataset_id: a, data_id: []", "holds 1 datasets of 0 data IDs; lsstpipe takes one"),
        ("dataset_id: [a, b], data_id: {}", "holds 2 datasets of 1 data IDs; lsstpipe takes one"),
    ],
)
def test_a_record_of_no_data_id_is_refused_and_the_rest_goes_on(
    tmp_path: Path, ids: str, says: str
) -> None:
    Butler.create(tmp_path / "repo")
    (tmp_path / "good.json").write_text("{}")
    good = "{path: good.json, dataset_id: {}, data_id: {instrument: hsc, visit: 7}}"
    (tmp_path / "export.yaml").write_text(
        "version: 1\ndata: [{type: dataset, dataset_type: visit_summary, run: a, "
        f"records: [{{path: bad.json, {ids}}}, {good}]}}]"
    )
    with Butler(tmp_path / "repo") as butler:
        taken = ingest_butler(butler, tmp_path / "export.yaml")
    assert taken.n_datasets == 1
    (refused,) = taken.refused
    assert says in refused.message


def test_times_come_back(rng: np.random.Generator) -> None:
    for mjd in (60000.0, 51544.5, *rng.uniform(40000, 70000, 100)):
        # A double has a resolution of 0.6 us here; nanoseconds are enough.
        assert abs(Time.parse(str(Time(mjd))).mjd - mjd) < 1e-11
    assert str(Time(51544.5)) == "2000-01-01 12:00:00.000000000"


def test_a_night_ends_at_noon() -> None:
    assert day_of(51544.499) == 19991231
    assert day_of(51544.5) == 20000101


def test_a_hull_holds_all_points_and_has_some_of_them_as_corners(rng: np.random.Generator) -> None:
    ra, dec = rng.uniform(10, 13, 50), rng.uniform(80, 83, 50)
    points = unit_vectors(ra, dec)
    hull = _hull(points)
    assert 3 <= len(hull) < len(points)
    assert all(any(np.array_equal(corner, point) for point in points) for corner in hull)
    # The corners come in the order that a polygon needs, and none lies within the others.
    polygon = polygons_from_sky(*sky_positions(hull))
    np.testing.assert_allclose(polygon, hull, rtol=0, atol=1e-14)
    assert polygon_contains(polygon, ra, dec).all()
