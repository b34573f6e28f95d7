"""The peer's side of the registry benchmark, lsst-daf-butler: one step a process.

PYTHON_OF_THE_PEER benchmarks/_registry_peer.py STEP URL ROOT SERVER_PID NUMBER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from _registry_meter import (
    INSTRUMENT,
    N_DETECTORS,
    N_TRACTS,
    N_VISITS,
    PAYLOAD,
    SIDE,
    SKYMAP,
    Corners,
    Row,
    detectors,
    measure,
    memory_mb,
    patches,
    peak_memory_mb,
    report,
    tracts,
    visits,
    wait_for_start,
    write_for,
)
from lsst.daf.butler import Butler, Config, DatasetRef, DatasetType, Timespan
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

_SECONDS = 6.0
_TYPE = "calexp"
_DATA_IDS = [
    {"instrument": INSTRUMENT, "visit": visit, "detector": detector}
    for visit, _, _ in visits()
    for detector in range(N_DETECTORS)
]


class Step:
    """What the command line says."""

    def __init__(self, url: str, root: str, pid: str, number: str) -> None:
        self.url, self.root, self.pid, self.number = url, root, int(pid), int(number)


def polygon(corners: Corners) -> ConvexPolygon:
    """Make the peer's polygon."""
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(ra, dec)) for ra, dec in corners])


def make(step: Step) -> Row:
    """Make the repository and its dimension records."""
    config = Config()
    config["registry", "db"] = step.url
    config["datastore", "formatters", "StructuredDataDict"] = (
        "lsst.daf.butler.formatters.json.JsonFormatter"
    )
    Butler.makeRepo(step.root, config=config, forceConfigRoot=True)
    butler = Butler.from_config(step.root, writeable=True)
    registry = butler.registry
    with butler.transaction():
        for element, records in dimension_records():
            registry.insertDimensionData(element, *records)
    universe = registry.dimensions
    for name in (_TYPE, "src"):
        dimensions = ("instrument", "visit", "detector")
        registry.registerDatasetType(
            DatasetType(name, dimensions, "StructuredDataDict", universe=universe)
        )
    return {}


def dimension_records() -> list[tuple[str, list[dict[str, Any]]]]:
    """Make the records of the survey, in the order in which they refer to each other."""
    from astropy import units
    from astropy.time import Time

    own = {"instrument": INSTRUMENT}
    night = Time("2026-01-01T00:00:00", scale="tai")
    day = {**own, "id": 20260101, "timespan": Timespan(night, night + 1 * units.day)}
    rows: dict[str, list[dict[str, Any]]] = {
        "instrument": [
            {"name": INSTRUMENT, "visit_max": 10**6, "exposure_max": 10**6, "detector_max": 200,
             "visit_system": 0, "class_name": ""}
        ],
        "physical_filter": [{**own, "name": "HSC-R", "band": "r"}],
        "detector": [{**own, "id": n, "full_name": str(n)} for n in range(N_DETECTORS)],
        "day_obs": [day],
        "visit": [],
        "visit_detector_region": [],
        "skymap": [
            {"name": SKYMAP, "hash": b"x" * 40, "tract_max": N_TRACTS, "patch_nx_max": SIDE,
             "patch_ny_max": SIDE}
        ],
        "tract": [],
        "patch": [],
    }  # fmt: skip
    for visit, ra, dec in visits():
        span = Timespan(night + (visit - 1000) * units.min, night + (visit - 999) * units.min)
        region = polygon(box_of(ra, dec, 1.5))
        rows["visit"].append(
            {**own, "id": visit, "name": str(visit), "physical_filter": "HSC-R",
             "day_obs": 20260101, "timespan": span, "region": region}
        )  # fmt: skip
        rows["visit_detector_region"] += [
            {**own, "visit": visit, "detector": n, "region": polygon(corners)}
            for n, corners in detectors(ra, dec)
        ]
    for tract, ra, dec in tracts():
        sky = {"skymap": SKYMAP}
        rows["tract"].append({**sky, "id": tract, "region": polygon(box_of(ra, dec, 1.6))})
        rows["patch"] += [
            {**sky, "tract": tract, "id": n, "cell_x": n % SIDE, "cell_y": n // SIDE,
             "region": polygon(corners)}
            for n, corners in patches(ra, dec)
        ]  # fmt: skip
    return list(rows.items())


def box_of(ra: float, dec: float, size: float) -> Corners:
    """Corners of a square."""
    from _registry_meter import box

    return box(ra, dec, size, size)


def ingest(step: Step) -> Row:
    """Register all detectors of all visits in one call, twice; resolved references after it."""
    butler = Butler.from_config(step.root, writeable=True)
    registry = butler.registry
    kinds = [registry.getDatasetType(name) for name in (_TYPE, "src")]
    data_ids = [registry.expandDataId(i, dimensions=kinds[0].dimensions) for i in _DATA_IDS]
    before = memory_mb()

    def insert() -> int:
        with butler.transaction():
            for kind in kinds:
                registry.insertDatasets(kind, data_ids, run="bulk")
        return len(kinds) * len(data_ids)

    butler.collections.register("bulk")
    row = measure(insert, step.pid)
    row |= {"memory_before_mb": before, "peak_memory_mb": peak_memory_mb()}
    refs = [DatasetRef(kind, data_id, run="import") for kind in kinds for data_id in data_ids]
    butler.collections.register("import")

    def load() -> int:
        with butler.transaction():
            registry._importDatasets(refs, expand=False)  # what transfers and imports use
        return len(refs)

    return row | {"import": measure(load, step.pid)}


def put(step: Step) -> Row:
    """Write small products one by one, and register without a file."""
    butler = Butler.from_config(step.root, writeable=True, run="put")
    n = step.number

    def run(first: int, count: int) -> int:
        for i in range(first, first + count):
            butler.put(PAYLOAD, _TYPE, _DATA_IDS[i])
        return count

    run(0, 50)
    row = measure(lambda: run(50, n), step.pid)
    registry = butler.registry
    dimensions = registry.getDatasetType(_TYPE).dimensions
    data_ids = [registry.expandDataId(i, dimensions=dimensions) for i in _DATA_IDS[:n]]
    butler.collections.register("register")

    def register() -> int:
        for data_id in data_ids:
            registry.insertDatasets(_TYPE, [data_id], run="register")
        return len(data_ids)

    return row | {"register": measure(register, step.pid)}


def find(step: Step) -> Row:
    """Find datasets, in no order of their own."""
    butler = Butler.from_config(step.root, collections="bulk")
    wanted = [_DATA_IDS[(1237 * n) % len(_DATA_IDS)] for n in range(step.number)]

    def run() -> int:
        for data_id in wanted:
            assert butler.find_dataset(_TYPE, data_id) is not None
        return len(wanted)

    butler.find_dataset(_TYPE, wanted[0])
    return measure(run, step.pid)


def overlap(step: Step) -> Row:
    """Find which detectors of which visits overlap which patches."""
    butler = Butler.from_config(step.root)
    where = f"instrument='{INSTRUMENT}' AND skymap='{SKYMAP}'"

    def query() -> int:
        dimensions = ["visit", "detector", "patch"]
        return len(butler.query_data_ids(dimensions, where=where, limit=None))

    rows = query()
    return measure(lambda: sum(1 for _ in range(3) if query()), step.pid) | {"rows": rows}


def writer(step: Step) -> Row:
    """Write small products for some seconds, beside others that do."""
    butler = Butler.from_config(step.root, writeable=True, run=f"writer-{step.number}")
    butler.put(PAYLOAD, _TYPE, _DATA_IDS[0])
    return write_for(_SECONDS, lambda n: butler.put(PAYLOAD, _TYPE, _DATA_IDS[n + 1]) and None)


def trips(step: Step) -> Row:
    """Put and find through a network that counts round trips."""
    butler = Butler.from_config(step.root, writeable=True, run="trips", collections="trips")
    for i in range(3):
        butler.put(PAYLOAD, _TYPE, _DATA_IDS[i])
        butler.find_dataset(_TYPE, _DATA_IDS[i])
    wait_for_start()
    for i in range(20):
        butler.put(PAYLOAD, _TYPE, _DATA_IDS[10 + i])
    wait_for_start()
    for i in range(20):
        butler.find_dataset(_TYPE, _DATA_IDS[10 + i])
    wait_for_start()
    return {"n": 20}


STEPS: dict[str, Callable[[Step], Row]] = {
    f.__name__: f for f in (make, ingest, put, find, overlap, writer, trips)
}
assert len(_DATA_IDS) == N_VISITS * N_DETECTORS


if __name__ == "__main__":
    report(STEPS[sys.argv[1]](Step(*sys.argv[2:])))
