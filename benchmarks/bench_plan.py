"""Time and memory to plan campaigns of the size of public surveys.

    python benchmarks/bench_plan.py [BLOCKS OF PDR1] [BLOCKS OF DC2]
    python benchmarks/bench_plan.py --shards pdr1     # all shards of one, really, on 2 cores

Whole plans of HSC-RC2, from pointings to the plan on disk, and one shard of each kind of PDR1 (80
TB of raws) and DC2 (1,300 TB), projected on all their shards. Every row is a process of its own:
its CPU time with start-up, and its peak memory beyond a process that loads the same modules and
kernels and plans nothing. Prints a table and writes ``runs/bench/plan.json``, for all shards of one
``runs/bench/plan_pdr1.json``. Fails if a bound is exceeded.

Beside the rows stand figures of the peer, the builder of quantum graphs of lsst.pipe.base on
lsst-daf-butler: quoted from one measurement, not measured in the run.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lsstpipe.plan.build import Builder
from lsstpipe.plan.cost import CostModel
from lsstpipe.plan.overlap import find_overlaps
from lsstpipe.plan.select import make_skymap
from lsstpipe.plan.sharding import make_shards, plan_shards, select_shard
from lsstpipe.plan.survey import Survey
from lsstpipe.plan.write import write_part, write_plan
from lsstpipe.stages import STAGES

ROOT = Path(__file__).parents[1]
WHOLE = ("rc2_tract", "rc2")
N_BLOCKS = {"pdr1": 40, "dc2": 400}
N_CORES = 2
# A quantum of one measure that reads millions of datasets is no use; calibrations are certified.
SETTINGS: dict[str, object] = {
    "skip": {"calibs": "certified", "report": "made tract by tract"},
    "target_minutes": 20,
}
BOUNDS = {
    "ms a quantum of a whole plan": 0.3,
    "kB a quantum of a whole plan": 5.0,
    "CPU s of rc2_tract with start-up": 10.0,
    "minutes of pdr1 on 2 cores": 10.0,
}
PEER = {
    "cpu_ms_per_quantum": (1.2, 1.5),
    "kb_per_quantum": (20.0, 32.0),
    "cpu_s_of_27000_quanta": (41.0, 41.0),
}
"""Of lsst.pipe.base and lsst-daf-butler 30.2026 with 12 mock tasks of a data release on PostgreSQL,
least and most of graphs of 3 to 80 visits; the last is for as many quanta as `rc2_tract` had."""
MOST_MINUTES = {"pdr1": BOUNDS["minutes of pdr1 on 2 cores"]}
"""For all shards of a survey on `N_CORES`."""


def plan_whole(name: str) -> dict[str, float]:
    """Plan a survey in one piece."""
    survey = Survey(name)
    _ = survey.skymap
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        quanta = Builder(survey.campaign, survey.select_all()).build()
        summary = write_plan(Path(folder), quanta, survey.campaign)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {
        "quanta": summary["n_quanta"],
        "chunks": summary["n_chunks"],
        "plan_cpu_s": time.process_time() - begin,
        "disk_bytes": size,
    }


def plan_shard(name: str, kind: str, n_blocks: int) -> dict[str, float]:
    """Plan the shard in the middle of those of a kind."""
    survey, model = Survey(name, settings=SETTINGS), CostModel()
    skymap = make_skymap(survey.campaign)
    shards = make_shards(survey, survey.campaign, STAGES, n_blocks, model)
    same = [shard for shard in shards if shard.kind == kind]
    shard = same[len(same) // 2]
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        selection = select_shard(survey, shard, skymap)
        quanta = Builder(survey.campaign, selection, shard=shard).build()
        part = write_part(Path(folder), quanta, survey.campaign, model, shard.name)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    return {
        "shards": len(same),
        "quanta": sum(chunk.n_quanta for chunk in part.chunks),
        "chunks": len(part.chunks),
        "plan_cpu_s": time.process_time() - begin,
        "disk_bytes": size,
    }


def plan_in_shards(name: str) -> None:
    """Plan all shards of a survey side by side; print, write and judge what it took."""
    begin = time.perf_counter()
    survey, model = Survey(name, settings=SETTINGS), CostModel()
    shards = make_shards(survey, survey.campaign, STAGES, N_BLOCKS[name], model)
    with tempfile.TemporaryDirectory() as folder:
        summary = plan_shards(
            Path(folder),
            survey,
            shards,
            lambda selection, shard: Builder(survey.campaign, selection, shard=shard).build(),
            (survey.campaign, model),
            N_CORES,
        )
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "shards": len(shards),
        "quanta": summary["n_quanta"],
        "chunks": summary["n_chunks"],
        "disk_gb": size / 1e9,
        "minutes": (time.perf_counter() - begin) / 60,
        "n_cores": N_CORES,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "load": os.getloadavg()[0],
    }
    judge_shards(name, found)


def judge_shards(name: str, found: dict[str, Any]) -> None:
    """Print and write what all shards of a survey took; fail if it is too long."""
    minutes = f"{found['minutes']:.1f} min on {found['n_cores']} cores"
    print(
        f"{name}: {found['shards']} shards, {found['quanta'] / 1e6:.1f} million quanta in "
        f"{found['chunks'] / 1e3:.0f} thousand chunks, {found['disk_gb']:.2f} GB; {minutes}, "
        f"{found['cpu_s']:.0f} CPU s, at most {found['peak_mb']:.0f} MB a process; "
        f"load {found['load']:.1f}"
    )
    write_result(f"plan_{name}", found)
    most = MOST_MINUTES.get(name, math.inf)
    if found["minutes"] > most:
        sys.exit(f"{name} took {minutes}, more than {most:g} min (load {found['load']:.1f})")


def write_result(name: str, content: dict[str, Any]) -> None:
    """Write what was measured as JSON."""
    path = ROOT / "runs" / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def measure(*words: str) -> dict[str, Any]:
    """Run one of these in a process of its own; add its CPU time and peak memory."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--one", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"planning {' '.join(words)} failed")
    found: dict[str, Any] = json.loads(text)
    return found | {"cpu_s": usage.ru_utime + usage.ru_stime}


def run_one(words: list[str]) -> None:
    """Do what a process of its own does."""
    if words[0] == "nothing":
        north = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
        find_overlaps(north, np.zeros(1), np.zeros(1), 1.0)
        found: dict[str, float] = {"quanta": len(Survey("rc2_tract").skymap.tracts)}
    elif len(words) == 1:
        found = plan_whole(words[0])
    else:
        found = plan_shard(words[0], words[1], int(words[2]))
    # The kernel counts the memory of the parent that a child starts as; this is the child's own.
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def add_ratios(row: dict[str, Any], idle_mb: float) -> dict[str, Any]:
    """Add what a quantum costs."""
    n = row["quanta"]
    return row | {
        "ms_per_quantum": 1000 * row["plan_cpu_s"] / n,
        "kb_per_quantum": 1000 * (row["peak_mb"] - idle_mb) / n,
        "disk_bytes_per_quantum": row["disk_bytes"] / n,
    }


def project(rows: dict[str, dict[str, Any]], name: str) -> dict[str, float]:
    """Sum a survey up from one shard of each kind, with the start of each process."""
    own = [row for key, row in rows.items() if key.split()[0] == name]
    cpu_s = sum(row["shards"] * row["plan_cpu_s"] for row in own)
    return {
        "shards": sum(row["shards"] for row in own),
        "quanta": sum(row["shards"] * row["quanta"] for row in own),
        "chunks": sum(row["shards"] * row["chunks"] for row in own),
        "cpu_h": cpu_s / 3600,
        "minutes": cpu_s / 60 / N_CORES,
        "disk_gb": sum(row["shards"] * row["disk_bytes"] for row in own) / 1e9,
    }


def print_beside_peer(rows: dict[str, dict[str, Any]]) -> None:
    """Print the costs of whole plans beside the peer's."""
    tract = rows["rc2_tract"]
    own = {
        "cpu_ms_per_quantum": tract["ms_per_quantum"],
        "kb_per_quantum": tract["kb_per_quantum"],
        "cpu_s_of_27000_quanta": tract["cpu_s"],
    }
    print(f"{'plan of rc2_tract':<24}{'lsstpipe':>12}{'daf_butler':>14}")
    for name, (low, high) in PEER.items():
        theirs = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        print(f"{name:<24}{own[name]:>12.3g}{theirs:>14}")
    print(
        f"lsstpipe has {tract['quanta']} quanta, start-up within the CPU s. The figures of "
        "daf_butler are quoted from one measurement, not measured in this run."
    )


def main() -> None:
    """Measure, print, write, judge."""
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2:])
        return
    if sys.argv[1:2] == ["--shards"]:
        plan_in_shards(sys.argv[2])
        return
    n_blocks = N_BLOCKS | dict(zip(N_BLOCKS, map(int, sys.argv[1:3]), strict=False))
    idle_mb = measure("nothing")["peak_mb"]
    asked = [[name] for name in WHOLE]
    asked += [[n, kind, str(n_blocks[n])] for n in N_BLOCKS for kind in ("visits", "tracts")]
    rows = {" ".join(words[:2]): add_ratios(measure(*words), idle_mb) for words in asked}
    head = ("shards", "quanta", "chunks", "plan_cpu_s", "cpu_s", "peak_mb")
    ratios = ("ms_per_quantum", "kb_per_quantum", "disk_bytes_per_quantum")
    print(f"{'':>12}" + "".join(f"{name:>24}" for name in (*head, *ratios)))
    for key, row in rows.items():
        print(f"{key:>12}" + "".join(f"{row.get(name, 1):>24,.4g}" for name in (*head, *ratios)))
    projected = {name: project(rows, name) for name in N_BLOCKS}
    for name, row in projected.items():
        print(
            f"{name}: {row['shards']} shards, {row['quanta'] / 1e6:.1f} million quanta in "
            f"{row['chunks'] / 1e3:.0f} thousand chunks, {row['cpu_h']:.2f} CPU h, projected "
            f"{row['minutes']:.1f} min on {N_CORES} cores, {row['disk_gb']:.2f} GB"
        )
    got = [
        max(rows[name]["ms_per_quantum"] for name in WHOLE),
        max(rows[name]["kb_per_quantum"] for name in WHOLE),
        rows["rc2_tract"]["cpu_s"],
        projected["pdr1"]["minutes"],
    ]
    print_beside_peer(rows)
    write_result("plan", {"measured": rows, "projected": projected, "peer_quoted": PEER})
    for (name, bound), value in zip(BOUNDS.items(), got, strict=True):
        print(f"{name}: {value:.3g} (bound {bound:g})")
    if any(value > bound for value, bound in zip(got, BOUNDS.values(), strict=True)):
        sys.exit("a bound is exceeded")


if __name__ == "__main__":
    main()
