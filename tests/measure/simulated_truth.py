"""An image of stars that are known exactly, and a catalogue as a perfect measurement makes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.image.columns import SOURCE
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.measure.visit_truth import VisitTruth

BETA, FWHM = 3.5, 3.6
SHAPE = (736, 1092)
"""Of the ST-10, whose camera is known."""
SKY = 400.0
SCALE = 2.0
"""nJy an electron."""
_HALF = 40

PLACED = Schema(
    "simulated_sources",
    tuple(
        Column(name, "i8" if name in {"id", "kind"} else "f8", "", "")
        for name in ("id", "kind", "y", "x", "flux", "electrons", "psfFwhm", "psfA", "psfB", "psfC")
    ),
)
WCS = SkyWcs((546.0, 368.0), (150.0, 2.0), ((-0.2 / 3600, 0.0), (0.0, 0.2 / 3600)))


@dataclass(frozen=True)
class MoffatPsf:
    """The true PSF, or one that is wider by a factor."""

    factor: float = 1.0
    size: int = 31

    def stamps(self, *, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        half = self.size // 2
        dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
        return np.stack([moffat(dy, dx, self.factor) for _ in y])


def moffat(dy: np.ndarray, dx: np.ndarray, factor: float = 1.0) -> np.ndarray:
    alpha = factor * FWHM / (2.0 * math.sqrt(2.0 ** (1.0 / BETA) - 1.0))
    q = (dy**2 + dx**2) / alpha**2
    return np.asarray((BETA - 1.0) / (math.pi * alpha**2) * (1.0 + q) ** -BETA)


def make_truth(rng: np.random.Generator, n: int = 150) -> VisitTruth:
    """Stars of 10 to 1000 sigma, none closer to another than 30 pixels but the last pair."""
    grid = np.mgrid[40 : SHAPE[0] - 40 : 40, 40 : SHAPE[1] - 40 : 40].reshape(2, -1).T
    place = grid[rng.permutation(len(grid))[:n]] + rng.uniform(-4.0, 4.0, (min(n, len(grid)), 2))
    place = np.concatenate([place, place[-1:] + 6.0])
    n = len(place)
    electrons = 10 ** rng.uniform(3.0, 5.0, n)
    electrons[-2:] = 2e4
    one = np.ones(n)
    placed = Catalog(PLACED, {
        "id": np.arange(n), "kind": np.zeros(n), "y": place[:, 0], "x": place[:, 1],
        "flux": SCALE * electrons, "electrons": electrons, "psfFwhm": FWHM * one, "psfA": one,
        "psfB": 0 * one, "psfC": one,
    })  # fmt: skip
    cosmic = np.zeros(SHAPE, np.float32)
    cosmic[20, 100:110] = 500.0
    defect = np.zeros(SHAPE, bool)
    defect[:, 20] = True
    return VisitTruth(
        wcs=WCS, zero_point_mag=31.4 - 2.5 * math.log10(SCALE), sky_electron=SKY, beta=BETA,
        placed=placed, cosmic_electron=cosmic, is_defect=defect,
    )  # fmt: skip


def make_image(rng: np.random.Generator, truth: VisitTruth) -> Exposure:
    """The calibrated image in nJy: stars and noise, hits and defects masked."""
    light = np.zeros((SHAPE[0] + 2 * _HALF, SHAPE[1] + 2 * _HALF))
    placed, near = truth.placed, np.arange(-_HALF, _HALF + 1)
    for y, x, electrons in zip(placed["y"], placed["x"], placed["electrons"], strict=True):
        rows, columns = round(float(y)) + near, round(float(x)) + near
        stamp = moffat((rows - y)[:, None], (columns - x)[None, :])
        light[np.ix_(rows + _HALF, columns + _HALF)] += electrons * stamp
    light = light[_HALF:-_HALF, _HALF:-_HALF]
    variance = light + SKY
    image = SCALE * (light + np.sqrt(variance) * rng.standard_normal(SHAPE))
    mask = np.zeros(SHAPE, np.int32)
    mask[truth.cosmic_electron > 0] |= np.int32(MaskPlane.CR | MaskPlane.INTRP)
    mask[truth.is_defect] |= np.int32(MaskPlane.BAD | MaskPlane.INTRP)
    return Exposure(
        image.astype(np.float32), mask, (SCALE**2 * variance).astype(np.float32),
        Box(0, 0, *SHAPE), "nJy", wcs=WCS, metadata={"nanojansky_per_electron": SCALE},
    )  # fmt: skip


def make_sources(
    rng: np.random.Generator, truth: VisitTruth, *, bias: float = 1.0, shift_pix: float = 0.0
) -> Catalog:
    """What a perfect measurement finds, but for a bias of the flux and a shift in x."""
    placed, n = truth.placed, len(truth.placed)
    error = SCALE * np.sqrt(truth.effective_pixels * SKY + placed["electrons"])
    jitter = 0.6 * FWHM / (placed["flux"] / error)
    columns: dict[str, Any] = {c.name: np.zeros(n, c.dtype) for c in SOURCE.columns}
    columns |= {
        "sourceId": np.arange(n), "detect_isPrimary": np.ones(n, bool),
        "psfFlux": bias * (placed["flux"] + error * rng.standard_normal(n)), "psfFluxErr": error,
        "y": placed["y"] + jitter * rng.standard_normal(n),
        "x": placed["x"] + jitter * rng.standard_normal(n) + shift_pix,
    }  # fmt: skip
    columns["ra"], columns["dec"] = WCS.pixel_to_sky(y=columns["y"], x=columns["x"])
    return Catalog(SOURCE, columns)
