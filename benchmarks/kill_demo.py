"""The demo, killed at five random instants and started again, against an undisturbed run.

    python benchmarks/kill_demo.py [SEED]

Makes the demo in two folders of their own. In one SIGKILL hits the whole process group of snakemake
five times, once in each fifth of the quanta, and the same command goes on. In the end every product
of the two must agree bit by bit; runs/bench/kill_demo.json has the figures. It takes the time of
two demos and a little more.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo import LINKS, ROOT, SNAKEMAKE, environment

N_KILLS = 5
_LONGEST_WAIT_S = 3.0
_POLL_S = 0.02


class Demo:
    """The demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        for name in LINKS:
            (folder / name).symlink_to(ROOT / name)
        self.folder = folder
        self.repo = folder / "runs" / "demo"

    def start(self) -> subprocess.Popen[bytes]:
        """Start snakemake as the leader of its own process group."""
        with (self.folder / "demo.log").open("ab") as log:
            return subprocess.Popen(
                SNAKEMAKE, cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def finish(self) -> None:
        """Run to the end, which must be a good one."""
        if self.start().wait():
            sys.exit(f"The run failed:\n{self.said()}")

    def said(self) -> str:
        """Give the end of what snakemake said."""
        return "\n".join((self.folder / "demo.log").read_text().splitlines()[-40:])

    def kill_after(self, n_quanta: float, wait_s: float) -> int:
        """Run until so many quanta have ended and a time more, then kill all; say how many had."""
        process = self.start()
        while self.n_ended() < n_quanta and process.poll() is None:
            time.sleep(_POLL_S)
        time.sleep(wait_s)
        if process.poll() is not None:
            sys.exit(f"The run ended before it was killed:\n{self.said()}")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while _is_alive(process.pid):
            time.sleep(_POLL_S)
        return self.n_ended()

    def n_ended(self) -> int:
        """Count the quanta that have ended, of finished chunks and of others."""
        folder = self.repo / "manifests"
        n_ended = sum(p.read_bytes().count(b"\n") for p in folder.glob("*/*.json.partial"))
        for path in folder.glob("*/*.json"):
            if path.parent.name != "ingest":
                n_ended += len(json.loads(path.read_bytes())["quanta"])
        return n_ended

    def digests(self) -> dict[str, str]:
        """Take the digest of every product, by path."""
        run = self.repo / "demo"
        paths = sorted(path for path in run.rglob("*") if path.is_file())
        return {
            str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def kill_and_compare(folder: Path, rng: random.Random) -> dict[str, Any]:
    """Make both demos and compare their products."""
    calm, shaken = Demo(folder / "calm"), Demo(folder / "shaken")
    started = time.perf_counter()
    calm.finish()
    calm_wall = time.perf_counter() - started
    n_quanta, kills = calm.n_ended(), []
    started = time.perf_counter()
    for i in range(N_KILLS):
        # One instant in each fifth of the quanta, so that every part of the demo is hit.
        goal = (i + rng.random()) / N_KILLS * (n_quanta - 2)
        kills.append(shaken.kill_after(goal, rng.uniform(0.0, _LONGEST_WAIT_S)))
        print(f"killed with {kills[-1]} of {n_quanta} quanta ended", flush=True)
    shaken.finish()
    truth, found = calm.digests(), shaken.digests()
    differ = sorted(p for p in truth.keys() | found.keys() if truth.get(p) != found.get(p))
    return {
        "calm_wall_s": round(calm_wall, 1),
        "shaken_wall_s": round(time.perf_counter() - started, 1),
        "n_quanta": n_quanta,
        "n_ended_at_kills": kills,
        "n_products": len(truth),
        "n_catalogues": sum(path.endswith(".parquet") for path in truth),
        "differ": differ,
    }


def main() -> None:
    """Run, print and write what was found; exit with 1 if a product differs."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    folder = Path(tempfile.mkdtemp(prefix="lsstpipe-kill-"))
    try:
        found = kill_and_compare(folder, random.Random(seed))
    finally:
        shutil.rmtree(folder)
    for name, value in found.items():
        print(f"{name:<20}{value}")
    path = ROOT / "runs" / "bench" / "kill_demo.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seed": seed, **found}, indent=1) + "\n")
    if found["differ"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
