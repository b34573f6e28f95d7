"""What the tests let Rubin's own Butler do, in a process of its own; prints JSON.

python theirs.py import FOLDER REPO ASKED
python theirs.py export FOLDER REPO TARGET
python theirs.py raws EXPORT_FILE PATHS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, DatasetType
from lsst.daf.butler.registry import CollectionType


def take(folder: str, repo: str) -> Butler:
    """Make a repository and import an export into it."""
    Butler.makeRepo(repo)
    butler = Butler.from_config(repo, writeable=True)
    butler.import_(directory=folder, filename=f"{folder}/export.yaml", transfer="copy")
    return butler


def look(folder: str, repo: str, asked: str) -> dict[str, Any]:
    """Import, and find and read everything."""
    butler = take(folder, repo)
    wanted = json.loads(Path(asked).read_text())
    refs = [butler.find_dataset(name, data_id, collections=run) for name, data_id, run in wanted]
    assert None not in refs
    tables, chained = {}, Butler.from_config(repo, collections="all")
    for ref in butler.query_datasets("source", collections="night"):
        table = chained.get("source", ref.dataId)
        arrow = butler.get(ref, storageClass="ArrowTable")
        tables[f"{ref.dataId['visit']} {ref.dataId['detector']}"] = {
            "source_id": table["source_id"].tolist(),
            "flux": table["flux"].tolist(),
            "name": table["name"].tolist(),
            "unit": str(table["flux"].unit),
            "arrow": arrow["source_id"].to_pylist(),
        }
    where = "instrument = 'hsc' AND skymap = 'two'"
    pairs = butler.query_data_ids(["visit", "detector", "patch"], where=where)
    (visit,) = butler.query_dimension_records("visit", where="instrument = 'hsc' AND visit = 101")
    (night,) = butler.query_dimension_records("day_obs", where="instrument = 'hsc'")
    image = butler.get("deep_coadd", collections="night", skymap="two", tract=0, patch=4, band="r")
    return {
        "image": {"shape": image["IMAGE"].shape, "sum": float(image["IMAGE"].sum())},
        "ids": [str(ref.id) for ref in refs],
        "files": [butler.getURI(ref).size() for ref in refs],
        "chain": list(butler.collections.get_info("all").children),
        "tagged": [r.dataId["visit"] for r in butler.query_datasets("visit_summary", "good")],
        "certified": certified(butler),
        "tables": tables,
        "json": chained.get("visit_summary", instrument="hsc", visit=102),
        "overlaps": sorted([d[n] for n in ("visit", "detector", "tract", "patch")] for d in pairs),
        "visit_timespan": [value / 1e9 for value in visit.timespan.nsec],
        "zenith_angle": visit.zenith_angle,
        "day_obs": night.id,
    }


def certified(butler: Butler) -> list[Any]:
    """Give the times for which darks hold, by detector."""
    held = butler.registry.queryDatasetAssociations(
        "dark", collections="calib", collectionTypes={CollectionType.CALIBRATION}
    )
    rows = []
    for item in held:
        bounds = (item.timespan.begin, item.timespan.end)
        spelled = [None if t is None else t.tai.to_value("iso", subfmt="date_hms") for t in bounds]
        rows.append([item.ref.dataId["detector"], [s and f"{s[:23]}000000" for s in spelled]])
    return sorted(rows)


def give(folder: str, repo: str, target: str) -> dict[str, Any]:
    """Import, add a dataset that lsstpipe has no type for, and export everything again."""
    butler = take(folder, repo)
    kind = DatasetType("theirs_only", (), "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    butler.collections.register("their_run")
    butler.put({"a": 1}, "theirs_only", run="their_run")
    Path(target).mkdir()
    with butler.export(directory=target, filename=f"{target}/export.yaml", transfer="copy") as out:
        refs = [r for n in ("all", "old", "their_run") for r in everything(butler, n)]
        out.saveDatasets({ref.id: ref for ref in refs}.values())
        for name in ("good", "calib", "inner", "all"):
            out.saveCollection(name)
        where = "skymap = 'two' AND tract = 0"
        out.saveDimensionData("patch", butler.query_dimension_records("patch", where=where))
    return {}


def everything(butler: Butler, collection: str) -> list[Any]:
    """Find all datasets of a collection."""
    return list(butler.registry.queryDatasets(..., collections=collection))


def list_raws(export: str, paths: str) -> dict[str, Any]:
    """Write an export of raws where they are, the first under a wrong number too."""
    from lsst.daf.butler import DataCoordinate, DatasetRef, DimensionUniverse, FileDataset
    from lsst.daf.butler.transfers import YamlRepoExportBackend

    universe = DimensionUniverse()
    kind = DatasetType("raw", ("instrument", "exposure", "detector"), "Exposure", universe=universe)
    rows = json.loads(paths)
    rows.append([rows[0][0], rows[0][1] + 1])
    files = []
    for path, exposure in rows:
        data_id = DataCoordinate.standardize(
            instrument="ST10", exposure=exposure, detector=0, universe=universe
        )
        files.append(FileDataset(path, [DatasetRef(kind, data_id, run="ST10/raw/all")]))
    with Path(export).open("w") as stream:
        backend = YamlRepoExportBackend(stream, universe)
        backend.saveDatasets(kind, "ST10/raw/all", *files)
        backend.finish()
    return {}


if __name__ == "__main__":
    actions = {"import": look, "export": give, "raws": list_raws}
    sys.stdout.write(json.dumps(actions[sys.argv[1]](*sys.argv[2:])))
