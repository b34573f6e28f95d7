"""Measure what a simulated frame costs: CPU seconds by step, and the whole with its files.

Run it with ``python benchmarks/simulate.py``; it writes ``runs/bench/simulate.json`` too. It ends
with an error if a frame takes more than its bound.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from _bounds import require

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from lsstpipe.simulate.detector import flat, make_detector_truth  # noqa: E402
from lsstpipe.simulate.draw import draw_sky, place_objects  # noqa: E402
from lsstpipe.simulate.headers import raw_header  # noqa: E402
from lsstpipe.simulate.presets import find_preset  # noqa: E402
from lsstpipe.simulate.readout import broaden, collect, photons, read_out  # noqa: E402
from lsstpipe.simulate.seeds import random_for  # noqa: E402
from lsstpipe.simulate.sky import make_scene  # noqa: E402
from lsstpipe.simulate.survey import Exposure, Survey, make_survey  # noqa: E402
from lsstpipe.simulate.write import raw_bytes, write_frame  # noqa: E402

FRAME, BOUND_CPU_S = "frame, with files", 6.0
N_REPEATS = 5

T = TypeVar("T")


class Clock:
    """Notes the CPU time of calls under the names of steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def __call__(self, step: str, call: Callable[..., T], *arguments: object) -> T:
        """Call something and note its CPU time."""
        begin = time.process_time()
        result = call(*arguments)
        self.seconds.setdefault(step, []).append(time.process_time() - begin)
        return result


def measure(survey: Survey, exposure: Exposure, number: int, clock: Clock) -> None:
    """Draw and read one frame step by step, as often as it takes for a median."""
    detector = survey.camera.detector(number)
    make_scene(survey)
    truth = clock("detector, once", make_detector_truth, survey, number)
    for _ in range(N_REPEATS):
        rng = random_for("bench", 1)
        drawn = clock("place objects", place_objects, survey, exposure, detector)
        light = clock("draw", draw_sky, survey, exposure, detector, drawn)
        light *= clock("flat", flat, truth, survey, exposure.band)
        clock("of collect: photons", photons, light, rng)
        clock("of collect: brighter-fatter", broaden, light, truth.kernel)
        charge, _ = clock("collect, in all", collect, truth, light, exposure.time_s, rng)
        raw, _ = clock("read out", read_out, truth, charge, rng)
        clock("compress", raw_bytes, raw, raw_header(survey, exposure, detector))


def main() -> None:
    """Print the table of the steps and write it as JSON."""
    survey = make_survey(find_preset("ci_hsc"), 1)
    # Not the first frame of its detector, with which the truth of the detector is written.
    exposure = next(e for e in survey.science() if e.number == 903988)
    number = exposure.detectors[0]
    clock = Clock()
    measure(survey, exposure, number, clock)
    places = {(e.number, d.number): i for i, (e, d) in enumerate(survey.frames())}
    place = places[exposure.number, number]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(N_REPEATS):
            clock(FRAME, write_frame, "ci_hsc", Path(folder), 1, place)
    seconds = clock.seconds
    medians = {step: round(sorted(values)[len(values) // 2], 3) for step, values in seconds.items()}
    n_objects = len(place_objects(survey, exposure, survey.camera.detector(number)).y)
    print(f"CPU s of a frame of 2048 x 4176 with {n_objects} objects, median of {N_REPEATS}")
    for step, value in medians.items():
        print(f"{step:<28}{value:>8.2f}")
    print(f"bound of a frame{BOUND_CPU_S:>20.2f}")
    path = ROOT / "runs" / "bench" / "simulate.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"cpu_s": medians, "n_objects": n_objects, "bound_cpu_s": BOUND_CPU_S}
    path.write_text(json.dumps(content, indent=1) + "\n")
    require(medians, {FRAME: BOUND_CPU_S})


if __name__ == "__main__":
    main()
