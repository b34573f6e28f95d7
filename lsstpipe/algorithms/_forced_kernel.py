"""Compiled loops of the PSF photometry: sums over stamps, overlaps, the linear solution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@njit(cache=True)
def window(corner: IntArray, size: int, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Cut a stamp to the image.

    Parameters
    ----------
    corner
        Array coordinates (y, x) of the stamp's first pixel, shape ``(2,)``.
    size
        Side of the stamp.
    shape
        Shape of the image.

    Returns
    -------
    top, bottom, left, right
        Rows and columns of the image under the stamp.
    """
    top, left = max(0, corner[0]), max(0, corner[1])
    return top, min(shape[0], corner[0] + size), left, min(shape[1], corner[1] + size)


@njit(cache=True)
def project(
    image: FloatImage,
    weight: FloatImage,
    variance: FloatImage,
    stamps: FloatImage,
    corners: IntArray,
) -> FloatArray:
    """Sum image, weight and variance under each stamp.

    Parameters
    ----------
    image
        Pixel values.
    weight
        Inverse variance of the fit, 0 for pixels that do not count.
    variance
        Variance of the errors.
    stamps
        PSF of each source, shape ``(n, s, s)``.
    corners
        Array coordinates (y, x) of the stamps' first pixels, shape ``(n, 2)``.

    Returns
    -------
    numpy.ndarray
        Sums of ``P w I``, ``P w P``, ``P w V w P`` and P on usable pixels, shape ``(n, 4)``.
    """
    n, size, _ = stamps.shape
    sums = np.zeros((n, 4))
    # One sum a column: independent sums let the compiler use vector instructions.
    columns = np.empty((4, size))
    for p in range(n):
        top, bottom, left, right = window(corners[p], size, image.shape)
        width = right - left
        columns[:] = 0.0
        for j in range(top, bottom):
            psf = stamps[p, j - corners[p, 0], left - corners[p, 1] : right - corners[p, 1]]
            w, data, noise = weight[j, left:right], image[j, left:right], variance[j, left:right]
            for i in range(width):
                pw = psf[i] * w[i]
                columns[0, i] += pw * data[i]
                columns[1, i] += pw * psf[i]
                columns[2, i] += pw * pw * noise[i]
                columns[3, i] += psf[i] if w[i] > 0.0 else 0.0
        for k in range(4):
            for i in range(width):
                sums[p, k] += columns[k, i]
    return sums


@njit(cache=True)
def overlap(
    weight: FloatImage,
    variance: FloatImage,
    stamps: FloatImage,
    corners: IntArray,
    pairs: IntArray,
) -> FloatArray:
    """Sum the products of the stamps of pairs of sources.

    Parameters
    ----------
    weight, variance, stamps, corners
        As for `project`.
    pairs
        Numbers of the sources, shape ``(m, 2)``.

    Returns
    -------
    numpy.ndarray
        Sums of ``P w Q`` and ``P w V w Q``, shape ``(m, 2)``.
    """
    size = stamps.shape[1]
    sums = np.zeros((len(pairs), 2))
    columns = np.empty((2, size))
    for k in range(len(pairs)):
        a, b = pairs[k]
        top_a, bottom_a, left_a, right_a = window(corners[a], size, weight.shape)
        top_b, bottom_b, left_b, right_b = window(corners[b], size, weight.shape)
        left, right = max(left_a, left_b), min(right_a, right_b)
        columns[:] = 0.0
        for j in range(max(top_a, top_b), min(bottom_a, bottom_b)):
            one = stamps[a, j - corners[a, 0], left - corners[a, 1] : right - corners[a, 1]]
            two = stamps[b, j - corners[b, 0], left - corners[b, 1] : right - corners[b, 1]]
            w, noise = weight[j, left:right], variance[j, left:right]
            for i in range(right - left):
                both = one[i] * two[i] * w[i]
                columns[0, i] += both
                columns[1, i] += both * w[i] * noise[i]
        for i in range(right - left):
            sums[k, 0] += columns[0, i]
            sums[k, 1] += columns[1, i]
    return sums


@njit(cache=True)
def multiply(diagonal: FloatArray, pairs: IntArray, off: FloatArray, v: FloatArray) -> FloatArray:
    """Multiply a vector by the sparse symmetric normal matrix.

    Parameters
    ----------
    diagonal
        Shape ``(n,)``.
    pairs, off
        Row and column of each entry above the diagonal, shape ``(m, 2)``, and its value ``(m,)``.
    v
        The vector, shape ``(n,)``.
    """
    out = diagonal * v
    for k in range(len(pairs)):
        a, b = pairs[k]
        out[a] += off[k] * v[b]
        out[b] += off[k] * v[a]
    return out


@njit(cache=True)
def solve_fluxes(
    data: FloatArray, diagonal: FloatArray, pairs: IntArray, off: FloatArray
) -> FloatArray:
    """Solve the normal equations of all fluxes by conjugate gradients.

    Parameters
    ----------
    data
        Right-hand side, shape ``(n,)``.
    diagonal, pairs, off
        The matrix, as for `multiply`.

    Returns
    -------
    numpy.ndarray
        Fluxes, shape ``(n,)``.
    """
    flux = data / diagonal
    if len(pairs) == 0:
        return flux
    residual = data - multiply(diagonal, pairs, off, flux)
    step = residual / diagonal
    direction = step.copy()
    product = np.dot(residual, step)
    target = 1e-20 * np.dot(data, data / diagonal)
    for _ in range(500):
        if product <= target:
            break
        image = multiply(diagonal, pairs, off, direction)
        length = product / np.dot(direction, image)
        flux += length * direction
        residual -= length * image
        step = residual / diagonal
        new = np.dot(residual, step)
        direction = step + (new / product) * direction
        product = new
    return flux


@njit(cache=True)
def blend_errors(
    sums: FloatArray,
    pairs: IntArray,
    off: FloatArray,
    neighbours: IntArray,
    ridge: float,
) -> FloatArray:
    """Propagate the variance of the pixels to fluxes that were fitted together.

    Parameters
    ----------
    sums
        Result of `project`, shape ``(n, 4)``.
    pairs, off
        Pairs of sources, shape ``(m, 2)``, and the result of `overlap`.
    neighbours
        Numbers of the pairs that hold each source, strongest first, -1 for none, ``(n, k)``.
    ridge
        Relative amount added to the diagonal.

    Returns
    -------
    numpy.ndarray
        Variance of each flux and the factor by which the blend raises it, shape ``(n, 2)``.
    """
    n, n_most = neighbours.shape
    result = np.empty((n, 2))
    members = np.empty(n_most + 1, np.int64)
    for p in range(n):
        members[0] = p
        n_members = 1
        for k in range(n_most):
            q = neighbours[p, k]
            if q < 0:
                break
            members[n_members] = pairs[q, 1] if pairs[q, 0] == p else pairs[q, 0]
            n_members += 1
        matrix = np.zeros((n_members, n_members))
        noise = np.zeros((n_members, n_members))
        for a in range(n_members):
            matrix[a, a] = sums[members[a], 1] * (1.0 + ridge)
            noise[a, a] = sums[members[a], 2]
            for k in range(n_most):
                q = neighbours[members[a], k]
                if q < 0:
                    break
                other = pairs[q, 1] if pairs[q, 0] == members[a] else pairs[q, 0]
                for b in range(n_members):
                    if members[b] == other:
                        matrix[a, b] = matrix[b, a] = off[q, 0]
                        noise[a, b] = noise[b, a] = off[q, 1]
        first = np.zeros(n_members)
        first[0] = 1.0
        row = np.linalg.solve(matrix, first)
        result[p, 0] = np.dot(row, np.dot(noise, row))
        result[p, 1] = row[0] * sums[p, 1]
    return result


@njit(cache=True)
def subtract(image: FloatImage, stamps: FloatImage, corners: IntArray, flux: FloatArray) -> None:
    """Take sources off an image in place.

    Parameters
    ----------
    image
        Pixel values; changed.
    stamps, corners
        As for `project`.
    flux
        Flux of each source, shape ``(n,)``.
    """
    size = stamps.shape[1]
    for p in range(len(flux)):
        top, bottom, left, right = window(corners[p], size, image.shape)
        height = np.float32(flux[p])
        for j in range(top, bottom):
            psf = stamps[p, j - corners[p, 0], left - corners[p, 1] : right - corners[p, 1]]
            row = image[j, left:right]
            for i in range(right - left):
                row[i] -= height * psf[i]


@njit(cache=True)
def chi_squared(
    residual: FloatImage, precision: FloatImage, size: int, corners: IntArray
) -> FloatArray:
    """Compare what is left after the fit with its variance.

    Parameters
    ----------
    residual
        Image without the sources.
    precision
        Inverse variance of each pixel, 0 for pixels that do not count.
    size
        Side of a stamp.
    corners
        As for `project`.

    Returns
    -------
    numpy.ndarray
        Sum of squared deviations and number of pixels, shape ``(n, 2)``.
    """
    sums = np.zeros((len(corners), 2))
    columns = np.empty((2, size))
    for p in range(len(corners)):
        top, bottom, left, right = window(corners[p], size, residual.shape)
        width = right - left
        columns[:] = 0.0
        for j in range(top, bottom):
            left_over, precise = residual[j, left:right], precision[j, left:right]
            for i in range(width):
                columns[0, i] += left_over[i] * left_over[i] * precise[i]
                columns[1, i] += 1.0 if precise[i] > 0.0 else 0.0
        for k in range(2):
            for i in range(width):
                sums[p, k] += columns[k, i]
    return sums


@njit(cache=True)
def add_pixel(
    value: FloatArray, pixel: float, weight: float, variance: float, sums: FloatArray
) -> None:
    """Add a pixel to the normal equations of one source.

    Parameters
    ----------
    value
        PSF and its derivatives at the pixel, shape ``(3,)``.
    pixel, weight, variance
        Value of the pixel, its weight in the fit and its variance.
    sums
        Right-hand side, matrix and noise matrix, shape ``(7, 3)``.
    """
    for a in range(3):
        v = value[a] * weight
        sums[0, a] += v * pixel
        for b in range(3):
            sums[1 + a, b] += v * value[b]
            sums[4 + a, b] += v * weight * variance * value[b]


@njit(cache=True)
def refine(
    residual: FloatImage,
    weight: FloatImage,
    variance: FloatImage,
    stamps: FloatImage,
    corners: IntArray,
    flux: FloatArray,
) -> FloatArray:
    """Fit flux and shift of each source with the others taken off.

    Parameters
    ----------
    residual
        Image without the sources.
    weight, variance, corners, flux
        As for `project` and `subtract`.
    stamps
        PSF and its derivatives by y and x, shape ``(n, 3, s, s)``.

    Returns
    -------
    numpy.ndarray
        Shift in y and x, and their variances, shape ``(n, 4)``; NaN where there is no solution.
    """
    n, _, size, _ = stamps.shape
    result = np.full((n, 4), np.nan)
    value = np.empty(3)
    sums = np.empty((7, 3))
    for p in range(n):
        top, bottom, left, right = window(corners[p], size, residual.shape)
        sums[:] = 0.0
        for j in range(top, bottom):
            for i in range(left, right):
                if weight[j, i] > 0.0:
                    for a in range(3):
                        value[a] = stamps[p, a, j - corners[p, 0], i - corners[p, 1]]
                    pixel = residual[j, i] + flux[p] * value[0]
                    add_pixel(value, pixel, weight[j, i], variance[j, i], sums)
        matrix, noise = sums[1:4], sums[4:7]
        if np.linalg.det(matrix) > 1e-12 * matrix[0, 0] * matrix[1, 1] * matrix[2, 2]:
            inverse = np.linalg.inv(matrix)
            solution = np.dot(inverse, sums[0])
            covariance = np.dot(inverse, np.dot(noise, inverse))
            if solution[0] > 0.0:
                result[p, :2] = solution[1:] / solution[0]
                result[p, 2] = covariance[1, 1] / solution[0] ** 2
                result[p, 3] = covariance[2, 2] / solution[0] ** 2
    return result
