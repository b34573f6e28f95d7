"""Starlet transform of an image, and the removal of white noise with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

FloatImage = npt.NDArray[np.float32]

_SPLINE = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
_N_SCALES = 5
_KEEP_N_SIGMA = 4.0
_WINDOW = 4.0
_CLEAR = 2.0
_KERNEL_SIZE = 4 * 2**_N_SCALES + 1


def starlet_transform(image: FloatImage, n_scales: int) -> tuple[list[FloatImage], FloatImage]:
    """Split an image into details of 1, 2, 4, ... pixels and a smooth rest; their sum is the image.

    The isotropic undecimated wavelet of Starck, Murtagh & Fadili (2010, Sparse Image and Signal
    Processing, section 3.5).

    Parameters
    ----------
    image
        Any values, shape ``(ny, nx)``.
    n_scales
        Number of details.

    Returns
    -------
    details, rest
        Images of the shape of the input.
    """
    details, smooth = [], image
    for scale in range(n_scales):
        kernel = np.zeros(4 * 2**scale + 1)
        kernel[:: 2**scale] = _SPLINE
        smoother = ndimage.convolve1d(smooth, kernel, axis=0, mode="mirror")
        smoother = ndimage.convolve1d(smoother, kernel, axis=1, mode="mirror")
        details.append(smooth - smoother)
        smooth = smoother
    return details, smooth


def measure_white_noise(image: FloatImage, known: npt.NDArray[np.bool_]) -> float:
    """Measure the variance of the white noise of an image without structure of single pixels.

    It is told by the scatter of the finest details (Starck & Murtagh 1998, PASP 110, 193).

    Parameters
    ----------
    image
        Any values, shape ``(ny, nx)``.
    known
        Pixels that were measured; the rest is filled from around.
    """
    (detail,), _ = starlet_transform(_fill(image, known), 1)
    (own,), _ = starlet_transform(_unit(), 1)
    scatter = 1.4826 * float(np.median(np.abs(detail[known])))
    return scatter**2 / float(np.sum(own.astype(np.float64) ** 2))


def _unit() -> FloatImage:
    """Give an image of one lit pixel, that holds its details on all scales."""
    unit = np.zeros((_KERNEL_SIZE, _KERNEL_SIZE), dtype=np.float32)
    unit[_KERNEL_SIZE // 2, _KERNEL_SIZE // 2] = 1.0
    return unit


def shrink_noise(
    image: FloatImage, variance: FloatImage, known: npt.NDArray[np.bool_]
) -> tuple[FloatImage, FloatImage]:
    """Keep as much of the structure of an image on each scale as stands out of white noise.

    The details of each scale are multiplied by the share of their variance around that noise does
    not explain (a local Wiener filter); those that stand out by themselves, such as the edge of a
    speck of dust, are kept whole.

    Parameters
    ----------
    image, variance
        Values and the variance of their noise, shape ``(ny, nx)``.
    known
        Pixels that were measured; the rest is filled from around.

    Returns
    -------
    image, variance
        The filtered image and variance of its error where nothing stands out.
    """
    white = float(np.median(variance[known]))
    responses, response = starlet_transform(_unit(), _N_SCALES)
    details, rest = starlet_transform(_fill(image, known), _N_SCALES)
    result: FloatImage = rest.astype(np.float32)
    left = float(np.sum(response.astype(np.float64) ** 2))
    for scale, (detail, own) in enumerate(zip(details, responses, strict=True)):
        noise = float(np.sqrt(white * np.sum(own.astype(np.float64) ** 2)))
        scatter = 1.4826 * float(np.median(np.abs(detail[known])))
        power = ndimage.gaussian_filter(detail**2, _WINDOW * 2**scale)
        # Where there is clearly more than noise the power around tells; else that of the image.
        power = np.where(power > _CLEAR * noise**2, power, np.float32(scatter**2))
        share = np.clip(1.0 - noise**2 / np.maximum(power, noise**2), 0.0, 1.0)
        share[np.abs(detail) > _KEEP_N_SIGMA * noise] = 1.0
        result += share * detail
        # The mean squared error of a Wiener filter: noise that is left, and structure that is lost.
        left += float(np.median(share)) * noise**2 / white
    return result, variance * np.float32(left)


def _fill(image: FloatImage, known: npt.NDArray[np.bool_]) -> FloatImage:
    """Fill what is not known by a weighted mean of the pixels around."""
    weight = ndimage.gaussian_filter(known.astype(np.float32), 2.0)
    smooth = ndimage.gaussian_filter(np.where(known, image, np.float32(0.0)), 2.0)
    around = np.where(weight > 1e-3, smooth / np.maximum(weight, 1e-3), np.float32(1.0))
    filled: FloatImage = np.where(known, image, around).astype(np.float32)
    return filled
