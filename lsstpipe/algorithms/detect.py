"""Detection of sources by a matched filter with propagated variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, rfft2
from scipy.ndimage import label

from lsstpipe.algorithms._detect_kernel import (
    divide_by_root,
    finish_variance,
    keep_peaks,
    local_maxima,
    usable_share,
)
from lsstpipe.algorithms.convolve import Convolution
from lsstpipe.algorithms.grow import grow
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
    pixel
        Row and column of the pixel of each peak, shape ``(n, 2)``.
    detected, detected_negative
        Pixels of positive and of negative footprints, shape ``(ny, nx)``.
    """

    y: FloatArray
    x: FloatArray
    significance: FloatArray
    pixel: IntArray
    detected: BoolArray
    detected_negative: BoolArray

    @property
    def labels(self) -> LabelImage:
        """Footprint of each pixel, 0 for none, shape ``(ny, nx)``; worked out at each call."""
        labels: LabelImage
        footprints = self.detected | self.detected_negative
        labels, _ = label(footprints, structure=np.ones((3, 3)), output=np.int32)
        return labels

    @property
    def footprint(self) -> IntArray:
        """Label of the footprint that holds each peak, shape ``(n,)``."""
        return self.footprint_in(self.labels)

    def footprint_in(self, labels: LabelImage) -> IntArray:
        """Read the footprint of each peak in labels that are at hand already, shape ``(n,)``."""
        return labels[self.pixel[:, 0], self.pixel[:, 1]].astype(np.int64)


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
    significance = divide_by_root(filtered, variance)
    profile = _filtered_profile(psf_stamp)
    limits = (chosen.n_sigma, chosen.wing_tolerance)
    positive = _find_peaks(significance, filtered, variance, (profile, limits))
    negative = np.empty((0, 2), dtype=np.int64)
    low = np.zeros(significance.shape, dtype=np.bool_)
    if chosen.find_negative:
        negative = _find_peaks(-significance, -filtered, variance, (profile, limits))
        low = grow(significance < -chosen.n_sigma, chosen.growth)
    high = grow(significance > chosen.n_sigma, chosen.growth)
    peaks = np.concatenate([positive, negative])
    values = significance[peaks[:, 0], peaks[:, 1]].astype(np.float64)
    order = np.argsort(-np.abs(values), kind="stable")
    peaks, values = peaks[order], values[order]
    position = _refine(significance, peaks)
    return Detection(
        y=position[0] + planes.y0,
        x=position[1] + planes.x0,
        significance=values,
        pixel=peaks,
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
    typical = float(np.median(planes.variance[::8, ::8][usable[::8, ::8]])) if usable.any() else 1.0
    typical = typical if np.isfinite(typical) else 1.0
    kernel = np.ascontiguousarray(psf_stamp[::-1, ::-1], dtype=np.float32)
    filtered = Convolution(kernel, usable.shape)(planes.image, usable=usable)
    # The Fourier transform leaves noise of its own; around the typical variance it stays small.
    variance = Convolution(kernel**2, usable.shape)(planes.variance, level=typical, usable=usable)
    share = usable_share(usable, kernel**2)
    finish_variance(variance, share, np.float32(typical), np.float32(0.1) * (kernel**2).sum())
    return filtered, variance


def _filtered_profile(psf_stamp: FloatArray) -> FloatArray:
    """Give what the matched filter makes of a point source, 1 at the centre."""
    size = psf_stamp.shape[0]
    shape = (2 * size - 1, 2 * size - 1)
    profile = irfft2(rfft2(psf_stamp, shape) * rfft2(psf_stamp[::-1, ::-1], shape), shape)
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
    peaks = local_maxima(significance, limits[0])
    order = np.argsort(-filtered[peaks[:, 0], peaks[:, 1]], kind="stable")
    peaks = peaks[order]
    kept: IntArray = peaks[keep_peaks(peaks, filtered, variance, profile, limits)]
    return kept


def _refine(significance: FloatImage, peaks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Move each peak to the top of the parabola through it and its neighbours."""
    ny, nx = significance.shape
    y, x = peaks[:, 0], peaks[:, 1]
    middle = significance[y, x].astype(np.float64)
    shift = []
    for dy, dx in ((1, 0), (0, 1)):
        before = significance[np.maximum(y - dy, 0), np.maximum(x - dx, 0)].astype(np.float64)
        after = significance[np.minimum(y + dy, ny - 1), np.minimum(x + dx, nx - 1)]
        after = after.astype(np.float64)
        curvature = before - 2.0 * middle + after
        safe = np.where(np.abs(curvature) > 0, curvature, -1.0)
        shift.append(
            np.clip(np.where(curvature != 0, 0.5 * (before - after) / safe, 0.0), -0.5, 0.5)
        )
    return np.clip(peaks[:, 0] + shift[0], 0, ny - 1), np.clip(peaks[:, 1] + shift[1], 0, nx - 1)
