import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lsstpipe.algorithms._deblend_kernel import make_monotonic, symmetric_minimum
from lsstpipe.algorithms.deblend import Blend, Deblended, deblend
from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]
SIZE = 25


def stamp(y: float, x: float, fwhm: float) -> FloatArray:
    """Moffat profile (beta 4) around the pixel nearest to a position."""
    offset = np.arange(SIZE) - SIZE // 2
    fy, fx = y - np.floor(y + 0.5), x - np.floor(x + 0.5)
    core = (fwhm / 2.0) ** 2 / (2.0**0.25 - 1.0)
    profile = (1.0 + ((offset - fy)[:, None] ** 2 + (offset - fx) ** 2) / core) ** -4.0
    return np.asarray(profile / profile.sum())


def source(shape: tuple[int, int], y: float, x: float, fwhm: float, flux: float) -> FloatArray:
    image = np.zeros(shape)
    y0, x0 = int(np.floor(y + 0.5)) - SIZE // 2, int(np.floor(x + 0.5)) - SIZE // 2
    image[y0 : y0 + SIZE, x0 : x0 + SIZE] = flux * stamp(y, x, fwhm)
    return image


def run(
    sources: list[FloatArray], peaks: FloatArray, fwhm: float, rng: np.random.Generator
) -> tuple[Deblended, Blend]:
    truth = np.sum(sources, axis=0)
    variance = truth + 400.0
    image = truth + rng.normal(size=truth.shape) * np.sqrt(variance)
    blend = Blend(image[None], variance[None], truth > 10.0, y0=1000, x0=2000)
    psfs = np.array([stamp(y, x, fwhm) for y, x in peaks])[:, None]
    return deblend(blend, peaks + np.array([1000, 2000]), psfs), blend


def pair(
    rng: np.random.Generator, fwhm: float, separation: float, magnitudes: float
) -> tuple[list[FloatArray], FloatArray, FloatArray]:
    angle = rng.uniform(0.0, 2.0 * np.pi)
    first = 30.0 + rng.uniform(-0.5, 0.5, 2)
    second = first + separation * fwhm * np.array([np.sin(angle), np.cos(angle)])
    flux = 2e4 * np.array([1.0, 10.0 ** (-0.4 * magnitudes)])
    peaks = np.array([first, second])
    stars = [source((61, 61), *peaks[k], fwhm, flux[k]) for k in (0, 1)]
    return stars, peaks, flux


@pytest.mark.parametrize(("fwhm", "separation", "magnitudes"), [
    (2.3, 1.5, 0.0), (3.0, 1.5, 2.0), (4.0, 1.5, 2.0), (3.0, 2.5, 1.0),
])  # fmt: skip
def test_the_stars_of_a_close_pair_get_their_own_flux(
    fwhm: float, separation: float, magnitudes: float
) -> None:
    rng = np.random.default_rng(6)
    errors = []
    for _ in range(25):
        stars, peaks, flux = pair(rng, fwhm, separation, magnitudes)
        found, _ = run(stars, peaks + rng.normal(0.0, 0.1, (2, 2)), fwhm, rng)
        unit = [star / value for star, value in zip(stars, flux, strict=True)]
        measured = [
            np.sum(child[0] * psf) / np.sum(psf**2)
            for child, psf in zip(found.children, unit, strict=True)
        ]
        errors.append(measured / flux - 1.0)
    bias, error = np.mean(errors, axis=0), np.std(errors, axis=0) / 5.0
    assert np.all(np.abs(bias) < 0.02 + 3.0 * error)
    assert np.all(np.std(errors, axis=0) < 0.1)


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_the_children_sum_to_the_blend_whatever_it_is(seed: int, n_peaks: int) -> None:
    rng = np.random.default_rng(seed)
    peaks = rng.uniform(14.0, 46.0, (n_peaks, 2))
    fwhms = rng.uniform(2.0, 6.0, n_peaks)
    flux = 10.0 ** rng.uniform(2.5, 5.0, n_peaks)
    sources = [source((61, 61), *p, w, f) for p, w, f in zip(peaks, fwhms, flux, strict=True)]
    found, blend = run(sources, peaks, 3.0, rng)
    assume(blend.footprint.any())  # a faint and wide source may stand out nowhere
    total = found.children.sum(axis=0, dtype=np.float64)[0]
    scale = np.abs(blend.images).max()
    assert np.abs(total - blend.images[0])[blend.footprint].max() < 1e-6 * scale
    assert np.all(found.children[:, :, ~blend.footprint] == 0.0)
    assert np.all(found.templates >= 0.0)


def test_a_star_is_called_point_like_and_a_galaxy_is_not() -> None:
    rng = np.random.default_rng(7)
    galaxy, star = source((61, 61), 20.0, 20.0, 6.0, 4e4), source((61, 61), 42.3, 42.0, 3.0, 2e4)
    found, _ = run([galaxy, star], np.array([[20.0, 20.0], [42.3, 42.0]]), 3.0, rng)
    assert found.is_psf.tolist() == [False, True]
    assert found.children[0, 0].sum() == pytest.approx(4e4, rel=0.05)
    assert found.children[1, 0].sum() == pytest.approx(2e4, rel=0.05)


def test_bands_are_divided_by_their_own_colours() -> None:
    rng = np.random.default_rng(8)
    stars, peaks, flux = pair(rng, 3.0, 1.7, 0.0)
    images = np.array([stars[0] + 0.5 * stars[1], 0.5 * stars[0] + stars[1]])
    variances = images + 100.0
    images = images + rng.normal(size=images.shape) * np.sqrt(variances)
    psfs = np.array([[stamp(y, x, 3.0)] * 2 for y, x in peaks])
    found = deblend(Blend(images, variances, np.ones((61, 61), bool)), peaks, psfs)
    sums = found.children.sum(axis=(2, 3)) / flux[0]
    assert found.is_psf.all()
    assert sums == pytest.approx(np.array([[1.0, 0.5], [0.5, 1.0]]), abs=0.04)


def test_missing_pixels_do_not_spread() -> None:
    rng = np.random.default_rng(9)
    stars, peaks, flux = pair(rng, 3.0, 2.0, 0.0)
    image = np.sum(stars, axis=0)
    variance = image + 100.0
    hole = tuple(np.floor(peaks[0] + 3.0).astype(int))
    image[hole], variance[hole] = np.nan, np.nan
    psfs = np.array([stamp(y, x, 3.0) for y, x in peaks])[:, None]
    found = deblend(Blend(image[None], variance[None], np.ones((61, 61), bool)), peaks, psfs)
    assert np.all(np.isfinite(found.children))
    assert found.children[1, 0].sum() == pytest.approx(flux[1], rel=0.02)


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_templates_are_symmetric_below_the_image_and_fall_outward(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, footprint = rng.normal(1.0, 1.0, (13, 13)), rng.random((13, 13)) > 0.1
    template = np.empty((13, 13))
    symmetric_minimum(image, footprint, (6.0, 6.0), template)
    assert np.array_equal(template, template[::-1, ::-1])
    assert np.all((template <= np.maximum(image, 0.0)) & (template >= 0.0))
    make_monotonic(template, (6, 6))
    for line in (template[6, 6:], template[6:, 6], np.diag(template)[6:], np.diag(template)[6::-1]):
        assert np.all(np.diff(line) <= 0.0)


def test_a_monotonic_template_is_left_alone() -> None:
    rows, columns = np.indices((15, 17))
    smooth = np.exp(-0.1 * ((rows - 6) ** 2 + (columns - 9) ** 2))
    template = smooth.copy()
    make_monotonic(template, (6, 9))
    assert np.array_equal(template, smooth)


def test_too_many_peaks_and_none_are_refused() -> None:
    blend = Blend(np.ones((1, 5, 5)), np.ones((1, 5, 5)), np.ones((5, 5), bool))
    with pytest.raises(AlgorithmError, match="601 peaks"):
        deblend(blend, np.zeros((601, 2)), np.ones((601, 1, 3, 3)))
    with pytest.raises(AlgorithmError, match="0 peaks"):
        deblend(blend, np.zeros((0, 2)), np.ones((0, 1, 3, 3)))
    with pytest.raises(ValueError, match="n_bands"):
        Blend(np.ones((5, 5)), np.ones((5, 5)), np.ones((5, 5), bool))
