"""What a quantum of each task is expected to take, until the campaign's own manifests say better."""

from __future__ import annotations

CPU_S: dict[str, float] = {
    "dark": 2.0,
    "defects": 0.5,
    "flat": 4.0,
    "isr": 0.3,
    "calibrate": 2.0,
    "isolated_star": 0.5,
    "joint_astrometry": 2.0,
    "joint_photometry": 1.0,
    "visit_summary": 0.5,
    "warp": 0.3,
    "assemble": 2.0,
    "object": 3.0,
    "forced": 0.5,
    "tables": 1.0,
    "report": 8.0,
}
"""CPU seconds a quantum, on the frames of 0.8 megapixels that come with lsstpipe."""

START_CPU_S = 2.0
"""CPU seconds to start a job: the interpreter and its imports."""

BASE_MB = 350
"""Memory of a job that holds no pixels yet, in MB."""

MB: dict[str, float] = {"dark": 250, "flat": 400, "assemble": 400, "report": 400}
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
