"""Convolution of images by Fourier transforms, strip by strip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, next_fast_len, rfft2

FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_STRIP_ROWS = 256
"""Rows that are transformed at a time: they and their transform stay in the processor's cache."""


class Convolution:
    """Convolves images of one width with one kernel, a strip at a time.

    Parameters
    ----------
    kernel
        Shape ``(s, s)`` with s odd.
    shape
        Of the images.
    """

    def __init__(self, kernel: npt.NDArray[np.floating], shape: tuple[int, ...]) -> None:
        ny, nx = shape
        self._half = kernel.shape[0] // 2
        margin = 2 * self._half
        rows = min(ny, max(_STRIP_ROWS - margin, self._half)) + margin
        self._shape = (next_fast_len(rows), next_fast_len(nx + margin, real=True))
        self._transform = rfft2(np.asarray(kernel, dtype=np.float32), self._shape)
        self._strip = np.empty(self._shape, dtype=np.float32)

    def __call__(
        self, image: FloatImage, *, level: float = 0.0, usable: BoolArray | None = None
    ) -> FloatImage:
        """Convolve what an image has above a level.

        Parameters
        ----------
        image
            Shape ``(ny, nx)``; beyond its edges it is at the level.
        level
            What is taken off first.
        usable
            Pixels that count, all others are at the level too; all do if it is not given.
        """
        (ny, nx), half, strip = image.shape, self._half, self._strip
        n_rows = strip.shape[0] - 2 * half
        result = np.empty(image.shape, dtype=np.float32)
        for top in range(0, ny, n_rows):
            begin, end = max(0, top - half), min(ny, top + n_rows + half)
            strip[:] = 0
            inner = strip[begin - top + half : end - top + half, :nx]
            good = np.True_ if usable is None else usable[begin:end]
            np.subtract(image[begin:end], np.float32(level), out=inner, where=good)
            product = rfft2(strip)
            product *= self._transform
            full = irfft2(product, self._shape, overwrite_x=True)
            n = min(n_rows, ny - top)
            result[top : top + n] = full[2 * half : 2 * half + n, half : half + nx]
        return result
