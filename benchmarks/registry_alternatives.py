"""One workload on five places where a registry could be kept.

    python benchmarks/registry_alternatives.py [--datasets 20000]

SQLite and PostgreSQL through lsstpipe's `Registry`, a SQLite file a job merged afterwards, Redis
(for ElastiCache) and DynamoDB (moto's server). CPU milliseconds are those of the client and of the
server; of DynamoDB the request units are counted instead of the server's time. What it costs a
month is worked out at list prices. `registry_alternatives.md` says what follows. Redis needs
``redis-server`` and the Python package ``redis`` (group ``alternatives`` of pyproject.toml).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _registry_meter import measure
from _registry_server import Server
from _registry_stores import DynamoDb, Postgres, Redis, SharedNothing, Sqlite, Store

from lsstpipe import datasets
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.registry.records import DatasetRecord

ROOT = Path(__file__).parents[1]
N_DETECTORS, N_PUTS, N_FINDS = 104, 500, 1000
MOST_FOR_MOTO = 2000
"""Datasets that moto's server is given, which reads all of them for every question."""
RUN = "bench"

HOURS = 730
N_MONTH, N_FINDS_MONTH, N_SCANS_MONTH = 5_000_000, 10_000_000, 1_000
"""The month that is priced: datasets written and kept, finds, questions that need a scan."""

USD = {
    "DynamoDB write, million units": 0.625,
    "DynamoDB read, million units": 0.125,
    "DynamoDB GB-month": 0.25,
    "RDS db.t4g.medium hour": 0.065,
    "RDS gp3 GB-month": 0.115,
    "ElastiCache cache.r7g.large hour": 0.219,
}
"""List prices of us-east-1 on demand: aws.amazon.com/dynamodb, /rds/postgresql, /elasticache."""

Row = dict[str, Any]


def make_records(n: int, run: str) -> list[DatasetRecord]:
    """Make the records of n images."""
    records = []
    for i in range(n):
        visit, detector = divmod(i, N_DETECTORS)
        data_id = DataId(instrument="hsc", visit=visit, detector=detector)
        ref = make_ref(datasets.visit_image, data_id, run)
        checksum = f"xxh3_128:{ref.id.int:032x}"
        records.append(
            DatasetRecord(ref.id, "visit_image", data_id, run, ref.path, 1 << 25, checksum)
        )
    return records


def run_workload(store: Store, n: int) -> Row:
    """Ingest, put, find and count; check every answer."""
    records = make_records(n, RUN)
    singles = make_records(N_PUTS + 1, "singles")
    wanted = random.Random(1).sample(records, min(N_FINDS, n))
    store.ingest(records[:100])  # connections are there, tables are made

    def ingest() -> int:
        store.ingest(records)
        return n

    def put() -> int:
        for record in singles[1:]:
            store.put(record)
        return N_PUTS

    def find() -> int:
        for record in wanted:
            assert store.find(record.data_id, RUN) == record.checksum
        return len(wanted)

    def count(question: Callable[[int, str], int], name: str) -> Callable[[], int]:
        expected = sum(record.data_id[name] == 3 for record in records)

        def ask() -> int:
            for _ in range(5):
                assert question(3, RUN) == expected
            return 5

        return ask

    row: Row = {"name": store.name}
    row["ingest"] = measure(ingest, store.pid)
    store.put(singles[0])
    row["put"] = measure(put, store.pid)
    row["find"] = measure(find, store.pid)
    row["count_detector"] = measure(count(store.count_detector, "detector"), store.pid)
    row["count_visit"] = measure(count(store.count_visit, "visit"), store.pid)
    assert store.find(DataId(instrument="hsc", visit=10**6, detector=0), RUN) is None
    n_all = n + N_PUTS + 1
    row["bytes_per_dataset"] = store.size() / n_all
    return row


def price(row: Row, units: dict[str, float]) -> float:
    """Work out what a month of the workload costs, USD."""
    size = row["bytes_per_dataset"] * N_MONTH / 1e9
    if row["name"] == "DynamoDB":
        reads = N_FINDS_MONTH * units["find"] + N_SCANS_MONTH * units["scan"] * N_MONTH
        return (
            N_MONTH * units["write"] / 1e6 * USD["DynamoDB write, million units"]
            + reads / 1e6 * USD["DynamoDB read, million units"]
            + size * USD["DynamoDB GB-month"]
        )
    if row["name"] == "PostgreSQL":
        # A server keeps at least 20 GB of gp3.
        return HOURS * USD["RDS db.t4g.medium hour"] + max(size, 20) * USD["RDS gp3 GB-month"]
    if row["name"] == "Redis":
        # Two nodes: one alone loses what was written since its last snapshot.
        return 2 * HOURS * USD["ElastiCache cache.r7g.large hour"]
    return 0.0


def measure_dynamodb(n: int) -> tuple[Row, dict[str, float]]:
    """Run the workload on DynamoDB; give the units of a write, a find and a scan a dataset."""
    store = DynamoDb()
    try:
        row = run_workload(store, n)
        store.write_units = store.read_units = 0.0
        records = make_records(1, "units")
        store.put(records[0])
        store.find(records[0].data_id, "units")
        units = {"write": store.write_units, "find": store.read_units}
        store.read_units = 0.0
        store.count_visit(3, RUN)
        units["scan"] = store.read_units / n
    finally:
        store.close()
    return row, units


def measure_all(n: int) -> tuple[list[Row], dict[str, float]]:
    """Run the workload on every store that can be started."""
    rows: list[Row] = []
    server = Server()
    try:
        for make in (Sqlite, SharedNothing, lambda _: Postgres(server), Redis):
            if make is Redis and (missing := missing_of_redis()):
                print(f"Redis is left out: {missing} is not installed.")
                continue
            with tempfile.TemporaryDirectory(prefix="lsstpipe-alternatives-") as folder:
                store = make(Path(folder))
                try:
                    rows.append(run_workload(store, n))
                finally:
                    store.close()
    finally:
        server.remove()
    row, units = measure_dynamodb(min(n, MOST_FOR_MOTO))
    return [*rows, row], units


def missing_of_redis() -> str:
    """Say what Redis lacks here, if anything."""
    if shutil.which("redis-server") is None:
        return "redis-server"
    return "" if importlib.util.find_spec("redis") else "the Python package redis"


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--datasets", type=int, default=20_000)
    n = parser.parse_args().datasets
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    rows, units = measure_all(n)
    steps = ("ingest", "put", "find", "count_detector", "count_visit")
    print("CPU ms of client + server an operation", f"({n} datasets)")
    print(f"{'':<22}", *(f"{step:>16}" for step in steps), f"{'bytes':>8}{'USD/month':>11}")
    for row in rows:
        row["usd_a_month"] = price(row, units)
        cells = [
            f"{row[step]['client_cpu_ms']:.3f} + {row[step]['server_cpu_ms']:.3f}" for step in steps
        ]
        print(
            f"{row['name']:<22}",
            *(f"{cell:>16}" for cell in cells),
            f"{row['bytes_per_dataset']:>8.0f}{row['usd_a_month']:>11.2f}",
        )
    print("DynamoDB, request units:", ", ".join(f"{k} {v:.3g}" for k, v in units.items()))
    print(f"load average {os.getloadavg()[0]:.1f}")
    path = ROOT / "runs" / "bench" / "registry_alternatives.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"datasets": n, "rows": rows, "units": units, "time": time.strftime("%Y-%m-%d")}
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
