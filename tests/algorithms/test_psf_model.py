from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.centroid import measure_centroids
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import fit_psf_model
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.psf import stamp_moments


def fitted(field, order_of_stars=slice(None)):
    planes = Planes(field.image, field.variance, field.mask)
    start = measure_centroids(planes, y=field.y, x=field.x, psf_sigma=field.fwhm / 2.355)
    reserved = np.arange(len(field.y)) % 5 == 2
    sky = np.full(field.image.shape, field.sky_variance, np.float32)
    return fit_psf_model(
        planes,
        y=start.y[order_of_stars],
        x=start.x[order_of_stars],
        is_reserved=reserved[order_of_stars],
        sky_variance=sky,
    )


def size_errors(fit, field, draw_moffat):
    """Relative size of the model against the truth on a grid."""
    errors = []
    for y in np.linspace(60, 420, 5):
        for x in np.linspace(60, 420, 5):
            v, u = 2 * y / 480 - 1, 2 * x / 480 - 1
            local = field.fwhm * (1 + 0.02 * u - 0.01 * v + 0.02 * u * v)
            truth = stamp_moments(draw_moffat(y, x, fwhm=local, size=fit.psf.size))
            model = stamp_moments(fit.psf.stamp(y=y, x=x))
            errors.append((model[0] + model[1]) / (truth[0] + truth[1]) - 1)
    return np.array(errors)


@pytest.mark.parametrize("name", ["star_field", "sharp_field"])
def test_the_model_has_the_size_of_the_true_psf_everywhere(name, request, draw_moffat):
    field = request.getfixturevalue(name)
    fit = fitted(field)
    errors = size_errors(fit, field, draw_moffat)
    # Each bright star gives its size to about 1 %; twenty share a term of the polynomial.
    # The truth varies by 10 %.
    assert abs(errors.mean()) < 6e-3
    assert errors.std() < 8e-3
    assert np.median(fit.chi2_per_pixel[fit.is_reserved]) == pytest.approx(1.025, abs=0.125)
    assert abs(np.nanmedian(fit.size_residual[fit.is_reserved])) < 0.02


def test_without_the_variation_the_size_would_be_wrong(star_field, draw_moffat):
    fit = fitted(star_field)
    corners = [fit.psf.sigma(y=y, x=x) for y, x in ((40.0, 40.0), (440.0, 440.0))]
    assert corners[1] / corners[0] > 1.01


def test_positions_agree_with_the_truth(star_field):
    fit = fitted(star_field)
    bright = star_field.flux > 5e4
    assert np.abs(fit.y - star_field.y)[bright].max() < 0.05
    assert np.abs(fit.x - star_field.x)[bright].mean() < 0.01


def test_a_star_with_a_companion_is_rejected(make_field, star_field):
    image = star_field.image.copy()
    victim = int(
        np.argmax(np.where((star_field.flux > 1e5) & (np.arange(144) % 5 == 0), star_field.flux, 0))
    )
    y, x = int(star_field.y[victim]), int(star_field.x[victim])
    image[y : y + 3, x + 3 : x + 6] += 0.03 * star_field.flux[victim]
    spoilt = type(star_field)(**{**vars(star_field), "image": image})
    fit = fitted(spoilt)
    assert not fit.is_used[victim]
    assert fit.is_used.sum() > 90


def test_masked_pixels_do_not_matter(star_field):
    mask = star_field.mask.copy()
    image = star_field.image.copy()
    mask[:, 100:480:40], image[:, 100:480:40] = 1, 1e6
    fit = fitted(type(star_field)(**{**vars(star_field), "image": image, "mask": mask}))
    assert np.median(fit.chi2_per_pixel[fit.is_used]) == pytest.approx(1.0, abs=0.1)


def test_too_few_stars_are_an_algorithm_error(star_field):
    with pytest.raises(AlgorithmError, match="at least 5 stars, 3 were found"):
        fitted(star_field, slice(0, 4))


def test_few_stars_give_a_constant_psf(star_field):
    assert fitted(star_field, slice(0, 6)).psf.order == 0
