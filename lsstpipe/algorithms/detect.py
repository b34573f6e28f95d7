"""Detection of sources by a matched filter with propagated variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import distance_transform_edt, label, maximum_filter

from lsstpipe.algorithms._detect_kernel import keep_peaks
from lsstpipe.algorithms.planes import Planes
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
        low = _grow(significance < -chosen.n_sigma, chosen.growth)
    high = _grow(significance > chosen.n_sigma, chosen.growth)
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
    typical = float(np.median(planes.variance[usable])) if usable.any() else 1.0
    kernel = psf_stamp[::-1, ::-1]
    filtered = _convolve(np.where(usable, planes.image, 0.0), kernel)
    # The Fourier transform leaves noise of its own; around the typical variance it stays small.
    excess = _convolve(np.where(usable, planes.variance / typical - 1.0, 0.0), kernel**2)
    share = _convolve(usable.astype(np.float64), kernel**2)
    variance = typical * (excess + share)
    enough = share > 0.1 * (kernel**2).sum()
    result = np.where(enough & (variance > 0), variance, np.inf).astype(np.float32)
    return filtered.astype(np.float32), result


def _convolve(image: npt.NDArray[np.floating], kernel: FloatArray) -> FloatArray:
    """Convolve with zeros beyond the edge; the result has the shape of the image."""
    shape = [
        next_fast_len(n + k - 1, real=True) for n, k in zip(image.shape, kernel.shape, strict=True)
    ]
    product = rfft2(image.astype(np.float64), shape) * rfft2(kernel, shape)
    full = irfft2(product, shape)
    top, left = (k // 2 for k in kernel.shape)
    cut: FloatArray = full[top : top + image.shape[0], left : left + image.shape[1]]
    return cut


def _filtered_profile(psf_stamp: FloatArray) -> FloatArray:
    """Give what the matched filter makes of a point source, 1 at the centre."""
    size = psf_stamp.shape[0]
    padded = np.pad(psf_stamp, size // 2)
    profile = _convolve(padded, psf_stamp[::-1, ::-1])
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
    highest = maximum_filter(significance, size=3, mode="constant", cval=-np.inf)
    peaks = np.argwhere((significance == highest) & (significance > limits[0]))
    order = np.argsort(-filtered[peaks[:, 0], peaks[:, 1]], kind="stable")
    peaks = peaks[order]
    kept: IntArray = peaks[keep_peaks(peaks, filtered, variance, profile, limits)]
    return kept


def _refine(significance: FloatImage, peaks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Move each peak to the top of the parabola through it and its neighbours."""
    ny, nx = significance.shape
    padded = np.pad(significance.astype(np.float64), 1, mode="edge")
    y, x = peaks[:, 0] + 1, peaks[:, 1] + 1
    shift = []
    for dy, dx in ((1, 0), (0, 1)):
        before, after = padded[y - dy, x - dx], padded[y + dy, x + dx]
        curvature = before - 2.0 * padded[y, x] + after
        safe = np.where(np.abs(curvature) > 0, curvature, -1.0)
        shift.append(
            np.clip(np.where(curvature != 0, 0.5 * (before - after) / safe, 0.0), -0.5, 0.5)
        )
    return np.clip(peaks[:, 0] + shift[0], 0, ny - 1), np.clip(peaks[:, 1] + shift[1], 0, nx - 1)


def _grow(pixels: BoolArray, radius: float) -> BoolArray:
    """Add all pixels within a radius."""
    if radius <= 0 or not pixels.any():
        return pixels
    grown: BoolArray = distance_transform_edt(~pixels) <= radius
    return grown
