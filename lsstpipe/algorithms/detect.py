"""Detection of sources by a matched filter with propagated variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import label

from lsstpipe.algorithms._detect_kernel import keep_peaks, usable_share
from lsstpipe.algorithms.grow import grow_pixels
from lsstpipe.algorithms.planes import Planes, typical_value
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
LabelImage = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """How to detect sources.

    Attributes
    ----------
    n_sigma
        Least significance of a peak and of the pixels of a footprint.
    growth
        Footprints are grown by this many pixels, 2.4 standard deviations of the PSF in Rubin.
    wing_tolerance
        Relative error of the PSF that a bump on the wing of a bright source must exceed.
    find_negative
        Whether to look for negative sources too.
    exclude
        Mask planes whose pixels get no weight. Saturated pixels hold light and keep theirs.
    """

    n_sigma: float = 5.0
    growth: float = 4.0
    wing_tolerance: float = 0.05
    find_negative: bool = False
    exclude: MaskPlane = (
        MaskPlane.BAD | MaskPlane.CR | MaskPlane.NO_DATA | MaskPlane.UNMASKEDNAN
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """Peaks and the footprints that hold them.

    Attributes
    ----------
    y, x
        Absolute position of each peak, from a parabola through its neighbours, shape ``(n,)``; in
        order of falling significance.
    significance
        Matched-filter signal over noise at the peak, negative for negative sources, shape ``(n,)``.
    footprint
        Label of the footprint that holds it, shape ``(n,)``.
    labels
        Footprint of each pixel, 0 for none, shape ``(ny, nx)``.
    detected, detected_negative
        Pixels of positive and of negative footprints, shape ``(ny, nx)``.
    """

    y: FloatArray
    x: FloatArray
    significance: FloatArray
    footprint: IntArray
    labels: LabelImage
    detected: BoolArray
    detected_negative: BoolArray


def detect_sources(
    planes: Planes, psf_stamp: FloatArray, settings: DetectionSettings | None = None
) -> Detection:
    """Detect point-like sources.

    The image is correlated with the PSF and divided by the standard deviation that its variance
    plane gives for the result: the best statistic for a point source on a smooth background (Irwin
    1985, MNRAS 214, 575; Zackay & Ofek 2017, ApJ 836, 187). Excluded pixels have weight zero in
    both.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    psf_stamp
        PSF centred on the middle pixel, shape ``(s, s)`` with s odd.
    settings
        How to detect.

    Returns
    -------
    Detection
        Peaks and footprints.
    """
    chosen = settings or DetectionSettings()
    filtered, variance = matched_filter(planes, psf_stamp, chosen.exclude)
    significance = (filtered / np.sqrt(variance)).astype(np.float32)
    profile = _filtered_profile(psf_stamp)
    limits = (chosen.n_sigma, chosen.wing_tolerance)
    positive = _find_peaks(significance, filtered, variance, (profile, limits))
    negative = np.empty((0, 2), dtype=np.int64)
    low = np.zeros(significance.shape, dtype=np.bool_)
    if chosen.find_negative:
        negative = _find_peaks(-significance, -filtered, variance, (profile, limits))
        low = grow_pixels(significance < -chosen.n_sigma, chosen.growth)
    high = grow_pixels(significance > chosen.n_sigma, chosen.growth)
    labels, _ = label(high | low, structure=np.ones((3, 3)), output=np.int32)
    peaks = np.concatenate([positive, negative])
    values = significance[peaks[:, 0], peaks[:, 1]].astype(np.float64)
    order = np.argsort(-np.abs(values), kind="stable")
    peaks, values = peaks[order], values[order]
    position = _refine(significance, peaks)
    return Detection(
        y=position[0] + planes.y0,
        x=position[1] + planes.x0,
        significance=values,
        footprint=labels[peaks[:, 0], peaks[:, 1]].astype(np.int64),
        labels=labels,
        detected=high,
        detected_negative=low,
    )


def matched_filter(
    planes: Planes, psf_stamp: FloatArray, exclude: MaskPlane
) -> tuple[FloatImage, FloatImage]:
    """Correlate an image with the PSF and propagate its variance.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    psf_stamp
        PSF centred on the middle pixel, shape ``(s, s)`` with s odd.
    exclude
        Mask planes whose pixels get no weight.

    Returns
    -------
    filtered, variance
        Correlation and its variance, shape ``(ny, nx)``; infinite variance where fewer than a tenth
        of the PSF falls on usable pixels.
    """
    usable = planes.usable(exclude)
    typical = typical_value(planes.variance, usable)
    kernel = psf_stamp[::-1, ::-1]
    filtered = _convolve(np.where(usable, planes.image, np.float32(0.0)), kernel)
    # The Fourier transform leaves noise of its own; around the typical variance it stays small.
    relative = planes.variance / np.float32(typical) - np.float32(1.0)
    excess = _convolve(np.where(usable, relative, np.float32(0.0)), kernel**2)
    share = usable_share(usable, kernel**2)
    variance = np.float32(typical) * (excess + share)
    enough = share > np.float32(0.1 * (kernel**2).sum())
    return filtered, np.where(enough & (variance > 0), variance, np.float32(np.inf))


def _convolve(image: FloatImage, kernel: FloatArray) -> FloatImage:
    """Convolve with zeros beyond the edge, in single precision; the shape is the image's."""
    shape = [
        next_fast_len(n + k - 1, real=True) for n, k in zip(image.shape, kernel.shape, strict=True)
    ]
    product = rfft2(image, shape)
    product *= rfft2(kernel.astype(np.float32), shape)
    full = irfft2(product, shape, overwrite_x=True)
    top, left = (k // 2 for k in kernel.shape)
    cut: FloatImage = full[top : top + image.shape[0], left : left + image.shape[1]]
    return cut


def _filtered_profile(psf_stamp: FloatArray) -> FloatArray:
    """Give what the matched filter makes of a point source, 1 at the centre."""
    size = psf_stamp.shape[0]
    padded = np.pad(psf_stamp, size // 2)
    profile = _convolve(padded.astype(np.float32), psf_stamp[::-1, ::-1]).astype(np.float64)
    scaled: FloatArray = profile / profile[size - 1, size - 1]
    return scaled


def _find_peaks(
    significance: FloatImage,
    filtered: FloatImage,
    variance: FloatImage,
    profile_and_limits: tuple[FloatArray, tuple[float, float]],
) -> IntArray:
    """Find the local maxima that are significant above the wings of brighter ones."""
    profile, limits = profile_and_limits
    peaks = np.argwhere(significance > limits[0])
    value = significance[peaks[:, 0], peaks[:, 1]]
    highest = np.ones(len(peaks), dtype=np.bool_)
    for dy, dx in np.ndindex(3, 3):
        # At the edge a pixel stands in for the neighbour that is not there.
        y, x = (
            np.clip(peaks[:, i] + d - 1, 0, significance.shape[i] - 1)
            for i, d in enumerate((dy, dx))
        )
        highest &= value >= significance[y, x]
    peaks = peaks[highest]
    order = np.argsort(-filtered[peaks[:, 0], peaks[:, 1]], kind="stable")
    peaks = peaks[order]
    kept: IntArray = peaks[keep_peaks(peaks, filtered, variance, profile, limits)]
    return kept


def _refine(significance: FloatImage, peaks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Move each peak to the top of the parabola through it and its neighbours."""
    ny, nx = significance.shape
    y, x = peaks[:, 0], peaks[:, 1]
    peak = significance[y, x].astype(np.float64)
    shift = []
    for dy, dx in ((1, 0), (0, 1)):
        before = significance[np.maximum(y - dy, 0), np.maximum(x - dx, 0)].astype(np.float64)
        after = significance[np.minimum(y + dy, ny - 1), np.minimum(x + dx, nx - 1)]
        curvature = before - 2.0 * peak + after
        safe = np.where(np.abs(curvature) > 0, curvature, -1.0)
        shift.append(
            np.clip(np.where(curvature != 0, 0.5 * (before - after) / safe, 0.0), -0.5, 0.5)
        )
    return np.clip(peaks[:, 0] + shift[0], 0, ny - 1), np.clip(peaks[:, 1] + shift[1], 0, nx - 1)
