from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import PsfModelSettings
from lsstpipe.algorithms.psf_search import PsfSearchSettings, find_psf
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.psf import stamp_moments
from tests.algorithms.conftest import StarField, fwhm_at, moffat_stamp

SETTINGS = PsfSearchSettings(n_sigma=20.0, model=PsfModelSettings(max_order=1))


def planes_of(field: StarField) -> Planes:
    return Planes(field.image, field.variance, field.mask)


def true_sigma(field: StarField, y: float, x: float) -> float:
    local = fwhm_at(field.fwhm, field.image.shape, y=y, x=x)
    iyy, ixx, _ = stamp_moments(moffat_stamp(y, x, fwhm=local, size=25))
    return float(np.sqrt((iyy + ixx) / 2))


@pytest.mark.parametrize("first_fwhm", [2.2, 4.5])
def test_the_psf_is_found_from_a_wrong_first_guess(
    star_field: StarField, first_fwhm: float
) -> None:
    model = PsfModelSettings(max_order=2)  # the true PSF widens with the product of y and x
    settings = replace(SETTINGS, first_fwhm=first_fwhm, model=model)
    fit = find_psf(planes_of(star_field), settings)
    for y, x in ((240.0, 240.0), (60.0, 400.0), (400.0, 60.0)):
        assert fit.psf.sigma(y=y, x=x) == pytest.approx(true_sigma(star_field, y, x), rel=0.01)


def test_the_psf_is_learned_from_stars_that_are_there(star_field: StarField) -> None:
    fit = find_psf(planes_of(star_field), SETTINGS)
    distance = np.hypot(fit.y[:, None] - star_field.y, fit.x[:, None] - star_field.x).min(axis=1)
    assert len(distance) > 60
    assert distance.max() < 0.3
    assert not (fit.is_used & fit.is_reserved).any()
    assert np.median(fit.chi2_per_pixel[fit.is_reserved]) == pytest.approx(1.0, abs=0.15)


def test_extended_sources_do_not_make_the_psf_wider(star_field: StarField) -> None:
    """Put a galaxy into the gaps between the stars; as many as there are stars."""
    image = star_field.image.copy()
    offset = np.arange(-15, 16)
    galaxy = np.exp(-0.5 * np.add.outer(offset**2, offset**2) / 3.0**2)
    for y in range(40, 440, 40):
        for x in range(40, 440, 40):
            image[y - 15 : y + 16, x - 15 : x + 16] += (1500 * galaxy).astype(np.float32)
    crowded = Planes(image, star_field.variance + 1500.0, star_field.mask)
    fit = find_psf(crowded, SETTINGS)
    expected = true_sigma(star_field, 240.0, 240.0)
    assert fit.psf.sigma(y=240.0, x=240.0) == pytest.approx(expected, rel=0.02)


def test_sky_alone_has_no_psf(rng: np.random.Generator) -> None:
    image = rng.normal(0, 30, (200, 200)).astype(np.float32)
    empty = Planes(image, np.full_like(image, 900.0), np.zeros(image.shape, dtype=np.int32))
    with pytest.raises(AlgorithmError, match=r"needs at least \d+ stars; 0 sources are brighter"):
        find_psf(empty, SETTINGS)
