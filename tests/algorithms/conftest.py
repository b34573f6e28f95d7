"""A simulated star field with known truth, for the tests of the pixel algorithms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

FloatArray = npt.NDArray[np.float64]


def moffat_stamp(y: float, x: float, *, fwhm: float, size: int = 41) -> FloatArray:
    """Integrate a Moffat profile of beta 3.5 over pixels; the middle one is nearest to (y, x)."""
    n_sub = 7
    sub = (np.arange(n_sub) + 0.5) / n_sub - 0.5
    fine = (np.arange(size)[:, None] - size // 2 + sub).ravel()
    dy, dx = fine - (y - np.floor(y + 0.5)), fine - (x - np.floor(x + 0.5))
    scale2 = (0.5 * fwhm) ** 2 / (2.0 ** (1.0 / 3.5) - 1.0)
    profile = (1.0 + (dy[:, None] ** 2 + dx**2) / scale2) ** -3.5
    profile *= 2.5 / (np.pi * scale2 * n_sub**2)
    return profile.reshape(size, n_sub, size, n_sub).sum(axis=(1, 3))


@dataclass(frozen=True)
class StarField:
    """Image without sky, its variance, and the truth."""

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    mask: npt.NDArray[np.int32]
    noiseless: FloatArray
    y: FloatArray
    x: FloatArray
    flux: FloatArray
    fwhm: float
    sky_variance: float


def fwhm_at(fwhm: float, shape: tuple[int, int], *, y: float, x: float) -> float:
    """Let the PSF widen by up to 5 % over the image."""
    v, u = 2.0 * y / shape[0] - 1.0, 2.0 * x / shape[1] - 1.0
    return fwhm * (1.0 + 0.02 * u - 0.01 * v + 0.02 * u * v)


def simulate(
    *, fwhm: float, n_side: int, spacing: int, flux: tuple[float, float], seed: int = 3
) -> StarField:
    """Put stars on a jittered grid, with fluxes evenly spread in magnitude, sky 900 and noise."""
    rng = np.random.default_rng(seed)
    cells = np.arange(spacing // 2, n_side, spacing, dtype=np.float64)
    y, x = (c.ravel() for c in np.meshgrid(cells, cells, indexing="ij"))
    y = y + rng.uniform(-3, 3, y.size)
    x = x + rng.uniform(-3, 3, x.size)
    fluxes = np.exp(rng.uniform(*np.log(flux), y.size))
    noiseless = np.zeros((n_side + 80, n_side + 80))
    for yy, xx, f in zip(y, x, fluxes, strict=True):
        local = fwhm_at(fwhm, (n_side, n_side), y=yy, x=xx)
        j, i = int(np.floor(yy + 0.5)) + 20, int(np.floor(xx + 0.5)) + 20
        noiseless[j : j + 41, i : i + 41] += f * moffat_stamp(yy, xx, fwhm=local)
    noiseless = noiseless[40:-40, 40:-40]
    sky, read_noise = 900.0, 5.0
    variance = noiseless + sky + read_noise**2
    image = rng.poisson(noiseless + sky) + rng.normal(0.0, read_noise, noiseless.shape) - sky
    return StarField(
        image=image.astype(np.float32),
        variance=variance.astype(np.float32),
        mask=np.zeros(image.shape, dtype=np.int32),
        noiseless=noiseless,
        y=y,
        x=x,
        flux=fluxes,
        fwhm=fwhm,
        sky_variance=sky + read_noise**2,
    )


class MoffatPsf:
    """The true PSF of `simulate`, behind the interface of a PSF model."""

    def __init__(self, fwhm: float, shape: tuple[int, int], size: int = 25) -> None:
        self.fwhm, self.shape, self.size = fwhm, shape, size

    def stamps(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw the PSF with its flux beyond the stamp left out."""
        drawn = [
            moffat_stamp(a, b, fwhm=fwhm_at(self.fwhm, self.shape, y=a, x=b), size=self.size)
            for a, b in zip(y, x, strict=True)
        ]
        return np.array(drawn).reshape(-1, self.size, self.size)


@pytest.fixture(scope="session")
def star_field() -> StarField:
    """Give 144 isolated stars of S/N 20 to 500 under a well sampled PSF."""
    return simulate(fwhm=3.2, n_side=480, spacing=40, flux=(3e3, 2e5))


@pytest.fixture(scope="session")
def sharp_field() -> StarField:
    """Give 144 isolated stars under a PSF that the pixels undersample."""
    return simulate(fwhm=2.2, n_side=480, spacing=40, flux=(3e3, 2e5))


@pytest.fixture(scope="session")
def draw_moffat() -> Callable[..., FloatArray]:
    """Give the function that draws the true PSF."""
    return moffat_stamp


@pytest.fixture(scope="session")
def make_field() -> Callable[..., StarField]:
    """Give the function that makes a field."""
    return simulate


@pytest.fixture(scope="session")
def true_psf(star_field: StarField) -> MoffatPsf:
    """Give the PSF that `star_field` was drawn with."""
    return MoffatPsf(star_field.fwhm, star_field.image.shape)
