"""Artefact rejection and the coadd that follows from it, on a simulated dithered field."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms._outlier_kernel import significances, sky_pulls
from lsstpipe.algorithms.combine import WarpStack, combine, warp_weights
from lsstpipe.algorithms.outlier import find_artifacts, max_epochs, static_sky
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_match import gaussian_stamp, match_psf, matching_kernel, target_sigma
from lsstpipe.algorithms.resample import covariance_factor, warp
from lsstpipe.geometry.box import Box
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]
BOX = Box(0, 0, 220, 220)
SHAPE = (270, 270)
SKY = 500.0


def moffat(y: float, x: float, fwhm: float) -> FloatArray:
    offset = np.arange(31) - 15
    fy, fx = y - np.floor(y + 0.5), x - np.floor(x + 0.5)
    core = (fwhm / 2.0) ** 2 / (2.0**0.25 - 1.0)
    profile = (1.0 + ((offset - fy)[:, None] ** 2 + (offset - fx) ** 2) / core) ** -4.0
    return np.asarray(profile / profile.sum())


@dataclass(frozen=True)
class Field:
    """Warps of a field with and without artefacts."""

    stack: WarpStack
    matched: WarpStack
    artefacts: FloatArray
    """What the artefacts add to the warps, in units of their noise."""
    stars: FloatArray
    """Rows y, x, flux."""


def simulate(n: int, rng: np.random.Generator) -> Field:
    stars = np.stack([*rng.uniform(0.0, 220.0, (2, 60)), 10.0 ** rng.uniform(3.0, 5.7, 60)], axis=1)
    defects = rng.integers(0, 270, (40, 2))
    fwhms = np.linspace(2.3, 4.0, n)
    target = gaussian_stamp(target_sigma(fwhms / 2.3548), 31)
    warps, factors, matched, artefacts = [], [], [], []
    for visit, fwhm in enumerate(fwhms):
        dy, dx = rng.uniform(5.0, 45.0, 2)
        turn = np.deg2rad(rng.normal(0.0, 0.5))

        def to_source(
            y: FloatArray, x: FloatArray, dy: float = dy, dx: float = dx, turn: float = turn
        ) -> tuple[FloatArray, FloatArray]:
            return y + dy - turn * x, x + dx + turn * y

        canvas = np.zeros((SHAPE[0] + 80, SHAPE[1] + 80))
        for y, x, flux in stars:
            v, u = (float(c) for c in to_source(np.array(y), np.array(x)))
            j, i = int(np.floor(v + 0.5)) + 25, int(np.floor(u + 0.5)) + 25
            canvas[j : j + 31, i : i + 31] += flux * moffat(v, u, fwhm)
        image = canvas[40:-40, 40:-40]
        variance = image + SKY
        dirt = spoil(defects, rng, trail=visit == 4) * np.sqrt(SKY)
        image = image + dirt + rng.normal(size=SHAPE) * np.sqrt(variance)
        mask = np.zeros(SHAPE, np.int32)
        planes = Planes(image.astype(np.float32), variance.astype(np.float32), mask)
        warped = warp(planes, BOX, to_source)
        kernel = matching_kernel(moffat(0.0, 0.0, fwhm), target)
        alone = Planes(dirt.astype(np.float32), planes.variance, mask)
        warps.append(warped)
        factors.append(covariance_factor(to_source, BOX, fwhm / 2.3548))
        matched.append(match_psf(warped, kernel[None, None], cell_size=512))
        artefacts.append(warp(alone, BOX, to_source).image / np.sqrt(warped.variance))
    return Field(
        WarpStack.of(warps, np.array(factors)),
        WarpStack.of(matched, np.ones(n)),
        np.array(artefacts),
        stars,
    )


def spoil(defects: npt.NDArray[np.int64], rng: np.random.Generator, *, trail: bool) -> FloatArray:
    """Draw hot pixels, at the same place in every visit, tracks of cosmic rays, and a trail."""
    dirt = np.zeros(SHAPE)
    dirt[defects[:, 0], defects[:, 1]] = 10.0 ** np.linspace(0.8, 2.0, len(defects))
    for _ in range(12):
        y, x, angle = *rng.uniform(10.0, 250.0, 2), rng.uniform(0.0, np.pi)
        steps = np.arange(rng.integers(1, 9))
        rows, columns = y + steps * np.sin(angle), x + steps * np.cos(angle)
        dirt[rows.astype(int), columns.astype(int)] = 10.0 ** rng.uniform(0.9, 2.0)
    if trail:
        rows = np.arange(SHAPE[0])
        columns = (40.0 + 0.6 * rows).astype(int)
        for offset, height in ((-1, 4.0), (0, 8.0), (1, 4.0)):
            dirt[rows, columns + offset] = height
    return dirt


@pytest.fixture(scope="module")
def field() -> Field:
    return simulate(10, np.random.default_rng(12))


@pytest.fixture(scope="module")
def clipped(field: Field) -> npt.NDArray[np.bool_]:
    return find_artifacts(field.stack, field.matched)


def around_stars(field: Field, radius: float) -> npt.NDArray[np.bool_]:
    rows, columns = np.indices(BOX.shape)
    near = np.zeros(BOX.shape, np.bool_)
    for y, x, _ in field.stars:
        near |= np.hypot(rows - y, columns - x) < radius
    return near


def test_hot_pixels_cosmic_rays_and_trails_are_removed(
    field: Field, clipped: npt.NDArray[np.bool_]
) -> None:
    seen = np.isfinite(field.stack.image).sum(axis=0) >= 5
    dirty = (np.abs(field.artefacts) > 5.0) & seen
    assert dirty.sum() > 1000
    assert clipped[dirty].mean() > 0.95
    assert clipped[dirty & ~around_stars(field, 8.0)].mean() > 0.98


def test_the_cores_of_stars_are_kept_though_the_seeing_changes(
    field: Field, clipped: npt.NDArray[np.bool_]
) -> None:
    clean = np.abs(field.artefacts) < 0.5
    cores = np.broadcast_to(around_stars(field, 2.0), clean.shape) & clean
    # Masks are grown by a pixel, so that next to an artefact a clean pixel may be lost.
    untouched = np.array([~_near(np.abs(dirt) > 0.5) for dirt in field.artefacts])
    assert clipped[cores & untouched].mean() < 2e-3


def _near(dirty: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    padded = np.pad(dirty, 3)
    shifts = [np.roll(padded, (j, i), (0, 1)) for j in range(-3, 4) for i in range(-3, 4)]
    return np.any(shifts, axis=0)[3:-3, 3:-3]


def test_clean_sky_is_kept(field: Field, clipped: npt.NDArray[np.bool_]) -> None:
    untouched = np.array([~_near(~(np.abs(dirt) < 0.5)) for dirt in field.artefacts])
    sky = untouched & ~around_stars(field, 6.0)
    assert clipped[sky].mean() < 1e-3


def test_the_coadd_of_what_is_left_has_no_artefact_and_honest_errors(
    field: Field, clipped: npt.NDArray[np.bool_]
) -> None:
    mask = np.where(clipped, field.stack.mask | int(MaskPlane.CLIPPED), field.stack.mask)
    stack = WarpStack(field.stack.image, field.stack.variance, mask.astype(np.int32))
    coadd = combine(stack, warp_weights(stack))
    empty = ~around_stars(field, 14.0) & (coadd.n_image >= 5)
    psf = moffat(0.0, 0.0, 3.2)[10:21, 10:21]
    blocks = coadd.planes.image.reshape(20, 11, 20, 11).swapaxes(1, 2)
    variances = coadd.planes.variance.reshape(20, 11, 20, 11).swapaxes(1, 2)
    good = empty.reshape(20, 11, 20, 11).swapaxes(1, 2).all(axis=(2, 3))
    flux = (blocks * psf).sum(axis=(2, 3))[good]
    pulls = flux / np.sqrt((variances * psf**2).sum(axis=(2, 3))[good])
    assert good.sum() > 60
    assert 0.9 - 3.0 / np.sqrt(2 * len(pulls)) < pulls.std() < 1.15 + 3.0 / np.sqrt(2 * len(pulls))
    noise = np.sqrt(np.median(coadd.planes.variance[empty]))
    assert np.abs(coadd.planes.image[empty]).max() < 6.0 * noise
    dirty = combine(field.stack, warp_weights(field.stack)).planes.image
    assert (np.abs(dirty[empty]) > 6.0 * noise).sum() > 50


def test_what_most_epochs_show_is_no_artefact() -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(size=(10, 80, 80)).astype(np.float32)
    image[:5, 20:24, 20:24] += 30.0
    image[5, 50:54, 50:54] += 30.0
    stack = WarpStack(image, np.ones_like(image), np.zeros(image.shape, np.int32))
    found = find_artifacts(stack, stack)
    assert not found[:, 18:26, 18:26].any()
    assert found[5, 50:54, 50:54].all()
    assert not found[[0, 1, 2, 3, 4, 6, 7, 8, 9], 50:54, 50:54].any()


def test_two_epochs_cannot_tell_which_is_right() -> None:
    image = np.random.default_rng(4).normal(size=(2, 60, 60)).astype(np.float32)
    image[0, 30, 30] = 100.0
    stack = WarpStack(image, np.ones_like(image), np.zeros(image.shape, np.int32))
    assert not find_artifacts(stack, stack).any()


def test_the_number_of_epochs_of_an_artefact_follows_the_rule() -> None:
    n = np.array([0, 1, 2, 3, 4, 5, 6, 20, 40, 100])
    assert max_epochs(n).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 5]


def test_the_static_sky_leaves_bad_pixels_out() -> None:
    image = np.ones((4, 5, 5), np.float32)
    mask = np.zeros(image.shape, np.int32)
    image[0, 2, 2], mask[0, 2, 2] = 50.0, int(MaskPlane.SAT)
    mask[:, 0, 0] = int(MaskPlane.BAD)
    model = static_sky(WarpStack(image, np.ones_like(image), mask), 2.5)
    assert model[2, 2] == 1.0
    assert np.isnan(model[0, 0])


def test_a_variance_of_zero_or_nan_ends_no_search() -> None:
    shape = (4, 40, 40)
    variance = np.ones(shape, np.float32)
    variance[0, 5, 5], variance[:, 9, 9] = 0.0, np.nan
    stack = WarpStack(np.zeros(shape, np.float32), variance, np.zeros(shape, np.int32))
    assert not find_artifacts(stack, stack).any()


def test_the_significance_of_a_pixel_is_what_its_formula_says(rng: np.random.Generator) -> None:
    model = rng.exponential(3.0, 500).astype(np.float32)
    nearby = 2.0 * model
    variance = rng.uniform(0.5, 2.0, 500).astype(np.float32)
    image = model + rng.normal(size=500).astype(np.float32)
    unusable = rng.random(500) < 0.1
    warp = (image, variance, unusable)

    pulls = sky_pulls(warp, model, 3.0)
    values = significances(
        warp, (model, nearby), (np.float32(0.1), np.float32(1.2)), np.float32(0.3)
    )

    sky = ~unusable & (model < 3.0 * np.sqrt(variance))
    assert 50 < sky.sum() < 450
    np.testing.assert_allclose(pulls, ((image - model) / np.sqrt(variance))[sky], rtol=1e-6)
    error = np.hypot(1.2 * np.sqrt(variance), 0.3 * nearby)
    expected = np.abs(image - model - 0.1 * np.sqrt(variance)) / error
    np.testing.assert_allclose(values, np.where(unusable, 0.0, expected), rtol=1e-5, atol=1e-6)
