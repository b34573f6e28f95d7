"""THE table of acceptance metrics: ids, bounds and what would be excellent.

Bounds of a truth-known simulation, and of LSST's science requirements document (LPM-17) for its own
ids. A bound is kept within three standard errors of the measured value; a sample that cannot tell
good from bad at that level has no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lsstpipe.measure.metric import N_SIGMA, Metric, Range


@dataclass(frozen=True, slots=True)
class Bound:
    """What is asked of a metric.

    Attributes
    ----------
    name, unit
        What it is, and its unit.
    gate
        Bounds that must be kept.
    stretch
        Bounds of what would be excellent; None where there is none.
    min_n
        Smallest sample that can be judged.
    """

    name: str
    unit: str
    gate: Range
    stretch: Range | None = None
    min_n: int = 10


def _most(name: str, unit: str, gate: float, stretch: float | None = None, n: int = 10) -> Bound:
    """Ask for a value of at most ``gate``."""
    return Bound(name, unit, (None, gate), None if stretch is None else (None, stretch), n)


def _least(name: str, unit: str, gate: float, stretch: float | None = None, n: int = 10) -> Bound:
    """Ask for a value of at least ``gate``."""
    return Bound(name, unit, (gate, None), None if stretch is None else (stretch, None), n)


def _near(
    name: str, unit: str, gate: Range, stretch: Range | None = None, min_n: int = 10
) -> Bound:
    """Ask for a value between two bounds."""
    return Bound(name, unit, gate, stretch, min_n)


ACCEPTANCE: dict[str, Bound] = {
    "ISR-1": _most("step of the sky between amplifiers", "%", 0.1, 0.03, n=1),
    "ISR-2": _near("residual of sky pixels over its predicted error", "", (0.98, 1.02),
                   (0.99, 1.01), 1000),
    "ISR-3": _most("rms of the sky in boxes of 64 pixels beyond noise", "%", 0.3, 0.1, n=20),
    "ISR-4": _least("saturated and defective pixels that are masked", "%", 100.0, n=1),
    "ISR-4b": _least("replaced pixels that are flagged as such", "%", 100.0, n=1),
    "ISR-5": _most("crosstalk coefficients that are left, of what was put in", "%", 10.0, 3.0, n=2),
    "ISR-5b": _most("crosstalk that is left in empty pixels, of what was put in", "%", 10.0, 3.0,
                    n=1),
    "ISR-6": _most("largest magnitude residual with flux to 90 % of full well", "mmag", 3.0, 1.0),
    "ISR-7": _least("slope of size with flux that is removed", "%", 80.0, 95.0),
    "CAL-0a": _most("mean error of the master bias", "electron", 0.1, n=1000),
    "CAL-0b": _most("mean error of the master dark, of the dark current", "%", 2.0, n=1000),
    "CAL-0c": _most("mean error of the master flat", "%", 0.05, n=1000),
    "CR-1": _least("pixels of cosmic rays above 10 sigma that are flagged", "%", 98.0, 99.2, n=200),
    "CR-1b": _least("pixels of cosmic rays above 5 sigma that are flagged", "%", 93.0, 96.6, n=200),
    "CR-2": _most("share of good pixels flagged as cosmic rays", "1e-5", 1.0, n=100_000),
    "CR-2b": _most("bright stars whose core is flagged as a cosmic ray", "stars", 0.0),
    "BG-1": _most("median flux at empty places over its error", "", 0.15, 0.05, n=50),
    "PSF-1": _most("mean error of the PSF's size, |dT/T|", "1e-3", 3.0, 1.0),
    "PSF-1b": _most("rms error of the PSF's size, dT/T", "1e-3", 3.0, 0.5),
    "PSF-2": _most("mean error of the PSF's ellipticity, |de|", "1e-3", 0.5, 0.1),
    "PSF-2b": _most("rms error of the PSF's ellipticity", "1e-3", 2.0),
    "PSF-3": _near("chi-square per degree of freedom of reserved stars", "", (0.9, 1.15)),
    "PSF-4": _most("error of the PSF's size over PSFEx's on the same stars", "", 1.1),
    "AST-1": _least("detectors solved from their wrong pointing", "%", 100.0, n=1),
    "AST-2": _most("rms of positions against truth per axis, each detector by itself", "mas", 10.0,
                   3.0, n=50),
    "AST-3": _most("mean offset of positions from truth", "mas", 2.0, n=50),
    "AST-3b": _most("rms of the offset over 8 by 8 cells of a detector beyond noise", "mas", 5.0),
    "AM1": _most("scatter of separations near 5 arcmin", "mas", 10.0, 5.0, n=50),
    "AM2": _most("scatter of separations near 20 arcmin", "mas", 10.0, 5.0, n=50),
    "AM3": _most("scatter of separations near 200 arcmin", "mas", 15.0, 10.0, n=50),
    "AD1": _most("largest deviation of 90 % of the separations near 5 arcmin", "mas", 20.0, 10.0,
                 n=50),
    "AD2": _most("largest deviation of 90 % of the separations near 20 arcmin", "mas", 20.0, 10.0,
                 n=50),
    "AD3": _most("largest deviation of 90 % of the separations near 200 arcmin", "mas", 30.0, 20.0,
                 n=50),
    "AF1": _most("separations near 5 arcmin off by more than 20 mas", "%", 10.0, 5.0, n=50),
    "AF2": _most("separations near 20 arcmin off by more than 20 mas", "%", 10.0, 5.0, n=50),
    "AF3": _most("separations near 200 arcmin off by more than 30 mas", "%", 10.0, 5.0, n=50),
    "AA1": _most("median offset of positions from the catalogue", "mas", 10.0, 5.0, n=30),
    "AB1": _most("scatter of positions between bands", "mas", 10.0, 5.0, n=2),
    "PHO-1": _most("rms error of zero points, each detector by itself", "mmag", 5.0, 1.0, n=3),
    "PHO-1b": _most("rms error of zero points after the joint fit", "mmag", 3.0, 1.0, n=3),
    "PHO-2a": _most("bias of PSF magnitudes, S/N above 100", "mmag", 3.0, 0.5, n=30),
    "PHO-2b": _most("bias of PSF magnitudes, S/N 30 to 100", "mmag", 8.0, 5.0, n=30),
    "PHO-2c": _most("bias of PSF magnitudes, S/N 8 to 12", "mmag", 25.0, 13.0, n=30),
    "PHO-3": _near("width of (flux - truth) / error, single visits", "", (0.95, 1.05), None, 200),
    "PA1": _most("median scatter of bright stars over the visits", "mmag", 8.0, 5.0, n=30),
    "PA1-floor": _most("the same, free of noise", "mmag", 3.0, 1.0, n=30),
    "PA2": _most("largest difference of 90 % of pairs of magnitudes", "mmag", 15.0, 10.0, n=30),
    "PF1": _most("magnitudes of bright stars off by more than 15 mmag", "%", 20.0, 10.0, n=30),
    "APC-1": _most("rms residual of the aperture correction over the field", "mmag", 3.0, 1.0),
    "DET-1": _near("magnitude of 50 % completeness minus analytic depth", "mag", (-0.15, 0.15),
                   None, 100),
    "DET-1b": _least("completeness of isolated sources above S/N 10", "%", 97.0, n=100),
    "DET-2": _most("detections at 5 sigma that are not real", "%", 3.0, 1.0, n=300),
    "TE1": _most("|correlation| of ellipticity residuals within 1 arcmin", "1e-5", 2.0, 1.0,
                 n=1000),
    "TE2": _most("|correlation| of ellipticity residuals beyond 5 arcmin", "1e-7", 1.0, 0.5,
                 n=100_000),
    "LOC-1": _most("width of the stellar locus beyond noise (wPerp)", "mmag", 5.0, 2.0, n=50),
}  # fmt: skip
"""Every metric that this module knows, by id, in the order in which they are shown."""


def judge(
    id: str, value: float, *, n: int, error: float = math.nan, note: str = "", where: str = ""
) -> Metric:
    """Hold a measured value against its bound.

    Parameters
    ----------
    id
        One of `ACCEPTANCE`.
    value
        In the unit of the table.
    n
        Size of the sample.
    error
        Standard error, same unit; NaN where the value has none.
    note
        What the reader should know.
    where
        What it was measured on, where there is one of an id for each of several: a band, an
        amplifier. It is added to the id behind a colon.
    """
    bound = ACCEPTANCE[id]
    low, high = bound.gate
    return Metric(
        f"{id}:{where}" if where else id, bound.name, value, bound.unit, low, high, n, bound.min_n,
        error, note, bound.stretch, N_SIGMA,
    )  # fmt: skip


def choose_worst(metrics: Sequence[Metric]) -> Metric:
    """Choose, of one metric on each of several images, the one that misses its bound most.

    Parameters
    ----------
    metrics
        Metrics of one id, each with what it was measured on; at least one.
    """
    judged = [metric for metric in metrics if metric.ok is not None]
    worst = max(judged or metrics, key=lambda metric: (metric.ok is False, _use(metric)))
    id, _, where = worst.id.partition(":")
    note = f"Worst of {len(metrics)}: {where}."
    if judged and len(judged) < len(metrics):
        note = f"Worst of {len(judged)} that could be judged, of {len(metrics)}: {where}."
    return replace(worst, id=id, note=f"{note} {worst.note}".strip())


def _use(metric: Metric) -> float:
    """Say how far a value has gone towards its bound, in units of the bound."""
    low, high, value = metric.low, metric.high, metric.value
    if not math.isfinite(value):
        return -math.inf
    if low is not None and high is not None:
        return abs(value - 0.5 * (low + high)) / max(0.5 * (high - low), 1e-12)
    if high is not None:
        return value / high if high > 0 else value
    return (low or 0.0) - value
