"""The sky: stars on a colour locus, galaxies, variables, transients.

Magnitudes are AB. Stars lie exactly on the line wPerp = 0 of the colour space g - r, r - i (Ivezic
et al. 2004, AN 325, 583: ``-0.227 g + 0.792 r - 0.567 i + 0.050``), so that the width of the
measured locus is that of the errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.survey import Exposure, Survey

FloatArray = npt.NDArray[np.float64]

BANDS = ("g", "r", "i", "z", "y")

REFERENCE_MJD = 57388.5
"""Epoch of the positions: J2016.0."""

_STAR_MAGS, _STAR_SLOPE = (14.5, 25.5), 0.15
_GALAXY_MAGS, _GALAXY_SLOPE = (19.0, 26.0), 0.35
_BRIGHT_STAR_MAG = 12.0
_PROPER_MOTION_MAS = 10.0
_VARIABLE_FRACTION = 0.01
_N_TRANSIENTS = 10
_EXPONENTIAL_FRACTION = 0.8
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All objects of the sky; every attribute is an array with one value an object.

    Attributes
    ----------
    id
        From 1.
    kind
        0 a star, 1 an exponential galaxy, 2 a de Vaucouleurs galaxy, 3 a transient.
    ra_deg, dec_deg
        Position at `REFERENCE_MJD`, ICRS.
    pm_ra_mas, pm_dec_mas
        Proper motion a year, that in right ascension times cos(dec).
    mags
        AB magnitude in each of `BANDS`, mean or peak, shape ``(n, 5)``.
    half_light_arcsec, g1, g2
        Half-light radius along the mean axis and shape of a galaxy, on the sky: +g1 is along north.
    amplitude_mag, period_days, phase
        Of a variable star; amplitude 0 of the others.
    peak_mjd, duration_days
        Of a transient; NaN of the others.
    """

    id: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    ra_deg: FloatArray
    dec_deg: FloatArray
    pm_ra_mas: FloatArray
    pm_dec_mas: FloatArray
    mags: FloatArray
    half_light_arcsec: FloatArray
    g1: FloatArray
    g2: FloatArray
    amplitude_mag: FloatArray
    period_days: FloatArray
    phase: FloatArray
    peak_mjd: FloatArray
    duration_days: FloatArray

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.id)


@lru_cache(maxsize=2)
def make_scene(survey: Survey) -> Scene:
    """Make the sky that a survey looks at.

    Parameters
    ----------
    survey
        Its field, density and seed.
    """
    rng = random_for("sky", survey.seed)
    area = math.pi * (survey.radius_deg() * 60) ** 2
    n_stars = round(survey.preset.stars_per_arcmin2 * area)
    n_galaxies = round(survey.preset.galaxies_per_arcmin2 * area)
    n = n_stars + n_galaxies + _N_TRANSIENTS
    kind = np.repeat([0, 1, 3], [n_stars, n_galaxies, _N_TRANSIENTS]).astype(np.int64)
    is_star, is_galaxy, is_transient = kind == 0, kind == 1, kind == 3
    kind[is_galaxy & (rng.random(n) > _EXPONENTIAL_FRACTION)] = 2
    radius = survey.radius_deg() * np.sqrt(rng.random(n))
    towards = 2 * math.pi * rng.random(n)
    # The bright star and the transients are where visits overlap.
    radius = np.where(is_transient, 0.4 * radius, radius)
    radius[0] = 0.02
    ra, dec = gnomonic_deproject(
        radius * np.sin(towards), radius * np.cos(towards), centre_deg=survey.preset.centre_deg
    )
    r = np.where(
        is_star,
        _power_law(rng, n, _STAR_MAGS, _STAR_SLOPE),
        np.where(
            is_galaxy, _power_law(rng, n, _GALAXY_MAGS, _GALAXY_SLOPE), rng.uniform(18, 21, n)
        ),
    )
    r[0] = _BRIGHT_STAR_MAG
    moves = is_star[:, None] * rng.normal(scale=_PROPER_MOTION_MAS, size=(n, 2))
    varies = is_star & (rng.random(n) < _VARIABLE_FRACTION)
    varies[0] = False
    first, last = (f(e.begin_mjd for e in survey.science()) for f in (min, max))
    shapes = np.clip(rng.normal(scale=0.13, size=(n, 2)), -0.35, 0.35) * is_galaxy[:, None]
    size = 0.35 * 10 ** (-0.09 * (r - 23)) * np.exp(0.25 * rng.standard_normal(n))
    return Scene(
        id=np.arange(1, n + 1),
        kind=kind,
        ra_deg=ra,
        dec_deg=dec,
        pm_ra_mas=moves[:, 0],
        pm_dec_mas=moves[:, 1],
        mags=np.where(is_galaxy[:, None], _galaxy_mags(rng, r), _star_mags(rng, r)),
        half_light_arcsec=np.where(is_galaxy, np.clip(size, 0.08, 2.5), 0.0),
        g1=shapes[:, 0],
        g2=shapes[:, 1],
        amplitude_mag=np.where(varies, rng.uniform(0.1, 0.5, n), 0.0),
        period_days=np.where(varies, 10 ** rng.uniform(-1, 0.7, n), np.nan),
        phase=rng.random(n),
        peak_mjd=np.where(is_transient, rng.uniform(first, last + 0.01, n), np.nan),
        duration_days=np.where(is_transient, rng.uniform(0.02, 0.5, n), np.nan),
    )


def _power_law(
    rng: np.random.Generator, n: int, limits: tuple[float, float], slope: float
) -> FloatArray:
    """Draw magnitudes whose counts rise by ``slope`` decades a magnitude."""
    low, high = (10 ** (slope * limit) for limit in limits)
    return np.log10(low + (high - low) * rng.random(n)) / slope


def _star_mags(rng: np.random.Generator, r: FloatArray) -> FloatArray:
    """Put stars on the locus."""
    g_r = 0.25 + 0.95 * rng.beta(1.3, 1.3, len(r))
    r_i = (0.227 * g_r + 0.002 * r - 0.050) / 0.567
    i_z, z_y = 0.55 * r_i - 0.01, 0.3 * r_i - 0.01
    return np.stack([r + g_r, r, r - r_i, r - r_i - i_z, r - r_i - i_z - z_y], axis=1)


def _galaxy_mags(rng: np.random.Generator, r: FloatArray) -> FloatArray:
    """Give galaxies colours of their own."""
    g_r = np.clip(rng.normal(0.7, 0.3, len(r)), 0, 1.6)
    r_i = np.clip(0.4 * g_r + rng.normal(0.05, 0.12, len(r)), 0, 1.2)
    i_z, z_y = 0.6 * r_i, 0.4 * r_i
    return np.stack([r + g_r, r, r - r_i, r - r_i - i_z, r - r_i - i_z - z_y], axis=1)


def positions_at(scene: Scene, mjd: float) -> tuple[FloatArray, FloatArray]:
    """Give the positions of all objects at an epoch.

    Parameters
    ----------
    scene
        The sky.
    mjd
        Epoch.

    Returns
    -------
    ra_deg, dec_deg
        ICRS.
    """
    years = (mjd - REFERENCE_MJD) / _DAYS_PER_YEAR
    degrees = years / 3600e3
    return (
        scene.ra_deg + scene.pm_ra_mas * degrees / np.cos(np.radians(scene.dec_deg)),
        scene.dec_deg + scene.pm_dec_mas * degrees,
    )


def magnitudes_at(scene: Scene, exposure: Exposure) -> FloatArray:
    """Give the magnitudes of all objects in an exposure; infinite where an object is not there.

    Parameters
    ----------
    scene
        The sky.
    exposure
        A visit: band and time.
    """
    mags = scene.mags[:, BANDS.index(exposure.band)].copy()
    varies = scene.amplitude_mag > 0
    turns = exposure.mid_mjd / scene.period_days[varies] + scene.phase[varies]
    mags[varies] += scene.amplitude_mag[varies] * np.sin(2 * np.pi * turns)
    transient = scene.kind == 3
    age = (exposure.mid_mjd - scene.peak_mjd[transient]) / scene.duration_days[transient]
    mags[transient] += np.where(np.abs(age) < 3, 0.5 * age**2, np.inf)
    return mags
