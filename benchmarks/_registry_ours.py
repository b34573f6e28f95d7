"""lsstpipe's side of the registry benchmark: one step a process, its result as JSON.

python benchmarks/_registry_ours.py STEP URL ROOT SERVER_PID NUMBER
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from _registry_meter import (
    INSTRUMENT,
    N_DETECTORS,
    PAYLOAD,
    SIDE,
    SKYMAP,
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

from lsstpipe import datasets
from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, DatasetType, make_id, make_ref
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.repository import Repository

if TYPE_CHECKING:
    from lsstpipe.config import Campaign

_TYPES = ("post_isr_image", "visit_image", "source", "visit_detector_summary")
_BULK = "bulk"
_SECONDS = 6.0


class Step:
    """What the command line says."""

    def __init__(self, url: str, root: str, pid: str, number: str) -> None:
        self.url, self.root, self.pid, self.number = url, root, int(pid), int(number)


def bulk_data_id(n: int) -> tuple[DatasetType, DataId]:
    """Name the n-th dataset of the registry that is filled."""
    visit, rest = divmod(n, N_DETECTORS * len(_TYPES))
    detector, kind = divmod(rest, len(_TYPES))
    data_id = DataId(instrument=INSTRUMENT, visit=visit, detector=detector)
    return datasets.DATASET_TYPES[_TYPES[kind]], data_id


def bulk_records(n_datasets: int) -> Iterator[DatasetRecord]:
    """Make the records of the registry that is filled, one by one."""
    for n in range(n_datasets):
        kind, data_id = bulk_data_id(n)
        yield make_record(kind, data_id, _BULK)


def make_record(kind: DatasetType, data_id: DataId, run: str) -> DatasetRecord:
    """Make a record with a checksum of its own."""
    ref = make_ref(kind, data_id, run)
    checksum = f"xxh3_128:{ref.id.int:032x}"
    return DatasetRecord(ref.id, kind.name, ref.data_id, run, ref.path, 1 << 20, checksum)


def summary_of(n: int) -> DataId:
    """Name the n-th small product."""
    visit, detector = divmod(n, N_DETECTORS)
    return DataId(instrument=INSTRUMENT, visit=1000 + visit, detector=detector)


def make(step: Step) -> Row:
    """Make the repository."""
    Butler.create(step.root, settings=Repository(step.url), exist_ok=True)
    return {}


def ingest(step: Step) -> Row:
    """Register many datasets in one call."""
    with Butler(step.root) as butler:
        butler.registry.ingest(bulk_records(1000))  # what is loaded once has been
        before = memory_mb()
        row = measure(lambda: butler.registry.ingest(bulk_records(step.number)), step.pid)
    return row | {"memory_before_mb": before, "peak_memory_mb": peak_memory_mb()}


def put(step: Step) -> Row:
    """Write small products one by one, and register without a file."""

    def run(name: str, n: int) -> int:
        for i in range(n):
            butler.put(PAYLOAD, "visit_detector_summary", summary_of(i))
        return n

    with Butler(step.root, run="put") as butler:
        run("put", 100)
        row = measure(lambda: run("put", step.number), step.pid)
        records = [
            make_record(datasets.visit_image, summary_of(i), "put") for i in range(step.number)
        ]

        def register() -> int:
            for record in records:
                butler.registry.put(record)
            return len(records)

        butler.registry.put(records[0])
        return row | {"register": measure(register, step.pid)}


def files(step: Step) -> Row:
    """Make files as a put does, by system calls alone: what the disk and its kernel take."""
    folder = Path(step.root) / "files"
    folder.mkdir(parents=True)
    content = b"x" * 400

    def run() -> int:
        for i in range(step.number):
            name = f"{folder}/{i}"
            descriptor = os.open(f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(descriptor, content)
            os.fsync(descriptor)
            os.close(descriptor)
            Path(f"{name}.tmp").rename(name)
            above = os.open(folder, os.O_RDONLY)
            os.fsync(above)
            os.close(above)
        return step.number

    return measure(run, step.pid)


def find(step: Step) -> Row:
    """Find datasets anywhere in the registry, in no order."""
    numbers = random.Random(1).sample(range(step.number), 2000)
    wanted = [bulk_data_id(n) for n in numbers]
    with Butler(step.root, [_BULK]) as butler:

        def run() -> int:
            for kind, data_id in wanted:
                record = butler.find(kind, data_id)
                assert record is not None
                assert record.id == make_ref(kind, data_id, _BULK).id
            return len(wanted)

        run()
        return measure(run, step.pid)


def overlap(step: Step) -> Row:
    """Find which detectors of which visits overlap which patches."""
    from lsstpipe.image.exposure import ObservationInfo

    infos, records, regions = [], [], {}
    for visit, ra, dec in visits():
        for detector, corners in detectors(ra, dec):
            data_id = DataId(instrument=INSTRUMENT, exposure=visit, detector=detector)
            infos.append(
                ObservationInfo(
                    INSTRUMENT, visit, detector, "HSC-R", "r", "science", "", 30.0, 30.0, 61000.0
                )
            )
            records.append(make_record(datasets.raw, data_id, "raw"))
            regions[data_id] = corners
    with Butler(step.root) as butler:
        butler.registry.insert_exposures(infos, records, regions)
        cells = [
            (tract, patch, corners)
            for tract, ra, dec in tracts()
            for patch, corners in patches(ra, dec)
        ]
        butler.registry.insert_patches(SKYMAP, cells)
        pairs = len(butler.registry.query_overlaps(SKYMAP)["patch"])
        row = measure(
            lambda: sum(1 for _ in range(5) if butler.registry.query_overlaps(SKYMAP)), step.pid
        )
    return row | {"rows": pairs}


def writer(step: Step, kind: str = "writer") -> Row:
    """Write small products for some seconds, beside others that do."""
    with Butler(step.root, run=f"{kind}-{step.number}") as butler:
        butler.put(PAYLOAD, "visit_detector_summary", summary_of(0))

        def write(n: int) -> None:
            butler.put(PAYLOAD, "visit_detector_summary", summary_of(n + 1))

        return write_for(_SECONDS, write)


def unsynced(step: Step) -> Row:
    """Write as `writer` does, but let the system sync files when it likes, as the peer does."""
    os.fsync = lambda _descriptor: None
    return writer(step, "unsynced")


def registrar(step: Step) -> Row:
    """Register datasets one by one for some seconds, beside others that do."""
    with Butler(step.root) as butler:
        run = f"registrar-{step.number}"
        butler.registry.put(make_record(datasets.visit_image, summary_of(0), run))

        def write(n: int) -> None:
            butler.registry.put(make_record(datasets.visit_image, summary_of(n + 1), run))

        return write_for(_SECONDS, write)


def trips(step: Step) -> Row:
    """Put and find through a network that counts round trips."""
    with Butler(step.root, run="trips") as butler:
        for i in range(3):
            butler.put(PAYLOAD, "visit_detector_summary", summary_of(i))
            butler.find("visit_detector_summary", summary_of(i))
        wait_for_start()
        for i in range(20):
            butler.put(PAYLOAD, "visit_detector_summary", summary_of(10 + i))
        wait_for_start()
        for i in range(20):
            butler.find("visit_detector_summary", summary_of(10 + i))
        wait_for_start()
    return {"n": 20}


def collect(step: Step) -> Row:
    """Load quanta, what they made and one document, in the batches of `lsstpipe collect`."""
    from lsstpipe.execute.collect import BATCH_QUANTA
    from lsstpipe.registry.provenance import Document

    run = f"collect-{step.number}"
    quanta, files = [], []
    for n in range(step.number):
        kind, data_id = bulk_data_id(n)
        quantum_id = make_id(run, "task", str(n))
        record = replace(make_record(kind, data_id, run), quantum_id=quantum_id)
        files.append(record)
        quanta.append(
            QuantumRecord(
                quantum_id, run, "stage", "task", f"c{n // 10}", data_id, "done",
                inputs=(make_ref(kind, data_id, _BULK).id,), outputs=(record.id,),
            )
        )  # fmt: skip
    with Butler(step.root) as butler:
        butler.registry.load(files[:1], quanta[:1])  # the run is there from now on
        wait_for_start()

        def load() -> int:
            for first in range(0, len(quanta), BATCH_QUANTA):
                part = slice(first, first + BATCH_QUANTA)
                butler.registry.insert_documents({run: Document("config", "{}")})
                butler.registry.load(files[part], quanta[part])
            return len(quanta)

        row = measure(load, step.pid)
        wait_for_start()
    return row


def plan(step: Step) -> Row:
    """Plan some of the visits whose raws `overlap` registered, with calibrations certified."""
    import json

    from lsstpipe.plan.layout import ingest_manifest_path
    from lsstpipe.plan.select import build_plan

    prepare_plan(step)
    raws = [
        make_ref(datasets.raw, DataId(instrument=INSTRUMENT, exposure=n, detector=d), "raw")
        for n, _, _ in list(visits())[: step.number]
        for d in range(N_DETECTORS)
    ]
    path = ingest_manifest_path(step.root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"raws": [{"id": str(ref.id)} for ref in raws]}))
    campaign = plan_settings(step.root)
    wait_for_start()
    row = measure(lambda: build_plan(campaign).n_quanta, step.pid)
    wait_for_start()
    return row


def prepare_plan(step: Step) -> None:
    """Register what the ingest of a campaign does, and calibrations of all detectors that hold."""
    own = [DataId(instrument=INSTRUMENT, detector=d) for d in range(N_DETECTORS)]
    records = [
        make_record(datasets.DATASET_TYPES[name], data_id, "calibrations")
        for name in ("bias", "dark", "defects", "crosstalk")
        for data_id in own
    ] + [
        make_record(datasets.flat, DataId({**data_id, "physical_filter": "HSC-R"}), "calibrations")
        for data_id in own
    ]
    with Butler(step.root) as butler:
        butler.registry.load(
            [
                *records,
                make_record(datasets.skymap, DataId(skymap=SKYMAP), "plan"),
                make_record(datasets.reference_catalog, DataId(), "plan"),
            ]
        )
        butler.registry.certify("calib", [record.id for record in records], 60000.0, 62000.0)


def plan_settings(root: str) -> Campaign:
    """Describe a campaign over the survey of the benchmark."""
    from lsstpipe.config import parse_campaign

    tracts_ = [
        {"ra_deg": ra, "dec_deg": dec, "n_patches_y": SIDE, "n_patches_x": SIDE}
        for _, ra, dec in tracts()
    ]
    return parse_campaign(
        {
            "name": "benchmark",
            "instrument": INSTRUMENT,
            "raws": ["*.fits"],
            "repo": root,
            "run": "plan",
            "reference_catalog": {"path": "stars.csv"},
            "calibrations": ["calib"],
            "pointing": {"ra_deg": 150.0, "dec_deg": 2.0, "radius_arcmin": 60.0},
            "skymap": {
                "name": SKYMAP,
                "pixel_scale_arcsec": 0.168,
                "patch_inner_y": 4000,
                "patch_inner_x": 4000,
                "border_pix": 100,
                "tracts": tracts_,
            },
        }
    )


STEPS: dict[str, Callable[[Step], Row]] = {
    f.__name__: f
    for f in (
        make, ingest, put, files, find, overlap, writer, unsynced, registrar, trips, collect, plan
    )
}  # fmt: skip


if __name__ == "__main__":
    report(STEPS[sys.argv[1]](Step(*sys.argv[2:])))
