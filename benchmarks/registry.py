"""lsstpipe's registry and lsst-daf-butler on the same PostgreSQL; runs/bench/registry.json.

    python benchmarks/registry.py [--datasets 1000000] [--no-peer]
    python benchmarks/registry.py --datasets 5000000    # find at 5 million

Starts a PostgreSQL server of its own (fsync on, 512 MB of buffers) and takes both through the same
work, one process a step. CPU milliseconds are those of the client's process and of all processes of
the server. A busy machine makes them half as large again, wall times several times as large: the
load stands below the table, and what the packages alone take to start beside a start that queries.
So rates are judged by the CPU they take, client's and server's: those of 8 writers are what 2 cores
could do ("/s of 2 cores"), those in bulk what one could ("/s of CPU"). The rate by the clock stands
below each; on a quiet machine it holds the same bar.

The bars of a put hold for one with its file, though lsstpipe syncs the file and its folder to the
disk, which the peer (which renames, too) does not; a row shows lsstpipe without. ext4 looks at each
inode that was deleted in the last six minutes before it makes a new one, so a run soon after many
files were deleted, such as those of another, shows puts of up to twice the CPU. The peer is
installed into an environment of its own when it is first wanted. Ends with an error where a bar is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from _registry_meter import INSTRUMENT, N_VISITS, server_cpu_s
from _registry_server import USER, CountingProxy, Server
from _registry_table import print_table

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
PEER_PACKAGES = ("lsst-daf-butler", "psycopg2-binary")
N_WRITERS, N_CORES, N_STARTS = 8, 2, 5
Row = dict[str, Any]


@dataclass
class Side:
    """One of the two: its Python, its script, its repository."""

    name: str
    python: str
    server: Server
    folder: Path
    opening: str
    url_form: str
    results: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = self.server.make_database()
        self.root = self.folder / self.name

    def url(self, port: int) -> str:
        """Give the URL of the database through a port."""
        return self.url_form.format(user=USER, port=port, database=self.database)

    def command(self, step: str, number: int = 0) -> list[str]:
        """Spell the command of a step."""
        url = self.url(self.server.port)
        script = HERE / f"_registry_{self.name}.py"
        arguments = (step, url, str(self.root), str(self.server.pid), str(number))
        return [self.python, str(script), *arguments]

    def run(self, step: str, number: int = 0) -> Row:
        """Run a step and keep what it says."""
        print(f"  {self.name}: {step} {number or ''}", file=sys.stderr)
        with started(self.command(step, number)) as process:
            row = read(process)
        self.results[step] = row
        return row


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process and talk with it; stop it if the talk fails."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        with process:
            yield process
    finally:
        process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")


def read(process: subprocess.Popen[str]) -> Row:
    """Read what a process says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a step ended without a result; what it said is above")
    row: Row = json.loads(line)
    return row


def go(process: subprocess.Popen[str]) -> None:
    """Let a process go on that waits."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def write_side_by_side(side: Side, step: str) -> Row:
    """Let writers start together and write into one registry."""
    print(f"  {side.name}: {N_WRITERS} x {step}", file=sys.stderr)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(started(side.command(step, n))) for n in range(1, N_WRITERS + 1)
        ]
        for process in writers:
            read(process)
        before = server_cpu_s(side.server.pid)
        for process in writers:
            go(process)
        rows = [read(process) for process in writers]
        server = server_cpu_s(side.server.pid) - before
    n = sum(row["n"] for row in rows)
    client = sum(row["client_cpu_s"] for row in rows)
    return {
        "n": n,
        "errors": sum(row["errors"] for row in rows),
        "wall_per_s": n / 6.0,
        "client_cpu_ms": 1000 * client / n,
        "server_cpu_ms": 1000 * server / n,
        "load": os.getloadavg()[0],
    }


def count_trips(side: Side) -> Row:
    """Count the round trips of a put and of a find."""
    proxy = CountingProxy(side.server.port)
    command = side.command("trips")
    command[3] = side.url(proxy.port)
    if side.name == "ours":
        other = side.folder / "through-proxy"
        command[4] = str(other)
        run_to_end([*command[:2], "make", *command[3:]])
    else:
        config = side.root / "butler.yaml"
        text = config.read_text()
        config.write_text(text.replace(f":{side.server.port}/", f":{proxy.port}/"))
    with started(command) as process:
        counts = []
        for _ in range(3):
            read(process)
            counts.append(proxy.n_trips)
            go(process)
        n = read(process)["n"]
    proxy.close()
    if side.name != "ours":
        config.write_text(text)
    puts, finds = (later - earlier for earlier, later in pairwise(counts))
    return {"put": puts / n, "find": finds / n}


def run_to_end(command: list[str]) -> None:
    """Run a step whose result nobody needs."""
    with started(command) as process:
        read(process)


def count_statements(side: Side, step: str, number: int) -> int:
    """Count the SQL statements of loading quanta and what they made, or of planning visits."""
    print(f"  {side.name}: statements of {step} {number}", file=sys.stderr)
    side.server.log_statements(side.database)
    with started(side.command(step, number)) as process:
        read(process)
        before = side.server.n_statements()
        go(process)
        read(process)
        n = side.server.n_statements() - before
        go(process)
        side.results[step] = read(process)
    return n


def start_cold(side: Side, code: str) -> Row:
    """Run a line of Python and end: the median of some fresh processes, after one that compiles."""
    # Modules are compiled once in production, whatever the shell of the benchmark says.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    rows = []
    for _ in range(1 + N_STARTS):
        usage = [sys.executable, str(HERE / "_peers_usage.py"), os.devnull, side.python, "-c", code]
        run = subprocess.run(usage, check=True, capture_output=True, env=environment)
        row = json.loads(run.stdout)
        if row["exit_code"] != 0:
            raise RuntimeError(f"{code} ended with {row['exit_code']}")
        rows.append(row)
    return {
        name: statistics.median(row[name] for row in rows[1:])
        for name in ("cpu_s", "wall_s", "peak_memory_mb")
    }


def measure_starts(side: Side, finding: str) -> None:
    """Open the repository in a fresh process; do it and find a dataset."""
    opening = side.opening.format(root=side.root)
    side.results["cold"] = start_cold(side, opening)
    side.results["cold find"] = start_cold(side, f"{opening}; {finding}")


def install_peer() -> str:
    """Make the peer's environment unless it is there; give its Python."""
    folder = ROOT / "runs" / "peer"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        print(f"  installing {', '.join(PEER_PACKAGES)} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER_PACKAGES], check=True)
        done.touch()
    return str(python)


def measure_ours(server: Server, folder: Path, n_datasets: int) -> dict[str, Row]:
    """Take lsstpipe through all steps."""
    opening = "from lsstpipe.butler import Butler; b = Butler('{root}', ['bulk'])"
    form = "postgresql://{user}@127.0.0.1:{port}/{database}"
    side = Side("ours", sys.executable, server, folder, opening, form)
    side.run("make")
    ingested = side.run("ingest", n_datasets)
    size = server.table_bytes(side.database, "^dataset$")
    ingested["bytes_per_dataset"] = size / n_datasets
    side.run("find", n_datasets)
    side.run("put", 2000)
    side.run("files", 2000)
    side.run("overlap")
    side.results["writers"] = write_side_by_side(side, "writer")
    side.results["unsynced"] = write_side_by_side(side, "unsynced")
    side.results["registrars"] = write_side_by_side(side, "registrar")
    side.results["trips"] = count_trips(side)
    data_id = f"instrument='{INSTRUMENT}', visit=3, detector=4"
    measure_starts(side, f"assert b.find('visit_image', {data_id})")
    query = "assert b.query('visit_image', 'visit = 3')"
    side.results["cold query"] = start_cold(side, f"{side.opening.format(root=side.root)}; {query}")
    # What of a query is the packages' alone tells a slow machine from slow code.
    side.results["packages"] = start_cold(side, "import sqlalchemy.dialects.postgresql, psycopg2")
    side.results["statements"] = {
        f"{step} {number}": count_statements(side, step, number)
        for step, number in (("collect", 300), ("collect", 27000), ("plan", 2), ("plan", N_VISITS))
    }
    return side.results


def measure_peer(server: Server, folder: Path) -> dict[str, Row]:
    """Take the peer through the steps that it has."""
    opening = (
        "from lsst.daf.butler import Butler; b = Butler.from_config('{root}', collections='bulk')"
    )
    form = "postgresql+psycopg2://{user}@127.0.0.1:{port}/{database}"
    side = Side("peer", install_peer(), server, folder, opening, form)
    side.run("make")
    side.run("ingest")
    side.run("put", 500)
    tables = "^(dataset|dataset_tags_.*|dataset_location|file_datastore_records)$"
    server.execute("VACUUM ANALYZE", side.database)
    n = int(str(server.execute("SELECT count(*) FROM dataset", side.database)[0][0]))
    side.results["ingest"]["bytes_per_dataset"] = server.table_bytes(side.database, tables) / n
    side.run("find", 500)
    side.run("overlap")
    side.results["writers"] = write_side_by_side(side, "writer")
    side.results["trips"] = count_trips(side)
    data_id = f"{{'instrument': '{INSTRUMENT}', 'visit': 1003, 'detector': 4}}"
    measure_starts(side, f"assert b.find_dataset('calexp', {data_id})")
    return side.results


def derive(results: dict[str, Row]) -> None:
    """Add rates: what the CPU time allows, and what the clock showed."""
    for name in ("writers", "unsynced", "registrars"):
        if row := results.get(name):
            row["core_rate"] = 1000 * N_CORES / (row["client_cpu_ms"] + row["server_cpu_ms"])
    for row in filter(None, (results["ingest"], results["ingest"].get("import"))):
        row["core_rate"] = 1000 / (row["client_cpu_ms"] + row["server_cpu_ms"])
        row["wall_rate"] = 1000 / row["wall_ms"]
    results["ingest"]["growth_mb"] = (
        results["ingest"]["peak_memory_mb"] - results["ingest"]["memory_before_mb"]
    )
    row = results["overlap"]
    row["cpu_s"] = (row["client_cpu_ms"] + row["server_cpu_ms"]) / 1000
    row["wall_s"] = row["wall_ms"] / 1000


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--datasets", type=int, default=1_000_000, help="in the registry")
    parser.add_argument("--no-peer", action="store_true", help="leave lsst-daf-butler out")
    arguments = parser.parse_args()
    server = Server()
    try:
        with tempfile.TemporaryDirectory(prefix="lsstpipe-registry-") as temporary:
            peer = None if arguments.no_peer else measure_peer(server, Path(temporary))
            ours = measure_ours(server, Path(temporary), arguments.datasets)
    finally:
        server.remove()
    for results in filter(None, (ours, peer)):
        derive(results)
    holds = print_table(ours, peer)
    if peer is None:
        print("lsst-daf-butler was left out (--no-peer).")
    load = os.getloadavg()[0]
    print(f"{arguments.datasets} datasets in lsstpipe's registry; load average {load:.1f}.")
    result = {"datasets": arguments.datasets, "load": load, "lsstpipe": ours, "daf_butler": peer}
    path = ROOT / "runs" / "bench" / "registry.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
