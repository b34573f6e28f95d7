"""What removing the signature of one 2048 x 4176 CCD takes; runs/bench/isr.json has the same.

    python benchmarks/isr.py

CPU seconds of one core, median of the repetitions, the first call left out. Simulated: four
amplifiers with overscan, sky, stars, saturated trails. ``isr`` is all that the task does: overscan
per row, gain, crosstalk, linearity, assembly, bias, dark, defects, variance, flat, guard,
saturation trails; the following rows have more or less of it. Where ccdproc is installed it does
overscan, trim, deviation, bias, gain, dark and flat on the same frame, in its own float64 and in
float32; where it is not, a line says how it is added. Ends with an error if a bound is exceeded.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from _bounds import require
from _peers_packages import is_there

from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel
from lsstpipe.algorithms.crosstalk import CrosstalkMatrix
from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.algorithms.saturation import grow_saturated, widen_trails
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks.isr import Config
from lsstpipe.tasks.signature import Signature, remove_signature

ROOT = Path(__file__).parents[1]
BOUNDS = {"isr": 0.3, "isr with fringes": 0.3, "isr with brighter-fatter": 2.0}
N_REPETITIONS = 7

NY, WIDTH, N, OVERSCAN, PRESCAN = 4176, 512, 4, 16, 8
SHAPE = (NY, N * WIDTH)
STEP = PRESCAN + WIDTH + OVERSCAN
NAMES = tuple(f"{i}" for i in range(N))
GAIN = np.array([3.29, 3.35, 3.40, 3.45])
SATURATION_ADU = 55000.0


def make_detector() -> Detector:
    """Describe a detector like HSC's."""
    amplifiers = tuple(
        Amplifier(
            NAMES[i],
            Box(0, i * WIDTH, NY, WIDTH),
            Box(0, i * STEP + PRESCAN, NY, WIDTH),
            *(float(GAIN[i]), 4.5, SATURATION_ADU, 50000.0),
            serial_overscan=Box(0, i * STEP + PRESCAN + WIDTH, NY, OVERSCAN),
            flip_x=i % 2 == 1,
        )
        for i in range(N)
    )
    return Detector(0, "bench", *SHAPE, amplifiers, NY, N * STEP)


def make_raw(detector: Detector, rng: np.random.Generator) -> Exposure:
    """Simulate a frame: sky, 2000 stars, a few of them saturated with trails."""
    light = rng.normal(3000.0, 60.0, SHAPE)
    offset = np.arange(-12, 13)
    stamp = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 2.0**2))
    peaks = 10 ** rng.uniform(2, 5.6, 2000)
    places = zip(
        rng.integers(20, NY - 20, 2000), rng.integers(20, SHAPE[1] - 20, 2000), strict=True
    )
    for (y, x), peak in zip(places, peaks, strict=True):
        light[y - 12 : y + 13, x - 12 : x + 13] += peak * stamp
        if peak > 3e5:
            light[max(0, y - 200) : y + 200, x - 4 : x + 5] += 2.5e5
    frame = rng.normal(1000.0, 1.4, detector.raw_box.shape)
    for amplifier in detector.amplifiers:
        own = light[amplifier.box.slices_in(detector.box)]
        order = slice(None, None, -1 if amplifier.flip_x else 1)
        frame[amplifier.data.slices_in(detector.raw_box)] += own[:, order] / amplifier.gain
    adu = np.clip(np.round(frame), 0, 65535).astype(np.float32)
    mask = np.where(adu >= SATURATION_ADU, int(MaskPlane.SAT), 0).astype(np.int32)
    info = ObservationInfo("bench", 1, 0, "r", "r", "science", "", 200.0, 200.0, 60000.0)
    return Exposure(adu, mask, np.zeros_like(adu), detector.raw_box, "adu", info=info)


def make_signature(raw: Exposure, rng: np.random.Generator) -> Signature:
    """Know everything but the brighter-fatter kernel and the fringes."""

    def frame(level: float, noise: float) -> Exposure:
        image = rng.normal(level, noise, SHAPE).astype(np.float32)
        zero = np.zeros(SHAPE, np.int32)
        variance = np.full(SHAPE, noise**2 / 10, np.float32)
        return Exposure(image, zero, variance, Box(0, 0, *SHAPE), "electron", info=raw.info)

    defects = frame(0.0, 1.0)
    defects.mask[:, 700:702] = int(MaskPlane.BAD)
    coefficients = np.full((N, N), 1.5e-4)
    np.fill_diagonal(coefficients, 0.0)
    turnoff = np.full(N, 50000.0)
    return Signature(
        bias=frame(0.0, 2.0),
        dark=frame(5.0, 1.0),
        defects=defects.mask,
        flat=frame(1.0, 0.01),
        ptc=PhotonTransfer(NAMES, GAIN, GAIN / 100, np.full(N, 4.5), turnoff),
        crosstalk=CrosstalkMatrix(NAMES, coefficients),
        linearizer=Linearizer(NAMES, "quadratic", np.full((N, 1), 2e-7), np.zeros((N, 0))),
    )


def remove(raw: Exposure, detector: Detector, signature: Signature) -> Exposure:
    """Do what the task isr does between its input and its output."""
    made = remove_signature(raw, detector, signature, Config())
    grown = grow_saturated(widen_trails(has(made.mask, MaskPlane.SAT)), radius=1)
    made.mask[grown] |= MaskPlane.SAT
    return made


def ccdproc_steps(
    raw: Exposure, detector: Detector, signature: Signature, dtype: str
) -> Callable[[], object]:
    """Prepare the same frame for ccdproc, as far as it can do the same."""
    import astropy.units as u
    import ccdproc
    from astropy.nddata import CCDData

    pixels = raw.image.astype(np.uint16)
    bias, dark, flat = signature.bias, signature.dark, signature.flat
    assert bias is not None
    assert dark is not None
    assert flat is not None
    known = []
    for amplifier in detector.amplifiers:
        own = amplifier.box.slices_in(detector.box)
        order = slice(None, None, -1 if amplifier.flip_x else 1)
        frames = (
            (bias.image / amplifier.gain, u.adu),
            (dark.image, u.electron),
            (flat.image, u.dimensionless_unscaled),
        )
        known.append([CCDData(f[own][:, order].astype(dtype), unit=unit) for f, unit in frames])

    def steps() -> object:
        image, variance = np.empty(SHAPE, np.float32), np.empty(SHAPE, np.float32)
        mask = np.zeros(SHAPE, np.int32)
        for i, amplifier in enumerate(detector.amplifiers):
            own = amplifier.box.slices_in(detector.box)
            order = slice(None, None, -1 if amplifier.flip_x else 1)
            gain = amplifier.gain * u.electron / u.adu
            ccd = CCDData(pixels[:, i * STEP : (i + 1) * STEP].astype(dtype), unit="adu")
            full = ccd.data[:, PRESCAN : PRESCAN + WIDTH] >= SATURATION_ADU
            mask[own][full[:, order]] = int(MaskPlane.SAT)
            overscan = ccd[:, PRESCAN + WIDTH + 3 : -1]
            ccd = ccdproc.subtract_overscan(ccd, overscan=overscan, overscan_axis=1, median=True)
            ccd = ccdproc.trim_image(ccd[:, PRESCAN : PRESCAN + WIDTH])
            noise = amplifier.read_noise * u.electron
            ccd = ccdproc.create_deviation(ccd, gain=gain, readnoise=noise, disregard_nan=True)
            ccd = ccdproc.subtract_bias(ccd, known[i][0])
            ccd = ccdproc.gain_correct(ccd, gain)
            times = {"dark_exposure": 200 * u.s, "data_exposure": 200 * u.s}
            ccd = ccdproc.subtract_dark(ccd, known[i][1], scale=True, **times)
            ccd = ccdproc.flat_correct(ccd, known[i][2], norm_value=1.0)
            image[own] = ccd.data[:, order]
            variance[own] = ccd.uncertainty.array[:, order] ** 2
        return image, variance, mask

    return steps


def cpu_s(function: Callable[[], object]) -> float:
    """Take the median CPU time of a few calls after the first."""
    function()
    times = []
    for _ in range(N_REPETITIONS):
        started = time.process_time()
        function()
        times.append(time.process_time() - started)
    return statistics.median(times)


def main() -> None:
    """Measure, print and write down."""
    rng = np.random.default_rng(20)
    detector = make_detector()
    raw = make_raw(detector, rng)
    signature = make_signature(raw, rng)
    y, x = np.mgrid[-8:9, -8:9]
    bfk = BrighterFatterKernel(-3e-7 / (1 + 2.0 * (y * y + x * x)))
    flat = signature.flat
    assert flat is not None
    fringe = replace(flat, image=np.sin(np.arange(SHAPE[1]) / 20.0 + flat.image).astype(np.float32))
    simple = replace(signature, crosstalk=None, linearizer=None)
    runs: dict[str, Callable[[], object]] = {
        "isr": lambda: remove(raw, detector, signature),
        "isr without crosstalk and linearity": lambda: remove(raw, detector, simple),
        "isr with fringes": lambda: remove(raw, detector, replace(signature, fringe=fringe)),
        "isr with brighter-fatter": lambda: remove(raw, detector, replace(signature, bfk=bfk)),
    }
    if is_there("ccdproc"):
        warnings.simplefilter("ignore")  # its own, of units and headers
        for dtype in ("f8", "f4"):
            runs[f"ccdproc {dtype}"] = ccdproc_steps(raw, detector, signature, dtype)
    measured = {name: round(cpu_s(run), 3) for name, run in runs.items()}
    for name, value in measured.items():
        bound = f"   bound {BOUNDS[name]:g}" if name in BOUNDS else ""
        ratio = f"   {value / measured['isr']:.1f} x isr"
        print(f"{name:<38}{value:>8.3f} s{ratio}{bound}")
    path = ROOT / "runs" / "bench" / "isr.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cpu_s": measured, "bound_s": BOUNDS}, indent=1) + "\n")
    require(measured, BOUNDS)


if __name__ == "__main__":
    main()
