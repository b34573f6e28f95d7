"""What the demo takes, stage by stage and in all; runs/bench/demo.json has the same.

    python benchmarks/demo.py

Makes the demo in a folder of its own, as a fresh clone would, then again with nothing to do. CPU
and peak memory of a stage are those of its quanta, from their manifests; the memory is that of the
largest process, the wall time that from the first quantum to the end of the last. The row "in all"
is what the kernel accounts to snakemake and all its jobs: start-up, planning and report are in it.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BOUNDS = {"wall_s": 180.0, "peak_memory_mb": 1500.0, "again_wall_s": 10.0, "help_wall_s": 0.4}

Row = dict[str, Any]

LINKS = ("Snakefile", "profiles", "workflow", "config", "data", "envs")
"""What a folder needs of a checkout for the demo to run in it as it runs there."""

SNAKEMAKE = (
    sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config/campaigns/demo.yaml",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Make the environment of `make demo`: this checkout, one thread a process."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | threads


def measure(folder: Path, command: Sequence[str], log: Path) -> Row:
    """Run a command; give wall and CPU time of it and all its children, and the largest process."""
    with log.open("w") as file:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        result = subprocess.run(
            command, cwd=folder, env=environment(), stdout=file, stderr=file, check=False
        )
        wall = time.perf_counter() - started
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "peak_memory_mb": round(after.ru_maxrss / 1024),
    }


def by_stage(repo: Path) -> list[Row]:
    """Sum up the quanta of each stage, in the order of the plan."""
    chunks = (repo / "plan" / "chunks.tsv").read_text().splitlines()[1:]
    stages = list(dict.fromkeys(line.split("\t")[0] for line in chunks))
    return [_stage_row(repo, stage) for stage in stages]


def _stage_row(repo: Path, stage: str) -> Row:
    paths = sorted((repo / "manifests" / stage).glob("*.json"))
    quanta = [quantum for path in paths for quantum in json.loads(path.read_bytes())["quanta"]]
    begin = min(quantum["started_mjd"] for quantum in quanta)
    end = max(quantum["started_mjd"] + quantum["wall_s"] / 86400 for quantum in quanta)
    return {
        "stage": stage,
        "jobs": len(paths),
        "quanta": len(quanta),
        "wall_s": round((end - begin) * 86400, 2),
        "cpu_s": round(sum(quantum["cpu_s"] for quantum in quanta), 2),
        "peak_memory_mb": round(max(quantum["max_rss_mb"] for quantum in quanta)),
        "written_mb": round(sum(quantum["bytes_written"] for quantum in quanta) / 1e6, 1),
    }


def help_wall_s(folder: Path) -> float:
    """Take the median time of `lsstpipe --help` of five."""
    program = str(Path(sys.executable).parent / "lsstpipe")
    runs = [measure(folder, [program, "--help"], folder / "help.log") for _ in range(5)]
    return statistics.median(run["wall_s"] for run in runs)


def print_table(rows: list[Row]) -> None:
    """Print rows below their headings."""
    names = list(rows[0])
    print(f"{names[0]:<16}", *(f"{name:>15}" for name in names[1:]), sep="")
    for row in rows:
        values = (row.get(name, "") for name in names[1:])
        print(f"{row[names[0]]:<16}", *(f"{value:>15}" for value in values), sep="")


def main() -> None:
    """Run the demo in a fresh folder and print what it took."""
    folder = Path(tempfile.mkdtemp(prefix="lsstpipe-demo-"))
    try:
        for name in LINKS:
            (folder / name).symlink_to(ROOT / name)
        # The children that the kernel has the peak of come first: it keeps the largest for ever.
        help_wall = help_wall_s(folder)
        whole = measure(folder, SNAKEMAKE, folder / "demo.log")
        again = measure(folder, SNAKEMAKE, folder / "again.log")
        rows = by_stage(folder / "runs" / "demo")
    finally:
        shutil.rmtree(folder)
    print_table([*rows, {"stage": "in all", **whole}])
    measured = {
        "wall_s": whole["wall_s"],
        "peak_memory_mb": whole["peak_memory_mb"],
        "again_wall_s": again["wall_s"],
        "help_wall_s": help_wall,
    }
    print()
    for name, value in measured.items():
        print(f"{name:<16}{value:>15}   bound {BOUNDS[name]:g}")
    path = ROOT / "runs" / "bench" / "demo.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"stages": rows, "in_all": whole, "again": again, "help_wall_s": help_wall}
    content["n_cores"] = os.cpu_count()
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
