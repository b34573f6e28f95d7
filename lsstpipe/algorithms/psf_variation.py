"""How a PSF deviates from a smooth profile and varies over an image: the linear fits of both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import correlate1d

from lsstpipe.algorithms._psf_model_kernel import mean_gradient, sample_planes
from lsstpipe.image.psf import PolynomialPsf

FloatArray = npt.NDArray[np.float64]

_DERIVATIVE = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0
"""Fourth-order difference of neighbouring knots."""

_GROUPS = np.array([0, 1, 1, 2, 3, 3, 4, 4, 4, 4, 5, 6])
"""Deformations that are as likely as each other: one size and two shears, and so on."""

_USUAL_AMPLITUDES = np.array([0.003, 0.001, 0.002, 0.001, 0.001, 0.002, 0.002])
"""Of each group: sizes vary more than shapes."""
_FIRST_AMPLITUDE = 0.02
_CORE_AMPLITUDE = 0.3
_N_EVIDENCE = 12
_N_ROBUST = 4
_SHAPE_SCATTER = 0.002
_MEDIAN_CHI2 = 2.366
_DOUBTFUL, _FOREIGN = 3.0, 5.0
_DEVIATION = 0.1
_FLOOR = 3e-4
_SMOOTHING = 0.5
"""Length over which deviations from the profile hang together, in sigmas of the PSF."""
_MAX_STEPS = 8


@dataclass(frozen=True, slots=True, eq=False)
class StarPixels:
    """Stamps of the stars of a fit, flux and position already taken out.

    Attributes
    ----------
    data, weight
        Pixels over the flux, and inverse variances times the flux squared, shape ``(n, s, s)``.
    nuisance
        The PSF and its derivatives by y and x at each star: what flux and position are free to
        take, shape ``(n, 3, s, s)``.
    basis
        Polynomial terms at each star, shape ``(n, n_terms)``.
    shift
        Offset (y, x) of each star from its central pixel, shape ``(n, 2)``.
    """

    data: FloatArray
    weight: FloatArray
    nuisance: FloatArray
    basis: FloatArray
    shift: FloatArray

    def select(self, share: FloatArray) -> StarPixels:
        """Scale the weights of the stars and leave out those that have none."""
        rows = share > 0
        return StarPixels(
            self.data[rows],
            self.weight[rows] * share[rows, None, None],
            self.nuisance[rows],
            self.basis[rows],
            self.shift[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class MeanProfile:
    """The mean PSF as a smooth profile and a regularised deviation from it.

    Attributes
    ----------
    core
        Spline coefficients of the profile, shape ``(m, m)``.
    deviation
        Deviation in units of its expected size, before smoothing, shape ``(m, m)``.
    """

    core: FloatArray
    deviation: FloatArray


def refine_psf(
    psf: PolynomialPsf, profile: MeanProfile, stars: StarPixels, sigma_knots: float
) -> tuple[PolynomialPsf, MeanProfile, FloatArray]:
    """Fit the deformations of the PSF and their variation, then what is left of its mean.

    Parameters
    ----------
    psf
        The current model.
    profile
        Its mean.
    stars
        The stars.
    sigma_knots
        Width of the PSF in knots.
    """
    mean = psf.coefficients[0]
    modes = deformations(mean, sigma_knots)
    amplitudes, share = _fit_amplitudes(psf, modes, stars)
    stars = stars.select(share)
    core = profile.core + np.tensordot(amplitudes[0], modes, axes=1)
    prior = _DeviationPrior.make(core, sigma_knots, mean)
    variation = np.tensordot(amplitudes[1:], modes, axes=1)
    deviation = _fit_deviation(psf, stars, (core, variation), profile.deviation, prior)
    mean = core + prior.expand(deviation)
    total = mean.sum() / psf.oversampling**2
    return (
        replace(psf, coefficients=np.concatenate([mean[None], variation]) / total),
        MeanProfile(core / total, deviation / total),
        share,
    )


def deformations(mean: FloatArray, sigma_knots: float) -> FloatArray:
    """Derive from a mean PSF the changes that a PSF is likely to undergo over an image.

    These are a stretch and the two shears of its coordinates, as seeing and optics change, the
    convolutions of second and third order, as defocus, astigmatism, coma and trefoil make, and
    light moved between core and wings. Brightness and place are taken out of all: those belong to
    the star.

    Parameters
    ----------
    mean
        Spline coefficients, shape ``(m, m)``, m odd.
    sigma_knots
        Width of the PSF in knots.

    Returns
    -------
    numpy.ndarray
        Shape ``(12, m, m)``; an amplitude of 1 is a change as large as the PSF.
    """
    y, x = _offsets(len(mean))

    py, px = _slope(mean, 0), _slope(mean, 1)
    pyy, pxx, pxy = _slope(py, 0), _slope(px, 1), _slope(py, 1)
    round_part, s = pyy + pxx, sigma_knots
    radius2 = (y**2 + x**2) / s**2
    modes = np.stack(
        [
            -(2.0 * mean + y * py + x * px), y * py - x * px, -(x * py + y * px),
            s**2 * round_part, s**2 * (pxx - pyy), 2.0 * s**2 * pxy,
            s**3 * _slope(pyy, 0), s**3 * _slope(pyy, 1), s**3 * _slope(pxx, 0),
            s**3 * _slope(pxx, 1), mean * np.exp(-radius2 / 2.0), mean * np.exp(-radius2 / 8.0),
        ]
    )  # fmt: skip
    return _without(modes, _gauge(mean))


def _offsets(m: int) -> tuple[FloatArray, FloatArray]:
    """Give y and x of the knots from the middle one, shapes ``(m, 1)`` and ``(1, m)``."""
    offset = np.arange(m, dtype=np.float64) - 0.5 * (m - 1)
    return offset[:, None], offset[None]


def _slope(image: FloatArray, axis: int) -> FloatArray:
    """Differentiate along an axis, per knot."""
    slope: FloatArray = correlate1d(image, _DERIVATIVE, axis=axis, mode="nearest")
    return slope


def _gauge(mean: FloatArray) -> FloatArray:
    """Give orthonormal directions of a PSF's brightness and place, shape ``(m * m, 3)``."""
    fixed = np.stack([mean, _slope(mean, 0), _slope(mean, 1)]).reshape(3, -1)
    axes: FloatArray = np.linalg.qr(fixed.T)[0]
    return axes


def _without(images: FloatArray, axes: FloatArray) -> FloatArray:
    """Take from images ``(..., m, m)`` their parts along orthonormal directions."""
    flat = images.reshape(*images.shape[:-2], -1)
    kept: FloatArray = (flat - (flat @ axes) @ axes.T).reshape(images.shape)
    return kept


def _fit_amplitudes(
    psf: PolynomialPsf, modes: FloatArray, stars: StarPixels
) -> tuple[FloatArray, FloatArray]:
    """Fit the amplitudes of the deformations: polynomials of the position, ``(n_terms, k)``.

    Those of the mean are free. How much the deformations vary is learned from the stars: the
    variance of each group that makes the data most likely (MacKay 1992, Neural Computation 4, 415)
    shrinks what the noise would not let be seen.
    """
    mean = psf.coefficients[:1]
    drawn = sample_planes(
        np.concatenate([mean, modes]), stars.shift, psf.oversampling, stars.data.shape[1]
    )
    n, k = len(drawn), len(modes)
    columns = np.concatenate([drawn[:, 1:], stars.nuisance], axis=1).reshape(n, k + 3, -1)
    weighted = columns * stars.weight.reshape(n, 1, -1)
    gram = weighted @ columns.transpose(0, 2, 1)
    right = (weighted @ (stars.data - drawn[:, 0]).reshape(n, -1, 1))[:, :, 0]
    # Flux and position of each star are solved for together with the amplitudes.
    taken = np.linalg.solve(gram[:, k:, k:], np.concatenate(
        [gram[:, k:, :k], right[:, k:, None]], axis=2))  # fmt: skip
    gram_left = gram[:, :k, :k] - gram[:, :k, k:] @ taken[:, :, :k]
    right_left = right[:, :k] - (gram[:, :k, k:] @ taken[:, :, k:])[:, :, 0]
    return _fit_robustly(psf.order, gram_left, right_left, stars.basis)


def _fit_robustly(
    order: int, gram: FloatArray, right: FloatArray, basis: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve for the amplitudes of all stars, without those of another size or shape.

    Galaxies and blends that look like stars would have the last word if they are bright.
    """
    n, t = basis.shape
    k = gram.shape[1]
    products = (basis[:, :, None] * basis[:, None, :]).reshape(n, -1)
    # A star of which hardly a pixel is left tells nothing, but must not stop the others.
    shape_gram = gram[:, :3, :3] + np.eye(3)
    scatter = np.linalg.inv(shape_gram) + _SHAPE_SCATTER**2 * np.eye(3)
    degree = np.repeat(np.concatenate([np.full(d + 1, d) for d in range(order + 1)]), k)
    share: FloatArray = np.ones(n)
    for _ in range(_N_ROBUST):
        blocks = (products * share[:, None]).T @ gram.reshape(n, -1)
        matrix = blocks.reshape(t, t, k, k).transpose(0, 2, 1, 3).reshape(t * k, t * k)
        vector = ((basis * share[:, None]).T @ right).ravel()
        solution = _most_likely(matrix, vector, degree, np.tile(_GROUPS, t))
        amplitudes: FloatArray = solution.reshape(t, k)
        left = right[:, :3] - (gram[:, :3] @ (basis @ amplitudes)[:, :, None])[:, :, 0]
        own = np.linalg.solve(shape_gram, left[:, :, None])
        misfit = (own * np.linalg.solve(scatter, own)).sum(axis=(1, 2))
        misfit = np.sqrt(misfit / max(float(np.median(misfit)) / _MEDIAN_CHI2, 1.0))
        # Full weight for the many; less for the doubtful, none for what is no star.
        share = np.where(misfit < _FOREIGN, _DOUBTFUL / np.maximum(misfit, _DOUBTFUL), 0.0)
    return amplitudes, share


def _most_likely(
    matrix: FloatArray,
    vector: FloatArray,
    degree: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
) -> FloatArray:
    """Solve normal equations with a variance for each degree and group that the data choose."""
    variance = np.where(degree == 0, _CORE_AMPLITUDE**2, _FIRST_AMPLITUDE**2)
    label = degree * (group.max() + 1) + group
    varying = np.unique(label[degree > 0])
    for _ in range(_N_EVIDENCE if len(varying) else 1):
        factor = cho_factor(matrix + np.diag(1.0 / variance))
        solution = cho_solve(factor, vector)
        error2 = np.diag(cho_solve(factor, np.eye(len(vector))))
        for one in varying:
            rows = label == one
            # The squares over the number of values that the data know, which converges quickly;
            # what is usual counts as two values.
            known = float((1.0 - error2[rows] / variance[rows]).sum())
            power = float((solution[rows] ** 2).sum())
            usual = _USUAL_AMPLITUDES[group[rows][0]] ** 2
            variance[rows] = (power + 2.0 * usual) / (known + 2.0)
    result: FloatArray = solution
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _DeviationPrior:
    """How far the mean PSF is expected to be from its profile: a smooth random field.

    Attributes
    ----------
    width
        Standard deviation at each knot, shape ``(m, m)``.
    smoother
        Matrix that smooths along an axis, symmetric, shape ``(m, m)``.
    gauge
        Directions of brightness and place, which are not to change, shape ``(m * m, 3)``.
    """

    width: FloatArray
    smoother: FloatArray
    gauge: FloatArray

    @classmethod
    def make(cls, core: FloatArray, sigma_knots: float, mean: FloatArray) -> _DeviationPrior:
        """Make the prior of a profile."""
        offset, _ = _offsets(len(core))
        scale = _SMOOTHING * sigma_knots
        smoother = np.exp(-0.5 * ((offset - offset.T) / scale) ** 2)
        smoother /= np.sqrt((smoother[len(core) // 2] ** 2).sum())
        width = _DEVIATION * np.abs(core) + _FLOOR * np.abs(core).max()
        return cls(width, smoother, _gauge(mean))

    def expand(self, deviation: FloatArray) -> FloatArray:
        """Turn a deviation in its units into spline coefficients."""
        return _without(self.width * (self.smoother @ deviation @ self.smoother), self.gauge)

    def reduce(self, image: FloatArray) -> FloatArray:
        """Apply the transpose of `expand`."""
        reduced: FloatArray = (
            self.smoother @ (self.width * _without(image, self.gauge)) @ self.smoother
        )
        return reduced


def _fit_deviation(
    psf: PolynomialPsf,
    stars: StarPixels,
    model: tuple[FloatArray, FloatArray],
    start: FloatArray,
    prior: _DeviationPrior,
) -> FloatArray:
    """Fit the deviation of the mean PSF from its profile by conjugate gradients.

    ``model`` holds the profile and the terms that vary, shapes ``(m, m)`` and ``(n_terms - 1, m,
    m)``.
    """
    core, variation = model
    planes = np.concatenate([(core + prior.expand(start))[None], variation])
    size, oversampling = stars.data.shape[1], psf.oversampling
    drawn = sample_planes(planes, stars.shift, oversampling, size)
    residual_stamp = stars.data - np.einsum("nt,ntij->nij", stars.basis, drawn)
    free = _orthonormal(stars)
    blank = np.zeros_like(stars.data)

    def downhill(image: FloatArray, data: FloatArray) -> FloatArray:
        pixels = (data, stars.weight, free)
        return prior.reduce(mean_gradient(image, stars.shift, oversampling, pixels))

    solution = start.copy()
    residual = downhill(np.zeros_like(core), residual_stamp) - start
    direction = residual.copy()
    norm = first = float(np.vdot(residual, residual))
    for _ in range(_MAX_STEPS):
        if norm <= 1e-6 * first:
            break
        image = direction - downhill(prior.expand(direction), blank)
        length = norm / float(np.vdot(direction, image))
        solution += length * direction
        residual -= length * image
        new = float(np.vdot(residual, residual))
        direction = residual + (new / norm) * direction
        norm = new
    return solution


def _orthonormal(stars: StarPixels) -> FloatArray:
    """Make the PSF and its derivatives at each star orthonormal under the star's weights."""
    flat = stars.nuisance.reshape(len(stars.nuisance), 3, -1)
    gram = (flat * stars.weight.reshape(len(flat), 1, -1)) @ flat.transpose(0, 2, 1)
    lower = np.linalg.cholesky(gram)
    result: FloatArray = np.linalg.solve(lower, flat).reshape(stars.nuisance.shape)
    return result
