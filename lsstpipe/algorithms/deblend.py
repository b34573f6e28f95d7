"""Division of blended light among the sources of a footprint.

After the deblender of SDSS (Lupton 2005, unpublished; Bosch et al. 2018, PASJ 70, S5, section
4.8.2): a template for each peak, weights for the templates by least squares, and the pixels divided
in proportion, so that the children sum to the image. A peak that the PSF fits has the PSF for its
template; another has the smaller of each pixel and its mirror image, made to fall outward. All
bands together say whether a peak is point-like; the rest is done band by band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from lsstpipe.algorithms._deblend_kernel import make_monotonic, share_flux, symmetric_minimum
from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_MAX_SHIFT_PIX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """The pixels of one footprint in its bounding box, in one or more bands.

    Attributes
    ----------
    images, variances
        Pixels without background and their variance, shape ``(n_bands, ny, nx)``, all bands on one
        pixel grid.
    footprint
        Pixels of the blend, shape ``(ny, nx)``.
    y0, x0
        Absolute coordinates of pixel ``[0, 0]``.
    """

    images: FloatArray
    variances: FloatArray
    footprint: BoolArray
    y0: int = 0
    x0: int = 0

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.images.ndim != 3 or not (
            self.images.shape == self.variances.shape
            and self.images.shape[1:] == self.footprint.shape
        ):
            raise ValueError(
                "images and variances must have shape (n_bands, ny, nx) and the footprint "
                f"(ny, nx), got {self.images.shape}, {self.variances.shape}, {self.footprint.shape}"
            )


@dataclass(frozen=True, slots=True)
class DeblendLevels:
    """Settings of `deblend`.

    Attributes
    ----------
    max_psf_chi2
        Reduced chi squared up to which a peak is called point-like.
    psf_error
        Relative error of the PSF model, added to the noise of the pixels in that test.
    radius
        Radius of the pixels of that test, in units of the PSF's width (Gaussian sigma).
    max_peaks
        Largest number of peaks that is deblended.
    """

    max_psf_chi2: float = 1.5
    psf_error: float = 0.02
    radius: float = 3.0
    max_peaks: int = 600


@dataclass(frozen=True, slots=True, eq=False)
class Deblended:
    """The children of a blend.

    Attributes
    ----------
    children
        Pixels of each child in each band, 0 outside the footprint; over all children they sum to
        the blend. Float32, shape ``(n_peaks, n_bands, ny, nx)``.
    templates
        Weighted template of each child, same shape.
    is_psf
        Whether the template is the PSF, shape ``(n_peaks,)``.
    """

    children: npt.NDArray[np.float32]
    templates: FloatArray
    is_psf: BoolArray


def deblend(
    blend: Blend, peaks: FloatArray, psfs: FloatArray, levels: DeblendLevels = DeblendLevels()
) -> Deblended:
    """Divide the light of a blend among its peaks.

    Parameters
    ----------
    blend
        The pixels.
    peaks
        Absolute row and column of each peak, to a fraction of a pixel, shape ``(n_peaks, 2)``.
    psfs
        PSF of each band at each peak, drawn around the pixel nearest to the peak with the peak's
        sub-pixel offset, sum 1, shape ``(n_peaks, n_bands, s, s)``.
    levels
        Settings.

    Returns
    -------
    Deblended
        Children, templates, and which are point-like.

    Raises
    ------
    AlgorithmError
        If there are more peaks than allowed, or none.
    """
    if not 0 < len(peaks) <= levels.max_peaks:
        raise AlgorithmError(
            f"The blend has {len(peaks)} peaks; between 1 and {levels.max_peaks} can be deblended."
        )
    local = np.asarray(peaks, dtype=np.float64) - np.array([blend.y0, blend.x0])
    shape = (len(peaks), *blend.images.shape)
    children, templates = np.zeros(shape, dtype=np.float32), np.zeros(shape)
    chi2, n_degrees = np.zeros(len(peaks)), np.zeros(len(peaks))
    models = np.zeros(shape)
    for band in range(shape[1]):
        drawn = [_place(psf[band], peak, shape[2:]) for psf, peak in zip(psfs, local, strict=True)]
        models[:, band], band_chi2, band_degrees = _fit_psfs(blend, band, local, drawn, levels)
        chi2, n_degrees = chi2 + band_chi2, n_degrees + band_degrees
    is_psf = (n_degrees > 0) & (chi2 <= levels.max_psf_chi2 * n_degrees)
    for band in range(shape[1]):
        templates[:, band] = _templates(blend, band, local, models[:, band], is_psf)
        image = _finite(blend.images[band])
        share_flux(image, blend.footprint, templates[:, band], local, children[:, band])
    return Deblended(children, templates, is_psf)


def _finite(image: FloatArray) -> FloatArray:
    return np.where(np.isfinite(image), image, 0.0).astype(np.float64)


def _place(psf: FloatArray, peak: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Put a PSF stamp on an empty image around the pixel nearest to its peak."""
    placed = np.zeros(shape)
    half = psf.shape[0] // 2
    first = np.floor(peak + 0.5).astype(np.int64) - half
    low, high = np.maximum(first, 0), np.minimum(first + psf.shape[0], shape)
    if np.all(high > low):
        cut = psf[low[0] - first[0] : high[0] - first[0], low[1] - first[1] : high[1] - first[1]]
        placed[low[0] : high[0], low[1] : high[1]] = cut
    return placed


def _fit_psfs(
    blend: Blend, band: int, peaks: FloatArray, drawn: list[FloatArray], levels: DeblendLevels
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit PSFs to each peak and its neighbours, and judge the fit around the peak.

    A fit is of the flux and, to first order, the position of every peak that is near.
    """
    image, variance = blend.images[band], blend.variances[band]
    usable = blend.footprint & np.isfinite(image) & (variance > 0.0)
    rows, columns = np.indices(image.shape)
    models = np.zeros((len(peaks), *image.shape))
    chi2, n_degrees = np.zeros(len(peaks)), np.zeros(len(peaks))
    for i, peak in enumerate(peaks):
        radius = levels.radius * _effective_sigma(drawn[i])
        near = np.hypot(rows - peak[0], columns - peak[1]) <= radius
        pixels = near & usable
        neighbours = np.flatnonzero(np.hypot(*(peaks - peak).T) <= 2.0 * radius)
        neighbours = np.concatenate([[i], neighbours[neighbours != i]])
        terms = [(drawn[j], *np.gradient(drawn[j])) for j in neighbours]
        design = np.stack([term[pixels] for triple in terms for term in triple], axis=1)
        if design.shape[0] <= design.shape[1]:
            continue
        flux_scale = np.sum(design[:, 0] * image[pixels]) / np.sum(design[:, 0] ** 2)
        error = levels.psf_error * flux_scale * design[:, 0]
        sigma = np.sqrt(variance[pixels] + error**2)
        solution = np.linalg.lstsq(design / sigma[:, None], image[pixels] / sigma, rcond=1e-10)[0]
        residual = (image[pixels] - design @ solution) / sigma
        if solution[0] <= 0.0 or np.max(np.abs(solution[1:3])) > _MAX_SHIFT_PIX * solution[0]:
            continue
        chi2[i] = np.sum(residual**2)
        n_degrees[i] = design.shape[0] - design.shape[1]
        models[i] = np.maximum(np.tensordot(solution[:3], np.stack(terms[0]), axes=1), 0.0)
    return models, chi2, n_degrees


def _effective_sigma(psf: FloatArray) -> float:
    """Return the width of a Gaussian with as many effective pixels as a PSF."""
    peak = float(np.sum(psf**2) / np.sum(psf)) if np.any(psf > 0.0) else 1.0
    return float(np.sqrt(1.0 / (4.0 * np.pi * peak)))


def _templates(
    blend: Blend, band: int, peaks: FloatArray, models: FloatArray, is_psf: BoolArray
) -> FloatArray:
    """Make the templates of one band and weigh them by non-negative least squares."""
    image, variance = _finite(blend.images[band]), blend.variances[band]
    templates = np.where(is_psf[:, None, None], models, 0.0)
    extended = image - templates.sum(axis=0)
    for i in np.flatnonzero(~is_psf):
        symmetric_minimum(extended, blend.footprint, (peaks[i, 0], peaks[i, 1]), templates[i])
        y, x = np.clip(np.floor(peaks[i] + 0.5).astype(np.int64), 0, np.array(image.shape) - 1)
        make_monotonic(templates[i], (int(y), int(x)))
    usable = blend.footprint & np.isfinite(blend.images[band]) & (variance > 0.0)
    sigma = np.sqrt(variance[usable])
    design = templates[:, usable] / sigma
    # The normal equations have the same solution as the pixels, and far fewer rows.
    normal, right = design @ design.T, design @ (image[usable] / sigma)
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    normal = normal / scale / scale[:, None] + 1e-9 * np.eye(len(scale))
    factor = np.linalg.cholesky(normal)
    weights = nnls(factor.T, np.linalg.solve(factor, right / scale))[0] / scale
    return np.asarray(weights[:, None, None] * templates, dtype=np.float64)
