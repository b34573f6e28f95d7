"""What is drawn against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.simulate._draw_kernel import add_gaussians, add_moffats
from lsstpipe.simulate.draw import draw_sky, place_objects
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.profiles import gaussian_mixture
from lsstpipe.simulate.survey import make_survey


@pytest.mark.parametrize("offset", [0.0, 0.37, 0.5])
@pytest.mark.parametrize("fwhm", [3.0, 4.5])
def test_the_flux_of_a_star_is_that_of_the_truth_and_its_width_that_of_the_psf(
    offset: float, fwhm: float
) -> None:
    image = np.zeros((401, 401), np.float32)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / 3.5) - 1))
    place = np.array([[200 + offset, 200 - offset]])
    shape = np.array([[alpha**2, 1.0, 0.0, 1.0]])
    add_moffats(image, place, np.array([1e6]), shape, np.array([150.0]))
    assert image.sum(dtype=float) == pytest.approx(1e6, rel=1e-4)
    if offset == 0:
        assert image[200, 200] == pytest.approx(1e6 * 2.5 / (np.pi * alpha**2), rel=1e-5)
        half = np.interp(fwhm / 2, np.arange(6), image[200, 200:206])
        assert half == pytest.approx(image[200, 200] / 2, rel=0.05)


def test_a_gaussian_is_the_closed_form_up_to_where_it_is_cut() -> None:
    image = np.zeros((60, 70), np.float32)
    xx, xy, yy = 20.0, 6.0, 9.0
    add_gaussians(image, np.array([[28.3, 33.6]]), np.array([5e4]), np.array([[xx, xy, yy]]), 4.5)
    y, x = np.mgrid[:60, :70]
    inverse = np.linalg.inv([[xx, xy], [xy, yy]])
    u, v = x - 33.6, y - 28.3
    q = inverse[0, 0] * u * u + 2 * inverse[0, 1] * u * v + inverse[1, 1] * v * v
    expected = 5e4 * np.exp(-q / 2) / (2 * np.pi * np.sqrt(xx * yy - xy * xy))
    inside = q < 4.45**2
    np.testing.assert_allclose(image[inside], expected[inside], rtol=1e-4)
    assert (image[q > 4.55**2] == 0).all()


def test_half_of_the_light_of_a_galaxy_is_within_its_half_light_radius() -> None:
    for name, tolerance in (("exponential", 0.01), ("devaucouleurs", 0.05)):
        weights, variances = map(np.array, gaussian_mixture(name))
        within = np.sum(weights * (1 - np.exp(-0.5 / variances)))
        assert within == pytest.approx(0.5, abs=tolerance)


def test_the_sum_of_gaussians_that_galaxies_are_convolved_with_is_close_to_the_psf() -> None:
    weights, variances = map(np.array, gaussian_mixture("moffat"))
    r = np.linspace(0, 4, 50)
    mixture = np.sum(
        weights / (2 * np.pi * variances) * np.exp(-0.5 * r[:, None] ** 2 / variances), 1
    )
    moffat = 2.5 / np.pi * (1 + r * r) ** -3.5
    assert np.abs(mixture - moffat).max() < 0.01 * moffat[0]


def test_a_detector_shows_the_sky_and_the_flux_of_its_objects() -> None:
    survey = make_survey(find_preset("unit"), 3)
    exposure, detector = survey.science()[0], survey.camera.detector(0)
    drawn = place_objects(survey, exposure, detector)
    image = draw_sky(survey, exposure, detector, drawn)
    assert np.median(image) == pytest.approx(exposure.sky_electron, rel=0.03)
    light = image.sum(dtype=float) - exposure.sky_electron * image.size
    inside = (drawn.y > 5) & (drawn.y < 506) & (drawn.x > 5) & (drawn.x < 506)
    # The slope of the sky, and stars across the edges.
    assert light == pytest.approx(drawn.flux_electron[inside].sum(), rel=0.1)
