"""Draw the light that falls on a detector: what the telescope would show without its camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.detector import Detector
from lsstpipe.simulate._draw_kernel import add_gaussians, add_moffats
from lsstpipe.simulate.atmosphere import BETA, PsfShapes, field_radius_pix, psf_shapes
from lsstpipe.simulate.optics import focal_plane, true_wcs
from lsstpipe.simulate.profiles import gaussian_mixture
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.sky import magnitudes_at, make_scene, positions_at
from lsstpipe.simulate.survey import Exposure, Survey

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

_MARGIN_PIX = 250.0
_LOST_FRACTION = 3e-4
_EDGE_ELECTRON = 0.03
_LARGEST_RADIUS_PIX = 240.0
_GAUSSIAN_N_SIGMA = 4.5
_SKY_GRADIENT = 0.01
_TRAIL_ELECTRON, _TRAIL_SIGMA_PIX = 400.0, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What was drawn on a detector, one value an object.

    Attributes
    ----------
    index
        Places of the objects in the scene.
    y, x
        Pixel positions.
    flux_electron
        Electrons before the flat.
    mag
        AB magnitude in the band at the time.
    psf
        PSF there.
    """

    index: npt.NDArray[np.int64]
    y: FloatArray
    x: FloatArray
    flux_electron: FloatArray
    mag: FloatArray
    psf: PsfShapes


def place_objects(survey: Survey, exposure: Exposure, detector: Detector) -> Drawn:
    """Find the objects whose light reaches a detector.

    Parameters
    ----------
    survey, exposure, detector
        What looks at the sky.
    """
    scene = make_scene(survey)
    wcs = true_wcs(survey, exposure, detector)
    ra, dec = positions_at(scene, exposure.mid_mjd)
    y, x = wcs.sky_to_pixel(ra, dec)
    mag = magnitudes_at(scene, exposure)
    near = (
        (np.abs(y - (detector.ny - 1) / 2) < detector.ny / 2 + _MARGIN_PIX)
        & (np.abs(x - (detector.nx - 1) / 2) < detector.nx / 2 + _MARGIN_PIX)
        & np.isfinite(mag)
    )
    index = np.flatnonzero(near)
    flux = 10 ** (-0.4 * (mag[index] - exposure.zero_point_mag))
    shapes = psf_shapes(survey, exposure, detector, y=y[index], x=x[index])
    return Drawn(index, y[index], x[index], flux, mag[index], shapes)


def draw_sky(survey: Survey, exposure: Exposure, detector: Detector, drawn: Drawn) -> FloatImage:
    """Draw sky, objects and satellite on a detector, in expected electrons before the flat.

    Parameters
    ----------
    survey, exposure, detector
        What looks at the sky.
    drawn
        The objects, from `place_objects`.
    """
    image = _background(survey, exposure, detector)
    scene = make_scene(survey)
    kind = scene.kind[drawn.index]
    place = np.stack([drawn.y, drawn.x], axis=1)
    points = (kind == 0) | (kind == 3)
    psf = drawn.psf
    shape = np.stack([psf.alpha_pix**2, psf.a, psf.b, psf.c], axis=1)
    radius = _star_radius(drawn.flux_electron, psf.alpha_pix)
    add_moffats(image, place[points], drawn.flux_electron[points], shape[points], radius[points])
    wcs = true_wcs(survey, exposure, detector)
    for number, name in ((1, "exponential"), (2, "devaucouleurs")):
        chosen = np.flatnonzero(kind == number)
        _draw_galaxies(image, survey, drawn, chosen, name, wcs)
    if exposure.has_trail:
        _add_trail(image, survey, exposure, detector)
    return image


def _background(survey: Survey, exposure: Exposure, detector: Detector) -> FloatImage:
    """Draw the sky: it is brighter on one side of the field."""
    towards = random_for("gradient", survey.seed, exposure.number).uniform(0, 2 * math.pi)
    y, x = np.ogrid[: detector.ny, : detector.nx]
    focal_y, focal_x = focal_plane(detector, y, x)
    reach = _SKY_GRADIENT / field_radius_pix(survey)
    slope = reach * (math.cos(towards) * focal_x + math.sin(towards) * focal_y)
    return np.asarray(exposure.sky_electron * (1 + slope), dtype=np.float32)


def _star_radius(flux: FloatArray, alpha: FloatArray) -> FloatArray:
    """Give the radius to which a star is drawn: little light and little brightness lost."""
    by_flux = np.sqrt(_LOST_FRACTION ** (-1 / (BETA - 1)) - 1)
    peak = flux * (BETA - 1) / (np.pi * alpha**2)
    by_edge = np.sqrt(np.clip((peak / _EDGE_ELECTRON) ** (1 / BETA) - 1, 0, None))
    radius = alpha * np.maximum(by_flux, by_edge) * 1.05
    return np.asarray(np.minimum(radius, _LARGEST_RADIUS_PIX), dtype=np.float64)


def _draw_galaxies(
    image: FloatImage,
    survey: Survey,
    drawn: Drawn,
    chosen: npt.NDArray[np.int64],
    name: str,
    wcs: SkyWcs,
) -> None:
    """Draw galaxies of one profile, convolved with the PSF, both as sums of Gaussians."""
    scene = make_scene(survey)
    index = drawn.index[chosen]
    weights, variances = gaussian_mixture(name)
    psf_weights, psf_variances = gaussian_mixture("moffat")
    own = _sky_covariance(scene.half_light_arcsec[index], scene.g1[index], scene.g2[index])
    own = _to_pixels(own, wcs.plane_jacobian(y=drawn.y[chosen], x=drawn.x[chosen]))
    psf = drawn.psf
    # The inverse of a quadratic form of determinant 1 swaps its elements.
    form = np.stack([psf.c, -psf.b, psf.a], axis=1)[chosen] * psf.alpha_pix[chosen, None] ** 2
    n_parts = len(weights) * len(psf_weights)
    covariance = np.stack(
        [own * v + form * p for v in variances for p in psf_variances], axis=1
    ).reshape(-1, 3)
    share = np.array([w * p for w in weights for p in psf_weights])
    flux = (drawn.flux_electron[chosen, None] * share).ravel()
    place = np.stack([drawn.y[chosen], drawn.x[chosen]], axis=1).repeat(n_parts, axis=0)
    add_gaussians(image, place, flux, covariance, _GAUSSIAN_N_SIGMA)


def _sky_covariance(half_light: FloatArray, g1: FloatArray, g2: FloatArray) -> FloatArray:
    """Give the covariance (east-east, east-north, north-north) of unit profiles, arcsec**2."""
    norm = 1 - g1 * g1 - g2 * g2
    elements = [
        ((1 - g1) ** 2 + g2**2) / norm,
        2 * g2 / norm,
        ((1 + g1) ** 2 + g2**2) / norm,
    ]
    return np.stack(elements, axis=1) * half_light[:, None] ** 2


def _to_pixels(covariance: FloatArray, jacobian: FloatArray) -> FloatArray:
    """Turn covariances from the sky into pixels."""
    inverse = np.linalg.inv(jacobian * 3600)
    matrix = np.stack([covariance[:, [0, 1]], covariance[:, [1, 2]]], axis=1)
    turned = inverse @ matrix @ np.swapaxes(inverse, 1, 2)
    return np.stack([turned[:, 0, 0], turned[:, 0, 1], turned[:, 1, 1]], axis=1)


def _add_trail(image: FloatImage, survey: Survey, exposure: Exposure, detector: Detector) -> None:
    """Draw the straight trail of a satellite across the field, through all detectors."""
    rng = random_for("trail", survey.seed, exposure.number)
    towards = rng.uniform(0, math.pi)
    chosen = [survey.camera.detector(number) for number in exposure.detectors]
    middle_y = np.mean([d.focal_y_pix for d in chosen]) + rng.uniform(-150, 150)
    middle_x = np.mean([d.focal_x_pix for d in chosen]) + rng.uniform(-150, 150)
    y, x = np.ogrid[: detector.ny, : detector.nx]
    focal_y, focal_x = focal_plane(detector, y, x)
    away = (focal_x - middle_x) * math.sin(towards) - (focal_y - middle_y) * math.cos(towards)
    image += (_TRAIL_ELECTRON * np.exp(-0.5 * (away / _TRAIL_SIGMA_PIX) ** 2)).astype(np.float32)
