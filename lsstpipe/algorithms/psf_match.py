"""Convolution of images to a common PSF, so that they can be compared pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

_REGULARISATION = 1e-4
_TARGET_WIDENING = 1.15


def target_sigma(sigmas_pix: FloatArray) -> float:
    """Choose the width of a common PSF that every image can be convolved to.

    Parameters
    ----------
    sigmas_pix
        Widths of the PSFs, shape ``(n,)``, pixels.

    Returns
    -------
    sigma_pix
        15 % more than the widest: matching to a PSF that is no wider would sharpen, and so amplify
        noise.
    """
    return _TARGET_WIDENING * float(np.max(sigmas_pix))


def gaussian_stamp(sigma_pix: float, size: int) -> FloatArray:
    """Draw a round Gaussian of sum 1.

    Parameters
    ----------
    sigma_pix
        Standard deviation, pixels.
    size
        Side of the stamp, odd.

    Returns
    -------
    stamp
        Shape ``(size, size)``.
    """
    offset = np.arange(size) - size // 2
    profile = np.exp(-0.5 * (offset / sigma_pix) ** 2)
    stamp = profile[:, None] * profile[None, :]
    return np.asarray(stamp / stamp.sum(), dtype=np.float64)


def matching_kernel(psf: FloatArray, target: FloatArray) -> FloatArray:
    """Find the kernel that turns one PSF into another, by a regularised ratio of transforms.

    Parameters
    ----------
    psf
        PSF of the image, centred, shape ``(s, s)``, s odd.
    target
        Wanted PSF, wider than ``psf``, same shape.

    Returns
    -------
    kernel
        Shape ``(s, s)``, sum 1: matching keeps the flux.
    """
    shape = (2 * psf.shape[0], 2 * psf.shape[1])
    psf_hat, target_hat = fft.rfft2(psf, shape), fft.rfft2(target, shape)
    ratio = target_hat * np.conj(psf_hat) / (np.abs(psf_hat) ** 2 + _REGULARISATION)
    full = np.roll(fft.irfft2(ratio, shape), (psf.shape[0] // 2, psf.shape[1] // 2), axis=(0, 1))
    kernel = full[: psf.shape[0], : psf.shape[1]]
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def match_psf(planes: Planes, kernels: FloatArray, *, cell_size: int) -> Planes:
    """Convolve an image with kernels that change over it.

    Parameters
    ----------
    planes
        The image; NaN counts as 0 and is handed back as NaN.
    kernels
        Kernels of square cells from the lower corner of the image, shape ``(n_y, n_x, s, s)``:
        each holds in the middle of what the image has of its cell, and between the middles the
        convolved images are interpolated.
    cell_size
        Side of a cell, pixels; the last ones may stick out of the image.

    Returns
    -------
    Planes
        Convolved image, its variance (of each pixel by itself) and the mask of the input.
    """
    missing = ~(np.isfinite(planes.image) & np.isfinite(planes.variance))
    image = np.where(missing, np.float32(0.0), planes.image).astype(np.float32)
    variance = np.where(missing, np.float32(0.0), planes.variance).astype(np.float32)
    blended = convolve_varying(image, kernels.astype(np.float32), cell_size=cell_size)
    spread = convolve_varying(variance, (kernels**2).astype(np.float32), cell_size=cell_size)
    blended[missing] = np.nan
    # Rounding of the transform may take the variance of empty margins below zero.
    spread[missing | (spread <= 0.0)] = np.nan
    mask = planes.mask.copy()
    mask[missing] |= np.int32(int(MaskPlane.NO_DATA))
    return Planes(blended, spread, mask, planes.y0, planes.x0)


def convolve_varying(image: FloatImage, kernels: FloatImage, *, cell_size: int) -> FloatImage:
    """Convolve pixel values with kernels that change over them.

    Parameters
    ----------
    image
        Finite values, shape ``(ny, nx)``.
    kernels, cell_size
        As for `match_psf`.
    """
    weights_y = _hat_weights(image.shape[0], kernels.shape[0], cell_size)
    weights_x = _hat_weights(image.shape[1], kernels.shape[1], cell_size)
    result = np.zeros(image.shape, dtype=np.float32)
    for weight_y, row in zip(weights_y, kernels, strict=True):
        ys = _support(weight_y)
        for weight_x, kernel in zip(weights_x, row, strict=True):
            xs = _support(weight_x)
            part = _convolve_part(image, kernel, ys, xs)
            result[ys, xs] += weight_y[ys, None] * weight_x[None, xs] * part
    return result


def _hat_weights(n_pixels: int, n_cells: int, cell_size: int) -> FloatImage:
    """Return the weight of each cell's kernel along one axis, shape ``(n_cells, n_pixels)``."""
    low = np.arange(n_cells) * cell_size
    middles = 0.5 * (low + np.minimum(low + cell_size, n_pixels)) - 0.5
    pixels = np.arange(n_pixels)
    hats = np.stack([np.interp(pixels, middles, unit) for unit in np.eye(n_cells)])
    return hats.astype(np.float32)


def _support(weight: FloatImage) -> slice:
    used = np.flatnonzero(weight > 0.0)
    return slice(int(used[0]), int(used[-1]) + 1)


def _convolve_part(image: FloatImage, kernel: FloatImage, ys: slice, xs: slice) -> FloatImage:
    """Convolve a part of an image, with what surrounds it as far as the kernel reaches."""
    half_y, half_x = kernel.shape[0] // 2, kernel.shape[1] // 2
    y0, x0 = max(ys.start - half_y, 0), max(xs.start - half_x, 0)
    cut = image[y0 : ys.stop + half_y, x0 : xs.stop + half_x]
    if not cut.any():  # a warp fills its patch in part only
        return np.zeros((ys.stop - ys.start, xs.stop - xs.start), dtype=np.float32)
    needed = np.add(cut.shape, kernel.shape)
    shape = tuple(fft.next_fast_len(int(n), real=True) for n in needed)
    full = fft.irfft2(fft.rfft2(cut, shape) * fft.rfft2(kernel, shape), shape)
    first_y, first_x = ys.start - y0 + half_y, xs.start - x0 + half_x
    part = full[first_y : first_y + ys.stop - ys.start, first_x : first_x + xs.stop - xs.start]
    return np.asarray(part, dtype=np.float32)
