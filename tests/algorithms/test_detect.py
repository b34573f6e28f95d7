from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate
from scipy.signal import convolve2d
from scipy.spatial import cKDTree

from lsstpipe.algorithms.detect import DetectionSettings, detect_sources, matched_filter
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane


def planes_of(field, **changes):
    parts = {"image": field.image, "variance": field.variance, "mask": field.mask}
    return Planes(**(parts | changes))


@pytest.fixture(scope="module")
def stamp(draw_moffat):
    return draw_moffat(0.0, 0.0, fwhm=3.2, size=25)


def test_the_filter_is_a_correlation_with_propagated_variance():
    rng = np.random.default_rng(2)
    image, variance = rng.normal(size=(40, 30)), rng.uniform(1, 2, (40, 30))
    kernel = rng.uniform(size=(5, 5))
    mask = np.zeros(image.shape, np.int32)
    mask[20, 10] = int(MaskPlane.BAD)
    planes = Planes(image.astype(np.float32), variance.astype(np.float32), mask)
    filtered, noise = matched_filter(planes, kernel, MaskPlane.BAD)
    image[20, 10] = variance[20, 10] = 0.0
    np.testing.assert_allclose(filtered, correlate(image, kernel, mode="constant"), atol=1e-5)
    np.testing.assert_allclose(noise, correlate(variance, kernel**2, mode="constant"), rtol=1e-5)


def test_every_bright_star_is_found_once_and_nothing_else(star_field, stamp):
    found = detect_sources(planes_of(star_field), stamp)
    assert len(found.y) == len(star_field.y)
    distance, star = cKDTree(np.c_[star_field.y, star_field.x]).query(np.c_[found.y, found.x])
    assert distance.max() < 0.6
    assert len(set(star)) == len(star)
    assert (np.diff(found.significance) <= 0).all()


def test_significance_is_flux_over_its_error(star_field, stamp):
    found = detect_sources(planes_of(star_field), stamp)
    _, star = cKDTree(np.c_[star_field.y, star_field.x]).query(np.c_[found.y, found.x])
    faint = star_field.flux[star] < 6e3
    noise = np.sqrt(star_field.sky_variance / (stamp**2).sum())
    ratio = found.significance[faint] / (star_field.flux[star][faint] / noise)
    # Photon noise of the star and the offset from the pixel's centre take a few per cent off.
    assert np.median(ratio) == pytest.approx(0.93, abs=0.05)


def test_noise_alone_gives_the_false_positives_of_a_gaussian_field(stamp):
    rng = np.random.default_rng(11)
    image = rng.normal(0, 3, (600, 600)).astype(np.float32)
    planes = Planes(image, np.full(image.shape, 9, np.float32), np.zeros(image.shape, np.int32))
    settings = DetectionSettings(n_sigma=4.0, find_negative=True)
    found = detect_sources(planes, stamp, settings)
    # Maxima of a Gaussian field above u (Rice in two dimensions): density
    # u exp(-u^2 / 2) lambda / (2 pi)^1.5 with lambda the mean square slope of the filtered noise.
    shifted = [np.roll(stamp, 1, axis) for axis in (0, 1)]
    slope2 = np.mean([2 * (1 - (s * stamp).sum() / (stamp**2).sum()) for s in shifted])
    expected = image.size * slope2 * 4.0 * np.exp(-8.0) / (2 * np.pi) ** 1.5
    for n_found in ((found.significance > 0).sum(), (found.significance < 0).sum()):
        assert abs(n_found - expected) < 4 * np.sqrt(expected) + 1


def test_masked_pixels_do_not_count(star_field, stamp):
    image, mask = star_field.image.copy(), star_field.mask.copy()
    mask[60, :] = int(MaskPlane.BAD)
    image[60, :] = 1e5
    found = detect_sources(planes_of(star_field, image=image, mask=mask), stamp)
    assert len(found.y) == len(star_field.y)


def test_a_neighbour_on_a_bright_wing_is_found_but_the_wing_is_not(draw_moffat, stamp):
    rng = np.random.default_rng(4)
    truth = np.zeros((80, 80))
    truth[20:61, 20:61] += 1e6 * draw_moffat(40.0, 40.0, fwhm=3.2)
    alone = truth.copy()
    truth[32:73, 20:61] += 2e4 * draw_moffat(52.0, 40.0, fwhm=3.2)
    for light, expected in ((alone, 1), (truth, 2)):
        variance = (light + 100.0).astype(np.float32)
        image = (light + rng.normal(size=light.shape) * np.sqrt(variance)).astype(np.float32)
        found = detect_sources(Planes(image, variance, np.zeros((80, 80), np.int32)), stamp)
        assert len(found.y) == expected


def test_negative_sources_and_footprints_are_kept_apart(star_field, stamp):
    image = star_field.image.copy()
    image[:, 240:] *= -1
    settings = DetectionSettings(find_negative=True)
    found = detect_sources(planes_of(star_field, image=image), stamp, settings)
    left = found.x < 235
    assert (found.significance[left] > 0).all()
    assert (found.significance[found.x > 245] < 0).all()
    inside = found.labels[np.rint(found.y).astype(int), np.rint(found.x).astype(int)]
    np.testing.assert_array_equal(inside, found.footprint)
    assert (found.labels[found.detected | found.detected_negative] > 0).all()


def test_positions_are_absolute(star_field, stamp):
    here = detect_sources(planes_of(star_field), stamp)
    there = detect_sources(planes_of(star_field, y0=1000, x0=-50), stamp)
    np.testing.assert_allclose(there.y - 1000, here.y)
    np.testing.assert_allclose(there.x + 50, here.x)


def test_an_empty_image_has_no_sources(stamp):
    zero = np.zeros((50, 50), np.float32)
    found = detect_sources(Planes(zero, zero + 1, np.zeros((50, 50), np.int32)), stamp)
    assert len(found.y) == 0
    assert not found.detected.any()


def test_the_variance_of_the_filter_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(8)
    shape = (40, 53)
    variance = rng.uniform(50, 90, shape).astype(np.float32)
    variance[20, 30] = 4000.0
    mask = np.zeros(shape, dtype=np.int32)
    mask[rng.random(shape) < 0.1] = MaskPlane.BAD
    stamp = rng.uniform(0, 1, (7, 7))
    planes = Planes(rng.normal(size=shape).astype(np.float32), variance, mask)
    filtered, found = matched_filter(planes, stamp, MaskPlane.BAD)
    usable = mask == 0
    kernel = stamp[::-1, ::-1]
    expected = convolve2d(np.where(usable, variance, 0.0), kernel**2, mode="same")
    share = convolve2d(usable.astype(float), kernel**2, mode="same")
    enough = share > 0.1 * (kernel**2).sum()
    np.testing.assert_allclose(found[enough], expected[enough], rtol=2e-5)
    assert np.isinf(found[~enough]).all()
    expected = convolve2d(np.where(usable, planes.image, 0.0), kernel, mode="same")
    np.testing.assert_allclose(filtered, expected, atol=1e-5)
