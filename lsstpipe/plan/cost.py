"""What a quantum of each task is expected to take, in CPU seconds and memory."""

from __future__ import annotations

CPU_S: dict[str, float] = {
    "bias": 1.5,
    "ptc": 6.0,
    "linearizer": 3.0,
    "crosstalk": 6.0,
    "bfk": 12.0,
    "fringe": 8.0,
    "dark": 2.2,
    "defects": 0.1,
    "flat": 10.7,
    "isr": 0.4,
    "calibrate": 3.4,
    "isolated_star": 0.3,
    "joint_astrometry": 2.8,
    "joint_photometry": 0.4,
    "visit_summary": 0.1,
    "warp": 0.2,
    "assemble": 5.0,
    "object": 4.9,
    "forced": 0.7,
    "tables": 0.8,
    "metrics": 0.5,
}
"""CPU seconds a quantum, on the frames of 0.8 megapixels that come with lsstpipe."""

START_CPU_S = 2.0
"""CPU seconds to start a job: the interpreter and its imports."""

BASE_MB = 350
"""Memory of a job that holds no pixels yet, in MB."""

MB: dict[str, float] = {"dark": 250, "flat": 750, "fringe": 750, "assemble": 650, "object": 700}
"""Memory that a quantum takes beyond that, in MB; others take `OTHER_MB`."""

OTHER_MB = 150.0


def expected_cpu_s(task: str) -> float:
    """CPU seconds of a quantum of a task."""
    return CPU_S.get(task, 1.0)


def expected_memory_mb(task: str) -> float:
    """Memory of a quantum of a task, in MB."""
    return BASE_MB + MB.get(task, OTHER_MB)


def runtime_minutes(cpu_s: float) -> int:
    """Time to ask for: four times what is expected, and at least five minutes."""
    return max(5, round(4 * cpu_s / 60))
