"""A small sky, a camera and one night, of which everything is known: raws and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from lsstpipe.data_model import DataId
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import APERTURE_NAMES, APERTURE_RADII, REFERENCE
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.instruments import get_camera
from lsstpipe.tasks import calibrate

FloatArray = npt.NDArray[np.float64]

CALIBRATION_RADIUS = APERTURE_RADII[APERTURE_NAMES.index(calibrate.Config().calibration_aperture)]
DETECTOR = get_camera("st10").detector(0)
SHAPE = (DETECTOR.ny, DETECTOR.nx)
CENTRE = (285.97, 36.708)
SCALE_ARCSEC = 2.38
ZERO_POINT = 22.0
"""AB magnitude of one electron in an exposure without extinction."""

EXPOSURE_S = 45.0
FIRST_VISIT = 120617060000
CORE_SHARE, WING_RATIO = 0.9, 2.2
SATURATED, VARIABLE, PAIR = 0, 1, (2, 3)
"""Rows of the stars that are special."""

DIMMED_VISIT, DIMMED_MAG = 2, 0.1
DIP_VISITS, DIP = (3, 4, 5), 0.05
RAY_VISIT = 1
BRIGHT_MAG, FAINT_MAG = 8.5, 14.0
REFERENCE_MAG_LIMIT = 11.5
DEAD_SPOT = (slice(300, 303), slice(700, 703))
N_VISITS = 6

_SIGMAS = (1.15, 1.2, 1.3, 1.2, 1.25, 1.35)
_DITHERS = ((0, 0), (-16, 9), (11, 14), (7, -19), (-9, -12), (18, 3))
_SKIES = (1500.0, 1550.0, 1450.0, 1500.0, 1650.0, 1600.0)


@dataclass(frozen=True)
class Visit:
    """The truth of one exposure."""

    number: int
    wcs: SkyWcs
    sigma: float
    sky: float
    extinction: float
    flux: FloatArray
    y: FloatArray
    x: FloatArray
    ray: npt.NDArray[np.bool_]

    @property
    def data_id(self) -> DataId:
        return DataId(instrument="st10", visit=self.number, detector=0)

    @property
    def zero_point(self) -> float:
        """AB magnitude of a star with one electron in the aperture that fluxes are tied to."""
        share = aperture_share(CALIBRATION_RADIUS, sigma=self.sigma)
        return ZERO_POINT - self.extinction + 2.5 * float(np.log10(share))

    @property
    def nanojansky(self) -> FloatArray:
        """Flux of each star above the atmosphere, with the dip of the variable one."""
        return self.flux * 10 ** (0.4 * (31.4 - ZERO_POINT + self.extinction))

    def inside(self, margin: float) -> npt.NDArray[np.bool_]:
        """Find the stars that are further than this from the edge of the frame."""
        ny, nx = SHAPE
        near_y = (self.y > margin) & (self.y < ny - 1 - margin)
        return near_y & (self.x > margin) & (self.x < nx - 1 - margin)


@dataclass(frozen=True)
class World:
    """Raws and the truth behind them; electrons, pixels, AB magnitudes."""

    ra: FloatArray
    dec: FloatArray
    mag: FloatArray
    visits: tuple[Visit, ...]
    dark: FloatArray
    hot: npt.NDArray[np.bool_]
    warm: npt.NDArray[np.bool_]
    response: FloatArray
    raw_darks: dict[DataId, Exposure]
    raws: dict[DataId, Exposure]
    reference: Catalog

    @property
    def flux_njy(self) -> FloatArray:
        return 10 ** (-0.4 * (self.mag - 31.4))

    def plain_stars(self) -> npt.NDArray[np.bool_]:
        """Leave out the saturated star, the variable one, and the close pair."""
        plain = np.ones(len(self.mag), dtype=bool)
        plain[[SATURATED, VARIABLE, *PAIR]] = False
        return plain


def aperture_share(radius: float, *, sigma: float) -> float:
    """Integrate the PSF over a circle, but for the pixels' own width: two Gaussians."""
    core, wings = (np.exp(-0.5 * (radius / (ratio * sigma)) ** 2) for ratio in (1.0, WING_RATIO))
    return float(1 - CORE_SHARE * core - (1 - CORE_SHARE) * wings)


def psf_stamp(y: float, x: float, *, sigma: float, half: int = 20) -> FloatArray:
    """Integrate the PSF over pixels: a Gaussian core and wings of twice its width."""
    offset = np.arange(-half, half + 2) - 0.5
    stamp = np.zeros((2 * half + 1, 2 * half + 1))
    for share, width in ((CORE_SHARE, sigma), (1 - CORE_SHARE, WING_RATIO * sigma)):
        in_y, in_x = (np.diff(ndtr((offset - (c - np.floor(c + 0.5))) / width)) for c in (y, x))
        stamp += share * np.outer(in_y, in_x)
    return stamp


def draw_stars(
    shape: tuple[int, int], *, y: FloatArray, x: FloatArray, flux: FloatArray, sigma: float
) -> FloatArray:
    """Draw stars on an empty image."""
    half = 20
    image = np.zeros((shape[0] + 4 * half, shape[1] + 4 * half))
    for yy, xx, f in zip(y, x, flux, strict=True):
        j, i = int(np.floor(yy + 0.5)) + half, int(np.floor(xx + 0.5)) + half
        if 0 <= j < shape[0] + 2 * half and 0 <= i < shape[1] + 2 * half:
            stamp = f * psf_stamp(yy, xx, sigma=sigma, half=half)
            image[j : j + 2 * half + 1, i : i + 2 * half + 1] += stamp
    return image[2 * half : -2 * half, 2 * half : -2 * half]


def make_info(number: int, kind: str, *, exposure_s: float = EXPOSURE_S) -> ObservationInfo:
    """Make what a header would say; the pointing is 2 arcmin off."""
    is_dark = kind == "dark"
    return ObservationInfo(
        instrument="st10",
        exposure=number,
        detector=0,
        physical_filter="none" if is_dark else "Filter 2",
        band="none" if is_dark else "clear",
        observation_type=kind,
        target="",
        exposure_time_s=exposure_s,
        dark_time_s=exposure_s,
        mid_mjd=56095.25 + (number - FIRST_VISIT) / 86400.0,
        ra_deg=CENTRE[0] + 0.03,
        dec_deg=CENTRE[1] - 0.02,
    )


def make_raw(electrons: FloatArray, info: ObservationInfo) -> Exposure:
    """Digitise an image."""
    adu = np.clip(np.round(electrons / DETECTOR.gain), 0, 60000).astype(np.float32)
    mask = np.zeros(SHAPE, dtype=np.int32)
    mask[adu >= DETECTOR.suspect_adu] |= MaskPlane.SUSPECT
    mask[adu >= DETECTOR.saturation_adu] |= MaskPlane.SAT
    return Exposure(adu, mask, np.zeros_like(adu), Box(0, 0, *SHAPE), "adu", info=info)


def scatter_stars(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Place stars on and around the field, no two closer than 14 pixels but one pair."""
    ny, nx = SHAPE
    placed = [(ny * 0.4, nx * 0.3), (ny * 0.6, nx * 0.55), (200.0, 800.3), (203.2, 804.6)]
    while len(placed) < n:
        y, x = rng.uniform(-30, ny + 30), rng.uniform(-30, nx + 30)
        if min((y - a) ** 2 + (x - b) ** 2 for a, b in placed) > 14**2:
            placed.append((y, x))
    y, x = np.array(placed).T
    return y, x


def make_wcs(dither: tuple[int, int], rotation_deg: float) -> SkyWcs:
    """Map a frame to a mirrored, rotated sky with half a pixel of distortion in its corners."""
    ny, nx = SHAPE
    middle = ((ny - 1) / 2, (nx - 1) / 2)
    scale = SCALE_ARCSEC / 3600
    cos, sin = np.cos(np.deg2rad(rotation_deg)), np.sin(np.deg2rad(rotation_deg))
    cd = ((scale * cos, -scale * sin), (scale * sin, scale * cos))
    ra, dec = SkyWcs(middle, CENTRE, cd).pixel_to_sky(
        y=middle[0] + dither[0], x=middle[1] + dither[1]
    )
    k = 0.5 / np.hypot(*middle) ** 3
    zero = (0.0,) * 4
    sip_a = (zero, (0.0, 0.0, k, 0.0), zero, (k, 0.0, 0.0, 0.0))
    sip_b = ((0.0, 0.0, 0.0, k), zero, (0.0, k, 0.0, 0.0), zero)
    linear = SkyWcs(middle, (float(ra), float(dec)), cd)
    return SkyWcs.with_distortion(linear, sip_a, sip_b, shape=SHAPE)


def _make_dark(
    rng: np.random.Generator,
) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Draw the dark signal of one exposure: a level, a glowing corner, hot and warm pixels."""
    ny, nx = SHAPE
    glow = 40 * np.exp(-np.add.outer(np.arange(ny) / 150, np.arange(nx) / 150))
    dark = 130.0 + glow
    hot, warm = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    chosen = rng.choice(ny * nx, 400, replace=False)
    hot.flat[chosen[:150]] = True
    warm.flat[chosen[150:]] = True
    dark[hot] += rng.uniform(400, 4000, 150)
    dark[warm] += 120
    return dark, hot, warm


def _make_response(rng: np.random.Generator) -> FloatArray:
    """Draw the response of the pixels: darker corners, rough pixels, one dead spot."""
    v, u = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    response = 1 - 0.04 * (v**2 + u**2) + 0.01 * u
    response *= 1 + rng.normal(0, 0.003, SHAPE)
    response[DEAD_SPOT] *= 0.4
    result: FloatArray = response / response.mean()
    return result


def _observe(i: int, ra: FloatArray, dec: FloatArray, mag: FloatArray) -> Visit:
    """Work out where the stars fall on one exposure, and how bright."""
    wcs = make_wcs(_DITHERS[i], 1.5 + 0.05 * i)
    extinction = DIMMED_MAG if i == DIMMED_VISIT else 0.01 * i
    flux = 10 ** (-0.4 * (mag - ZERO_POINT + extinction))
    if i in DIP_VISITS:
        flux[VARIABLE] *= 1 - DIP
    y, x = wcs.sky_to_pixel(ra, dec)
    ray = np.zeros(SHAPE, dtype=bool)
    if i == RAY_VISIT:
        along = np.arange(24)
        ray[500 + along // 2, 400 + along] = True
    return Visit(FIRST_VISIT + 60 * i, wcs, _SIGMAS[i], _SKIES[i], extinction, flux, y, x, ray)


def simulate_world(seed: int = 5, n_stars: int = 320) -> World:
    """Simulate one night."""
    rng = np.random.default_rng(seed)
    y, x = scatter_stars(rng, n_stars)
    ra, dec = make_wcs((0, 0), 1.5).pixel_to_sky(y=y, x=x)
    # Counts rise by 10**0.15 a magnitude.
    low, high = 10 ** (0.15 * BRIGHT_MAG), 10 ** (0.15 * FAINT_MAG)
    mag = np.log10(rng.uniform(low, high, n_stars)) / 0.15
    mag[[SATURATED, VARIABLE, *PAIR]] = 6.8, 9.6, 10.5, 10.9
    dark, hot, warm = _make_dark(rng)
    response = _make_response(rng)
    visits = tuple(_observe(i, ra, dec, mag) for i in range(N_VISITS))
    raws = {}
    for visit in visits:
        light = draw_stars(SHAPE, y=visit.y, x=visit.x, flux=visit.flux, sigma=visit.sigma)
        light = (light + visit.sky) * response
        electrons = rng.poisson(light + dark) + rng.normal(0, DETECTOR.read_noise, SHAPE)
        electrons[visit.ray] += 3000
        key = DataId(instrument="st10", exposure=visit.number, detector=0)
        raws[key] = make_raw(electrons, make_info(visit.number, "science"))
    raw_darks = {}
    for i in range(5):
        electrons = rng.poisson(dark) + rng.normal(4.0 * (i - 2), DETECTOR.read_noise, SHAPE)
        electrons[100 + 20 * i, 50:70] += 1000
        number = FIRST_VISIT - 1000 + i
        key = DataId(instrument="st10", exposure=number, detector=0)
        raw_darks[key] = make_raw(electrons, make_info(number, "dark"))
    return World(
        ra, dec, mag, visits, dark, hot, warm, response, raw_darks, raws,
        _make_reference(rng, ra, dec, mag),
    )  # fmt: skip


def _make_reference(
    rng: np.random.Generator, ra: FloatArray, dec: FloatArray, mag: FloatArray
) -> Catalog:
    """Make a catalogue of the bright stars, right to 0.06 arcsec and 0.02 mag."""
    bright = np.flatnonzero(mag < REFERENCE_MAG_LIMIT)
    n, error = len(bright), 0.06 / 3600
    flux = 10 ** (-0.4 * (mag[bright] + rng.normal(0, 0.02, n) - 31.4))
    return Catalog(
        REFERENCE,
        {
            "id": bright,
            "ra": ra[bright] + rng.normal(0, error, n) / np.cos(np.deg2rad(dec[bright])),
            "dec": dec[bright] + rng.normal(0, error, n),
            "raErr": np.full(n, error),
            "decErr": np.full(n, error),
            "flux": flux,
            "fluxErr": 0.02 * flux,
        },
    )
