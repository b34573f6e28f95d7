"""What both sides of the registry benchmark share: the survey, the meter, the start of writers.

The Python of lsstpipe and that of the peer import it, so it needs the standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Corners = list[tuple[float, float]]

INSTRUMENT, SKYMAP = "hsc", "rings"
N_VISITS, N_DETECTORS, N_TRACTS, SIDE = 50, 104, 2, 9
PAYLOAD = {
    "visit": 1,
    "psf": 0.67,
    "n": 1234,
    "name": "x" * 64,
    "stats": [i / 10 for i in range(16)],
}
"""A small product: its cost is that of the bookkeeping."""

_HERTZ = os.sysconf("SC_CLK_TCK")


# A survey of the sky: 50 visits of a camera of 8 x 13 detectors, 2 tracts of 9 x 9 patches.


def visits() -> Iterator[tuple[int, float, float]]:
    """Give number and centre of each visit, degrees: a raster with steps of 0.12."""
    for n in range(N_VISITS):
        yield 1000 + n, 150.0 + 0.12 * (n % 10 - 5), 2.0 + 0.12 * (n // 10 - 5)


def detectors(ra_deg: float, dec_deg: float) -> Iterator[tuple[int, Corners]]:
    """Give number and outline of each detector of a visit."""
    for n in range(N_DETECTORS):
        ra, dec = ra_deg + (n % 8 - 3.5) * 0.18, dec_deg + (n // 8 - 6) * 0.11
        yield n, box(ra, dec, 0.18, 0.11)


def tracts() -> Iterator[tuple[int, float, float]]:
    """Give number and centre of each tract."""
    for n in range(N_TRACTS):
        yield n, 150.0 + 1.5 * (n - (N_TRACTS - 1) / 2), 2.0


def patches(ra_deg: float, dec_deg: float) -> Iterator[tuple[int, Corners]]:
    """Give number and outline of each patch of a tract; they overlap by a tenth."""
    step = 1.6 / SIDE
    for n in range(SIDE**2):
        ra = ra_deg + (n % SIDE - (SIDE - 1) / 2) * step
        dec = dec_deg + (n // SIDE - (SIDE - 1) / 2) * step
        yield n, box(ra, dec, 1.1 * step, 1.1 * step)


def box(ra_deg: float, dec_deg: float, width: float, height: float) -> Corners:
    """Corners of a rectangle, degrees."""
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [(ra_deg + sx * width / 2, dec_deg + sy * height / 2) for sx, sy in signs]


# The meter


def server_cpu_s(pid: int) -> float:
    """CPU seconds of a server and its processes, those that have ended included."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended in between; its parent counts it from now on
            continue
        if int(folder.name) == pid:
            ticks += sum(int(value) for value in fields[11:15])
        elif int(fields[1]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _HERTZ


def measure(calls: Callable[[], int], pid: int) -> Row:
    """Give what a number of operations took, each: client and server CPU, wall time."""
    server, cpu, wall = server_cpu_s(pid), time.process_time(), time.perf_counter()
    n = calls()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    server = server_cpu_s(pid) - server
    return {
        "n": n,
        "client_cpu_ms": 1000 * cpu / n,
        "server_cpu_ms": 1000 * server / n,
        "wall_ms": 1000 * wall / n,
    }


def memory_mb() -> float:
    """Memory that this process has in RAM now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_memory_mb() -> float:
    """Give the most that this process has had in RAM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


# What a child says to the benchmark, and waits for


def report(row: Row) -> None:
    """Print a result for the benchmark."""
    print(json.dumps(row), flush=True)


def wait_for_start() -> None:
    """Say that all is ready, and wait until the benchmark says go."""
    report({"ready": True})
    sys.stdin.readline()


def write_for(seconds: float, write: Callable[[int], None]) -> Row:
    """Call with 0, 1, 2, ... for some time after the start; count what failed."""
    wait_for_start()
    cpu, ends, n, errors = time.process_time(), time.monotonic() + seconds, 0, 0
    while time.monotonic() < ends:
        try:
            write(n)
        except Exception as error:  # whatever it is, it is counted and shown
            errors += 1
            print(repr(error), file=sys.stderr)
        n += 1
    return {"n": n, "errors": errors, "client_cpu_s": time.process_time() - cpu}
