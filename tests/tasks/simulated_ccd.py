"""One simulated detector of a known sky: Moffat PSFs that vary, galaxies, noise, a catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import REFERENCE
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.instruments import get_camera

FloatArray = npt.NDArray[np.float64]

CAMERA = get_camera("st10")
SCALE_DEG = CAMERA.pixel_scale_arcsec / 3600
CENTRE = (150.1, 2.2)
ZERO_POINT = 30.0
"""AB magnitude of one electron."""

BETA = 3.5
_NODES, _WEIGHTS = np.array([-0.5, 0.0, 0.5]) * np.sqrt(0.6), np.array([5.0, 8.0, 5.0]) / 18
"""Gauss's rule over a pixel."""
_HALF = 31
_HALF_FAINT = 15
_FAINT = 3e4
_USUAL_FWHM = 4.2
"""Stamps of wider PSFs are as much larger."""
_FULL_WELL = 1.2e5


@dataclass(frozen=True)
class Sky:
    """What is drawn: pixels, electrons."""

    y: FloatArray
    x: FloatArray
    flux: FloatArray
    radius: FloatArray
    """Half-light radius of a galaxy, pixels; 0 for a star."""

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Sky:
        return Sky(self.y[rows], self.x[rows], self.flux[rows], self.radius[rows])


@dataclass(frozen=True)
class Ccd:
    """A detector and the truth behind it."""

    exposure: Exposure
    sky: Sky
    wcs: SkyWcs
    reference: Catalog
    variance: FloatArray
    """True variance of the sky in each pixel."""


@dataclass(frozen=True)
class Setup:
    """What a detector is like."""

    shape: tuple[int, int] = (1024, 1024)
    fwhm: float = 4.0
    sky_level: float = 1000.0
    read_noise: float = 5.0
    seed: int = 1
    pointing_miss_pix: tuple[float, float] = (20.0, -20.0)
    rotation_miss_deg: float = 0.1
    rotation_deg: float = 20.0
    distortion_pix: float = 5.0
    reference_limit_mag: float = 20.5
    reference_scatter_mag: float = 0.01
    transparency: FloatArray | None = field(default=None, compare=False)
    """Factor on the light of each pixel."""


def psf_shape(setup: Setup, *, y: float, x: float) -> tuple[float, float, float]:
    """Give width and ellipticity of the PSF at a place: second order, 4 % and 3 %."""
    v, u = 2 * y / setup.shape[0] - 1, 2 * x / setup.shape[1] - 1
    size = setup.fwhm * (1 + 0.02 * u - 0.015 * v + 0.02 * (u * u + v * v - 0.67))
    return size, 0.02 + 0.015 * u * v, 0.01 * (v - u * u + 0.33)


def draw_psf(setup: Setup, *, y: float, x: float, half: int, radius: float = 0.0) -> FloatArray:
    """Draw a stamp of the PSF, integrated over pixels, about the pixel nearest to a position.

    A galaxy is drawn as a wider Moffat profile with the same wings.
    """
    fwhm, e1, e2 = psf_shape(setup, y=y, x=x)
    scale = np.hypot(fwhm, 2 * radius) / (2 * np.sqrt(2 ** (1 / BETA) - 1))
    n = 2 * half + 1
    fine = (np.arange(n)[:, None] - half + _NODES).ravel()
    dy = (fine - (y - np.floor(y + 0.5)))[:, None]
    dx = (fine - (x - np.floor(x + 0.5)))[None, :]
    r2 = ((1 - e1) * dx * dx + (1 + e1) * dy * dy - 2 * e2 * dx * dy) / (1 - e1 * e1 - e2 * e2)
    norm = np.sqrt(1 - e1 * e1 - e2 * e2) / (1 - e1 * e1 - e2 * e2)
    density = (BETA - 1) / (np.pi * scale**2) * norm * (1 + r2 / scale**2) ** -BETA
    stamp: FloatArray = np.einsum("aibj,i,j->ab", density.reshape(n, 3, n, 3), _WEIGHTS, _WEIGHTS)
    return stamp


def scatter(setup: Setup, *, n_stars: int, n_galaxies: int, mags: tuple[float, float]) -> Sky:
    """Scatter stars and galaxies whose counts rise by 10**0.2 and 10**0.3 a magnitude."""
    rng = np.random.default_rng(setup.seed)
    parts = []
    for n, slope, is_galaxy in ((n_stars, 0.2, False), (n_galaxies, 0.3, True)):
        first = mags[0] + (2.0 if is_galaxy else 0.0)
        mag = np.log10(rng.uniform(10 ** (slope * first), 10 ** (slope * mags[1]), n)) / slope
        radius = rng.lognormal(np.log(1.8), 0.35, n) * 10 ** (-0.05 * (mag - 23))
        y, x = rng.uniform(-10, setup.shape[0] + 10, n), rng.uniform(-10, setup.shape[1] + 10, n)
        flux = 10 ** (-0.4 * (mag - ZERO_POINT))
        parts.append(Sky(y, x, flux, radius if is_galaxy else np.zeros(n)))
    return Sky(
        *(np.concatenate([getattr(p, k) for p in parts]) for k in ("y", "x", "flux", "radius"))
    )


def isolate(sky: Sky, distance: float) -> Sky:
    """Keep the sources that are apart from all that come before them."""
    order = np.argsort(-sky.flux, kind="stable")
    kept: list[int] = []
    cells: dict[tuple[int, int], list[int]] = {}
    for i in order.tolist():
        cell = (int(sky.y[i] // distance), int(sky.x[i] // distance))
        near = [
            j
            for a in (-1, 0, 1)
            for b in (-1, 0, 1)
            for j in cells.get((cell[0] + a, cell[1] + b), [])
        ]
        if all(np.hypot(sky.y[i] - sky.y[j], sky.x[i] - sky.x[j]) > distance for j in near):
            kept.append(i)
            cells.setdefault(cell, []).append(i)
    return sky.select(np.array(sorted(kept), dtype=np.int64))


def draw(sky: Sky, setup: Setup) -> FloatArray:
    """Draw all sources without noise."""
    ny, nx = setup.shape
    stretch = max(1.0, setup.fwhm / _USUAL_FWHM)
    pad = round(2 * _HALF * stretch)
    image = np.zeros((ny + 2 * pad, nx + 2 * pad))
    for y, x, flux, radius in zip(sky.y, sky.x, sky.flux, sky.radius, strict=True):
        faint = flux < _FAINT
        half = round((_HALF_FAINT if faint else _HALF) * stretch)
        stamp = flux * draw_psf(setup, y=y, x=x, half=half, radius=radius)
        j, i = int(np.floor(y + 0.5)) + pad - half, int(np.floor(x + 0.5)) + pad - half
        if min(j, i) >= 0:
            cut = image[j : j + 2 * half + 1, i : i + 2 * half + 1]
            cut += stamp[: cut.shape[0], : cut.shape[1]]
    return image[pad:-pad, pad:-pad]


def make_wcs(setup: Setup) -> SkyWcs:
    """Map the detector to the sky: rotated, not mirrored, with a cubic distortion."""
    ny, nx = setup.shape
    angle = np.deg2rad(setup.rotation_deg)
    sin, cos = SCALE_DEG * np.sin(angle), SCALE_DEG * np.cos(angle)
    middle = ((ny - 1) / 2, (nx - 1) / 2)
    linear = SkyWcs(middle, CENTRE, ((float(-cos), float(sin)), (float(sin), float(cos))))
    k = setup.distortion_pix / max(middle) ** 3
    zero = (0.0,) * 4
    sip_a = (zero, (0.0, 3e-7, k, 0.0), zero, (k, 0.0, 0.0, 0.0))
    sip_b = ((0.0, 0.0, 2e-7, k), zero, (0.0, k, 0.0, 0.0), zero)
    return SkyWcs.with_distortion(linear, sip_a, sip_b, shape=setup.shape)


def make_reference(sky: Sky, wcs: SkyWcs, setup: Setup) -> Catalog:
    """Make a catalogue of the bright stars, right to 1 mas in units of 0.2 arcsec a pixel."""
    rng = np.random.default_rng(setup.seed + 1)
    mag = ZERO_POINT - 2.5 * np.log10(sky.flux)
    bright = np.flatnonzero((mag < setup.reference_limit_mag) & (sky.radius == 0))
    n, error = len(bright), 0.005 * SCALE_DEG
    ra, dec = wcs.pixel_to_sky(y=sky.y[bright], x=sky.x[bright])
    flux = 10 ** (-0.4 * (mag[bright] + rng.normal(0, setup.reference_scatter_mag, n) - 31.4))
    return Catalog(
        REFERENCE,
        {
            "id": bright,
            "ra": ra + rng.normal(0, error, n) / np.cos(np.deg2rad(dec)),
            "dec": dec + rng.normal(0, error, n),
            "raErr": np.full(n, error),
            "decErr": np.full(n, error),
            "flux": flux,
            "fluxErr": setup.reference_scatter_mag * flux,
        },
    )


def expose(sky: Sky, setup: Setup) -> Ccd:
    """Expose a detector to a sky."""
    rng = np.random.default_rng(setup.seed + 2)
    wcs = make_wcs(setup)
    light = draw(sky, setup)
    if setup.transparency is not None:
        light = light * setup.transparency
    electrons = rng.poisson(light + setup.sky_level) + rng.normal(0, setup.read_noise, setup.shape)
    saturated = electrons > _FULL_WELL
    image = np.minimum(electrons, _FULL_WELL).astype(np.float32)
    mask = np.where(saturated, np.int32(MaskPlane.SAT | MaskPlane.SUSPECT), np.int32(0))
    variance = np.maximum(image, 1.0) + np.float32(setup.read_noise**2)
    miss = setup.pointing_miss_pix
    info = ObservationInfo(
        instrument=CAMERA.name, exposure=7, detector=0, physical_filter="Filter 2", band="clear",
        observation_type="science", target="", exposure_time_s=30.0, dark_time_s=30.0,
        mid_mjd=60000.0, ra_deg=CENTRE[0] + miss[1] * SCALE_DEG,
        dec_deg=CENTRE[1] + miss[0] * SCALE_DEG,
        rotation_deg=setup.rotation_deg + setup.rotation_miss_deg,
    )  # fmt: skip
    exposure = Exposure(
        image, mask, variance.astype(np.float32), Box(0, 0, *setup.shape), "electron", info=info,
        metadata={"read_noise_electron": setup.read_noise},
    )  # fmt: skip
    sky_variance = np.full(setup.shape, setup.sky_level + setup.read_noise**2)
    return Ccd(exposure, sky, wcs, make_reference(sky, wcs, setup), sky_variance)


def with_reference(ccd: Ccd, **columns: npt.ArrayLike) -> Ccd:
    """Change columns of the catalogue."""
    return replace(
        ccd, reference=Catalog(ccd.reference.schema, {**ccd.reference.columns, **columns})
    )
