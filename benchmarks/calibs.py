"""What the calibrations of one 2048 x 4176 CCD take; runs/bench/calibs.json has the same.

    python benchmarks/calibs.py

CPU seconds of one core, and the most memory that a task holds beyond the raws, which are made here
and not read. Simulated: four amplifiers with overscan, ten biases, five darks, a ramp of eight
flats in pairs.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lsstpipe.data_model import DataId
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.tasks import bfk, bias, dark, defects, flat, linearizer, ptc

ROOT = Path(__file__).parents[1]

NY, WIDTH, N, OVERSCAN = 4176, 512, 4, 16
STEP = WIDTH + OVERSCAN
GAIN = 3.3
TIMES_S = (5.0, 10.0, 20.0, 30.0, 30.0, 20.0, 10.0, 5.0)


def make_detector() -> Detector:
    """Describe a detector like HSC's."""
    amplifiers = tuple(
        Amplifier(
            f"{i}",
            Box(0, i * WIDTH, NY, WIDTH),
            Box(0, i * STEP, NY, WIDTH),
            *(GAIN, 4.5, 55000.0, 50000.0),
            serial_overscan=Box(0, i * STEP + WIDTH, NY, OVERSCAN),
        )
        for i in range(N)
    )
    return Detector(0, "bench", NY, N * WIDTH, amplifiers, NY, N * STEP)


class Frames(Mapping[DataId, Exposure]):
    """Frames that are kept as a camera writes them, and made into exposures one at a time."""

    def __init__(self, kind: str, times_s: tuple[float, ...], detector: Detector) -> None:
        rng = np.random.default_rng(len(kind))
        self._box = detector.raw_box
        self._kind, self._times = kind, times_s
        self._pixels = [self._make(time_s, rng) for time_s in times_s]

    def _make(self, time_s: float, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        shape = self._box.shape
        electrons = np.zeros(shape, np.float32)
        if self._kind == "flat":
            level = np.float32(4500.0 * time_s)
            noise = rng.standard_normal(shape, np.float32) * np.sqrt(level)
            electrons = level + noise
            electrons[:, np.arange(shape[1]) % STEP >= WIDTH] = 0
        adu = 1000 + electrons / GAIN + rng.standard_normal(shape, np.float32) * (4.5 / GAIN)
        return np.round(adu).astype(np.uint16)

    def __getitem__(self, key: DataId) -> Exposure:
        i = key.integer("exposure")
        adu = self._pixels[i].astype(np.float32)
        time_s = self._times[i]
        info = ObservationInfo(
            "bench", i, 0, "r", "r", self._kind, "", time_s, time_s, 60000 + i / 1000
        )  # fmt: skip
        zero = np.zeros(adu.shape, np.int32)
        return Exposure(adu, zero, np.zeros_like(adu), self._box, "adu", info=info)

    def __iter__(self) -> Iterator[DataId]:
        return iter(
            DataId(instrument="bench", detector=0, exposure=i) for i in range(len(self._times))
        )

    def __len__(self) -> int:
        return len(self._times)


def measure(run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run once and give the result, CPU seconds and the peak of memory."""
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.process_time()
    made = run()
    cpu_s = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1] - before
    return made, {"cpu_s": round(cpu_s, 2), "peak_mb": round(peak / 1e6)}


def main() -> None:
    """Make all calibrations in their order, print what each took."""
    detector = make_detector()
    biases = Frames("bias", (0.0,) * 10, detector)
    darks = Frames("dark", (300.0,) * 5, detector)
    lamp = Frames("flat", TIMES_S, detector)
    # Kernels are compiled, or read from their cache, before the clock starts.
    bias.combine(
        bias.Inputs(Frames("bias", (0.0,) * 3, detector)), bias.Config(), detector
    )  # fmt: skip
    tracemalloc.start()
    found: dict[str, dict[str, float]] = {}

    def step(name: str, run: Callable[[], Any]) -> Any:
        made, found[name] = measure(run)
        return getattr(made, name)

    master = step("bias", lambda: bias.combine(bias.Inputs(biases), bias.Config(), detector))
    transfer = step("ptc", lambda: ptc.measure(ptc.Inputs(lamp, master), ptc.Config(), detector))
    curve = step(
        "linearizer",
        lambda: linearizer.measure(
            linearizer.Inputs(lamp, master, transfer), linearizer.Config(), detector
        ),
    )
    current = step(
        "dark",
        lambda: dark.combine(dark.Inputs(darks, master, transfer), dark.Config(), detector),
    )
    bad = step(
        "defects", lambda: defects.find(defects.Inputs(master, current), defects.Config(), detector)
    )
    step(
        "flat",
        lambda: flat.combine(
            flat.Inputs(lamp, master, current, bad.mask, transfer, None, curve),
            flat.Config(),
            detector,
        ),
    )
    config = bfk.Config(min_neighbour_significance=0.0)
    step("bfk", lambda: bfk.measure(bfk.Inputs(lamp, master, transfer), config, detector))
    for name, value in found.items():
        print(f"{name:<12}{value['cpu_s']:>8.2f} s{value['peak_mb']:>8.0f} MB")
    path = ROOT / "runs" / "bench" / "calibs.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
