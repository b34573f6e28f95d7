"""Fit of a PSF that varies over an image to its stars."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.optimize import minimize

from lsstpipe.algorithms._psf_model_kernel import solve_stars
from lsstpipe.algorithms._window_kernel import cut_mask, cut_windows
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_variation import MeanProfile, StarPixels, refine_psf
from lsstpipe.errors import AlgorithmError
from lsstpipe.image._psf_kernel import adaptive_moments
from lsstpipe.image.mask import INVALID, MaskPlane, has
from lsstpipe.image.psf import FWHM_PER_SIGMA, PolynomialPsf, n_terms, nearest_pixel, stamp_moments

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_OVERSAMPLED_FWHM = 3.6
_N_GUESS = 20
_FIRST_CLEAN = 2
_NEIGHBOUR_SIGMA, _NEIGHBOUR_REACH, _CORE = 4.0, 1.5, 1.5


@dataclass(frozen=True, slots=True)
class PsfModelSettings:
    """How to fit a PSF.

    Attributes
    ----------
    max_order
        Highest degree of the polynomial in position.
    stars_per_term
        Stars for each term of the polynomial; with fewer the degree is lowered.
    min_stars
        Fewer stars than this are not enough for a PSF.
    size
        Side of the stamp in pixels, odd; 0 takes 6 times the full width at half maximum.
    n_iterations
        How often model, fluxes, positions and rejections are renewed.
    model_error
        Relative error of the model that is added to the noise, so that a few bright stars do not
        decide alone.
    """

    max_order: int = 2
    stars_per_term: int = 2
    min_stars: int = 5
    size: int = 0
    n_iterations: int = 4
    model_error: float = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class PsfFit:
    """A PSF model and how well it describes each star.

    Attributes
    ----------
    psf
        The model.
    y, x, flux
        Absolute position and flux of each star from the model, shape ``(n,)``.
    is_used
        Stars that the model was fitted to; the rest was reserved or rejected.
    is_reserved
        Stars that were kept out from the start.
    chi2_per_pixel
        Squared residual over the variance of sky, read noise and star, mean over the stamp.
    size_residual
        ``(T_star - T_psf) / T_psf`` with T the sum of the adaptive second moments; NaN where they
        do not converge.
    e1_residual, e2_residual
        Difference of the ellipticities ``(ixx - iyy) / T`` and ``2 ixy / T``.
    """

    psf: PolynomialPsf
    y: FloatArray
    x: FloatArray
    flux: FloatArray
    is_used: BoolArray
    is_reserved: BoolArray
    chi2_per_pixel: FloatArray
    size_residual: FloatArray
    e1_residual: FloatArray
    e2_residual: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Stars:
    """Stamps of the stars and their current positions, fluxes and weights."""

    data: FloatArray
    noise: FloatArray
    pixel: FloatArray
    position: FloatArray
    flux: FloatArray
    weight: FloatArray
    is_good: BoolArray


def fit_psf_model(
    planes: Planes,
    *,
    y: FloatArray,
    x: FloatArray,
    is_reserved: BoolArray,
    sky_variance: FloatImage,
    settings: PsfModelSettings | None = None,
) -> PsfFit:
    """Fit the PSF of an image to its stars.

    The mean PSF is a Moffat profile, deformed, plus a smooth random field on the grid of knots; it
    varies by a few deformations whose amplitudes are polynomials of the position, shrunk by what
    the stars tell of them (`psf_variation`). The model is drawn at the sub-pixel position of each
    star and compared with its pixels as they are, so that no star is resampled and masked pixels
    merely have no weight. Fluxes, positions and rejected stars and pixels, those of faint
    neighbours among them, are renewed between solutions. Two knots a pixel are used where the
    pixels undersample the PSF. The idea is that of PSFEx (Bertin 2011, ASPC 442, 435) and Piff
    (Jarvis et al. 2021, MNRAS 501, 1282).

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    y, x
        Absolute centroids of the stars, shape ``(n,)``.
    is_reserved
        Stars that only test the model, shape ``(n,)``.
    sky_variance
        Variance of sky and read noise, shape ``(ny, nx)``.
    settings
        How to fit.

    Returns
    -------
    PsfFit
        The model and its residuals.

    Raises
    ------
    AlgorithmError
        If there are too few stars.
    """
    chosen = settings or PsfModelSettings()
    position = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    if (~is_reserved).sum() < chosen.min_stars:
        raise AlgorithmError(
            f"A PSF needs at least {chosen.min_stars} stars, {(~is_reserved).sum()} were found."
        )
    fwhm = FWHM_PER_SIGMA * _typical_sigma(planes, position)
    half = chosen.size // 2 if chosen.size else int(np.clip(np.ceil(3.0 * fwhm), 7, 22))
    stars = _cut_out(planes, position, sky_variance, half)
    psf = _first_guess(stars, fwhm, (planes.y0, planes.x0, *planes.image.shape))
    order = _affordable_order(int((~is_reserved).sum()), chosen)
    profile = MeanProfile(psf.coefficients[0], np.zeros_like(psf.coefficients[0]))
    for iteration in range(chosen.n_iterations):
        if iteration == 1:
            psf = _raise_order(psf, order)
        stars = _renew(psf, stars, chosen, iteration)
        fitted = stars.is_good & ~is_reserved
        if fitted.sum() < chosen.min_stars:
            raise AlgorithmError(
                f"A PSF needs at least {chosen.min_stars} stars, {fitted.sum()} of "
                f"{(~is_reserved).sum()} agree with each other."
            )
        psf, profile, share = _solve(psf, profile, stars, fitted)
        used = fitted.copy()
        used[fitted] = share > 0
    stars = _renew(psf, stars, chosen, chosen.n_iterations)
    return _judge(psf, replace(stars, is_good=stars.is_good & (used | is_reserved)), is_reserved)


def _typical_sigma(planes: Planes, position: FloatArray) -> float:
    """Measure the median width of the stars."""
    sigmas = []
    half = 12
    for y, x in nearest_pixel(position) - [planes.y0, planes.x0]:
        stamp = planes.image[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
        start = np.array([min(y, half), min(x, half), 2.0, 2.0], dtype=np.float64)
        found = adaptive_moments(
            stamp.astype(np.float64), np.ones(stamp.shape, dtype=np.bool_), start, 1e-4
        )
        if found[6] > 0:
            sigmas.append(np.sqrt(0.5 * (found[2] + found[3])))
    if not sigmas:
        raise AlgorithmError("No star has second moments that converge.")
    return float(np.median(sigmas))


def _affordable_order(n_stars: int, settings: PsfModelSettings) -> int:
    """Find the highest degree for which there are enough stars."""
    order = settings.max_order
    while order > 0 and n_stars < settings.stars_per_term * n_terms(order):
        order -= 1
    return order


def _cut_out(planes: Planes, position: FloatArray, sky_variance: FloatImage, half: int) -> _Stars:
    """Copy the pixels around each star; pixels off the image or unusable get no weight."""
    pixel = nearest_pixel(position)
    size = 2 * half + 1
    corners = pixel - half - np.array([planes.y0, planes.x0])
    data, noise, variance = (
        cut_windows(image, corners, size, np.nan).astype(np.float64)
        for image in (planes.image, planes.variance, sky_variance)
    )
    bits = cut_mask(planes.mask, corners, size, int(MaskPlane.NO_DATA))
    missing = has(bits, INVALID) | ~(np.isfinite(data) & np.isfinite(noise) & (noise > 0))
    return _Stars(
        data=np.where(missing, 0.0, data),
        noise=np.where(missing, np.inf, variance),
        pixel=pixel.astype(np.float64),
        position=position.copy(),
        flux=np.where(missing, 0.0, data).sum(axis=(1, 2)),
        weight=np.where(missing, 0.0, 1.0 / variance),
        is_good=np.ones(len(pixel), dtype=np.bool_),
    )


def _moffat(fwhm: float, slope: float, size: int, box: tuple[int, int, int, int]) -> PolynomialPsf:
    """Make a round Moffat PSF of exponent ``1 / slope``."""
    oversampling = 2 if fwhm < _OVERSAMPLED_FWHM else 1
    n_knots = oversampling * (size - 1) + 1
    offset = (np.arange(n_knots) - 0.5 * (n_knots - 1)) / oversampling
    radius2 = offset[:, None] ** 2 + offset**2
    scale2 = (0.5 * fwhm) ** 2 / (2.0**slope - 1.0)
    profile = (1.0 + radius2 / scale2) ** (-1.0 / slope)
    profile *= oversampling**2 / profile.sum()
    return PolynomialPsf(profile[None], 0, oversampling, box, size)


def _first_guess(stars: _Stars, fwhm: float, box: tuple[int, int, int, int]) -> PolynomialPsf:
    """Fit width and exponent of a round Moffat PSF to the brightest stars."""
    brightest = np.argsort(-stars.flux, kind="stable")[:_N_GUESS]
    few = replace(
        stars, **{name: getattr(stars, name)[brightest] for name in stars.__dataclass_fields__}
    )
    size = stars.data.shape[1]

    def misfit(parameters: FloatArray) -> float:
        width, slope = float(np.exp(parameters[0])), float(np.exp(parameters[1]))
        if not (0.4 * fwhm < width < 1.6 * fwhm and 0.05 < slope < 0.9):
            return 1e30
        drawn = _draw_at(_moffat(width, slope, size, box), few)
        solution = solve_stars(drawn, few.data, few.weight)
        usable = np.isfinite(solution).all(axis=1)
        flux = solution[usable, 0, None, None]
        model = flux * (
            drawn[usable, 0] + np.einsum("na,nayx->nyx", solution[usable, 1:], drawn[usable, 1:])
        )
        # Scaled by the flux, so that every star counts; the median keeps out what is no star.
        squared = few.weight[usable] * ((few.data[usable] - model) / np.sqrt(flux)) ** 2
        return float(np.median(squared.sum(axis=(1, 2))))

    start = np.log([0.9 * fwhm, 0.3])
    found = minimize(
        misfit,
        start,
        method="Nelder-Mead",
        options={"maxiter": 20, "initial_simplex": start + np.array([[0, 0], [0.08, 0], [0, 0.3]])},
    )
    width, slope = np.exp(found.x)
    return _moffat(float(width), float(slope), size, box)


def _raise_order(psf: PolynomialPsf, order: int) -> PolynomialPsf:
    """Add polynomial terms of value zero."""
    shape = (n_terms(order), *psf.coefficients.shape[1:])
    coefficients = np.zeros(shape)
    coefficients[0] = psf.coefficients[0]
    return replace(psf, coefficients=coefficients, order=order)


def _draw_at(psf: PolynomialPsf, stars: _Stars) -> FloatArray:
    """Draw the PSF and its derivatives into the stamps of the stars."""
    # A star may have moved over the border of its central pixel: keep it just inside.
    inside = stars.pixel + np.clip(stars.position - stars.pixel, -0.5, 0.499999)
    return psf.gradients(y=inside[:, 0], x=inside[:, 1])


def _renew(psf: PolynomialPsf, stars: _Stars, settings: PsfModelSettings, iteration: int) -> _Stars:
    """Renew fluxes, positions, weights and rejections with the current model."""
    drawn = _draw_at(psf, stars)
    solution = solve_stars(drawn, stars.data, stars.weight)
    solved: BoolArray = np.logical_and.reduce(np.isfinite(solution), axis=1)
    flux = np.where(solved, solution[:, 0], stars.flux)
    shift = np.clip(np.where(solved[:, None], solution[:, 1:], 0.0), -0.3, 0.3)
    expected = flux[:, None, None] * drawn[:, 0] + flux[:, None, None] * np.einsum(
        "na,nayx->nyx", shift, drawn[:, 1:]
    )
    light = np.clip(expected, 0.0, None)
    peak = light.max(axis=(1, 2), keepdims=True)
    variance = stars.noise + light + (settings.model_error * light) ** 2
    # The first models are still rough: only gross outliers are thrown out.
    rough = (0.1, 0.03, 0.01, 0.0)[min(iteration, 3)]
    deviation = (stars.data - expected) / np.sqrt(variance + (rough * peak) ** 2)
    usable = np.isfinite(stars.noise)
    kept = usable & (np.abs(deviation) < 5.0)
    if iteration >= _FIRST_CLEAN:
        y0, x0, ny, nx = psf.box
        sigma = psf.sigma(y=float(y0 + ny // 2), x=float(x0 + nx // 2))
        kept &= ~_neighbours(stars.data - expected, np.where(kept, 1.0 / variance, 0.0), sigma)
    weight = np.where(kept, 1.0 / variance, 0.0)
    chi2 = (np.where(usable, deviation, 0.0) ** 2).sum(axis=(1, 2)) / usable.sum(axis=(1, 2))
    center = float(np.median(chi2))
    spread = max(1.4826 * float(np.median(np.abs(chi2 - center))), 0.05)
    position = stars.position + shift
    is_good = solved & (chi2 < center + 5.0 * spread)
    is_good &= (np.abs(position - stars.pixel) < 0.8).all(axis=1)
    return replace(stars, position=position, flux=flux, weight=weight, is_good=is_good)


def _neighbours(residual: FloatArray, weight: FloatArray, sigma: float) -> BoolArray:
    """Find the pixels of faint sources near the stars, with a matched filter; ``(n, s, s)``."""
    signal = gaussian_filter(residual * weight, (0.0, sigma, sigma), mode="constant")
    power = gaussian_filter(weight, (0.0, sigma / math.sqrt(2.0), sigma / math.sqrt(2.0)),
                            mode="constant")  # fmt: skip
    significance = 2.0 * sigma * math.sqrt(math.pi) * signal / np.sqrt(np.maximum(power, 1e-300))
    reach = 2 * round(_NEIGHBOUR_REACH * sigma) + 1
    found: BoolArray = maximum_filter(
        np.abs(significance) > _NEIGHBOUR_SIGMA, size=(1, reach, reach)
    )
    offset = np.arange(residual.shape[1]) - residual.shape[1] // 2
    # What is wrong in the core of a star is no neighbour.
    found &= offset[:, None] ** 2 + offset**2 > (_CORE * sigma) ** 2
    return found


def _solve(
    psf: PolynomialPsf, profile: MeanProfile, stars: _Stars, fitted: BoolArray
) -> tuple[PolynomialPsf, MeanProfile, FloatArray]:
    """Improve the model with the current fluxes, positions and weights."""
    drawn = _draw_at(psf, stars)[fitted]
    flux = stars.flux[fitted][:, None, None]
    pixels = StarPixels(
        data=stars.data[fitted] / flux,
        weight=stars.weight[fitted] * flux**2,
        nuisance=drawn,
        basis=psf.basis(y=stars.position[fitted, 0], x=stars.position[fitted, 1]),
        shift=np.clip(stars.position - stars.pixel, -0.5, 0.499999)[fitted],
    )
    y0, x0, ny, nx = psf.box
    sigma = psf.sigma(y=float(y0 + ny // 2), x=float(x0 + nx // 2))
    return refine_psf(psf, profile, pixels, sigma * psf.oversampling)


def _judge(psf: PolynomialPsf, stars: _Stars, is_reserved: BoolArray) -> PsfFit:
    """Compare every star with the final model."""
    drawn = _draw_at(psf, stars)[:, 0]
    expected = stars.flux[:, None, None] * drawn
    usable = np.isfinite(stars.noise)
    variance = np.where(usable, stars.noise + np.clip(expected, 0.0, None), 1.0)
    squared = np.where(usable, (stars.data - expected) ** 2 / variance, 0.0)
    residuals = np.full((len(drawn), 3), np.nan)
    half = drawn.shape[1] // 2
    for k in range(len(drawn)):
        model = _shape(*stamp_moments(drawn[k]))
        start = np.array([half, half, 0.5 * model[0], 0.5 * model[0]])
        start[:2] += np.clip(stars.position[k] - stars.pixel[k], -0.5, 0.5)
        found = adaptive_moments(stars.data[k], usable[k], start, 1e-5)
        if found[6] > 0 and usable[k].all():
            size, e1, e2 = _shape(found[2], found[3], found[4])
            residuals[k] = size / model[0] - 1.0, e1 - model[1], e2 - model[2]
    return PsfFit(
        psf=psf,
        y=stars.position[:, 0],
        x=stars.position[:, 1],
        flux=stars.flux,
        is_used=stars.is_good & ~is_reserved,
        is_reserved=is_reserved,
        chi2_per_pixel=squared.sum(axis=(1, 2)) / usable.sum(axis=(1, 2)),
        size_residual=residuals[:, 0],
        e1_residual=residuals[:, 1],
        e2_residual=residuals[:, 2],
    )


def _shape(iyy: float, ixx: float, ixy: float) -> tuple[float, float, float]:
    """Turn second moments into size and ellipticities."""
    size = iyy + ixx
    return size, (ixx - iyy) / size, 2.0 * ixy / size
