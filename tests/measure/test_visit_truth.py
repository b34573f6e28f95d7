from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.image.catalog import concatenate
from lsstpipe.image.columns import SOURCE
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.measure.psf_truth import psf_shape_metrics
from lsstpipe.measure.visit_truth import (
    VisitTruth,
    compare_psf,
    empty_pixels,
    join_psf,
    join_tables,
    judge_detections,
    match_stars,
    measure_empty_sky,
)
from tests.measure.simulated_truth import (
    SCALE,
    SHAPE,
    SKY,
    MoffatPsf,
    make_image,
    make_sources,
    make_truth,
    moffat,
)


@pytest.fixture
def truth(rng: np.random.Generator) -> VisitTruth:
    return make_truth(rng)


@pytest.fixture
def image(rng: np.random.Generator, truth: VisitTruth) -> Exposure:
    return make_image(rng, truth)


def test_the_effective_pixels_and_the_peak_are_those_of_the_profile(truth: VisitTruth) -> None:
    dy, dx = np.mgrid[-100:101, -100:101]
    profile = moffat(dy, dx)
    assert truth.effective_pixels[0] == pytest.approx(1.0 / np.sum(profile**2), rel=1e-3)
    assert truth.peak_electron[0] / truth.placed["electrons"][0] == pytest.approx(profile.max())


def test_each_isolated_star_is_found_with_what_was_measured_of_it(
    rng: np.random.Generator, truth: VisitTruth, image: Exposure
) -> None:
    sources = make_sources(rng, truth)
    table = match_stars(image, sources, truth, PhotoCalib(1.02, 0.001))
    assert len(table.flux) == len(truth.placed) - 2  # the pair of close stars is left out
    assert table.is_detected.all()
    assert table.is_clean.all()
    assert np.abs((table.flux - table.true_flux) / table.flux_err).max() < 5.0
    assert table.joint_flux == pytest.approx(1.02 * table.flux)
    bright = table.true_snr > 100
    assert np.std(table.ra_mas[bright]) < 5.0
    assert np.abs(table.ra_mas[bright]).max() < 30.0
    error = SCALE * np.sqrt(SKY * truth.effective_pixels[0])
    assert table.limit_mag == pytest.approx(31.4 - 2.5 * np.log10(5 * error), abs=0.1)


def test_a_shift_of_the_measured_positions_shows_in_right_ascension(
    rng: np.random.Generator, truth: VisitTruth, image: Exposure
) -> None:
    table = match_stars(image, make_sources(rng, truth, shift_pix=0.5), truth, None)
    bright = table.true_snr > 100
    assert np.mean(table.ra_mas[bright]) == pytest.approx(-100.0, abs=2.0)
    assert np.mean(table.dec_mas[bright]) == pytest.approx(0.0, abs=2.0)
    assert np.isnan(table.joint_flux).all()


def test_a_star_without_a_source_is_not_detected_and_a_flagged_one_is_not_clean(
    rng: np.random.Generator, truth: VisitTruth, image: Exposure
) -> None:
    sources = make_sources(rng, truth)
    sources.columns["pixelFlags_cr"][5] = True
    left = sources.select(np.arange(len(sources)) != 3)
    table = match_stars(image, left, truth, None)
    assert table.is_detected.sum() == len(table.flux) - 1
    assert table.is_clean.sum() == len(table.flux) - 2
    assert np.isnan(table.flux).sum() == 1
    assert len(table.select(table.is_clean).flux) == len(table.flux) - 2
    assert len(join_tables([table, table]).cell) == 2 * len(table.cell)


def test_a_detection_of_nothing_is_not_real(
    rng: np.random.Generator, truth: VisitTruth, image: Exposure
) -> None:
    sources = make_sources(rng, truth)
    assert judge_detections(image, sources, truth).all()
    false = sources.select(np.array([0]))
    false.columns["y"][0], false.columns["x"][0] = 15.0, 480.0
    both = concatenate(SOURCE, [sources, false])
    assert np.flatnonzero(~judge_detections(image, both, truth)).tolist() == [len(sources)]


def test_empty_pixels_hold_noise_alone(truth: VisitTruth, image: Exposure) -> None:
    empty = empty_pixels(image, truth)
    assert 0.2 < empty.mean() < 0.97
    assert not empty[truth.is_defect].any()
    noise = image.image[empty] / (SCALE * np.sqrt(SKY))
    assert np.mean(noise) == pytest.approx(0.0, abs=0.03)
    assert np.std(noise) == pytest.approx(1.0, abs=0.01)


def test_apertures_at_empty_places_scatter_as_their_errors_say(
    truth: VisitTruth, image: Exposure
) -> None:
    flux, error = measure_empty_sky(image, empty_pixels(image, truth))
    assert len(flux) > 20
    assert np.std(flux / error) == pytest.approx(1.0, abs=0.35)
    assert abs(np.median(flux / error)) < 1.0


@pytest.mark.parametrize(("factor", "expected"), [(1.0, True), (1.01, False)])
def test_a_psf_that_is_one_per_cent_too_wide_fails(
    truth: VisitTruth, factor: float, expected: bool
) -> None:
    table = compare_psf(MoffatPsf(factor), truth, SHAPE)  # type: ignore[arg-type]
    found = psf_shape_metrics(join_psf([table, table]).shapes())
    assert found[0].value == pytest.approx(1000 * (factor**2 - 1), rel=0.1, abs=1e-3)
    assert found[0].ok is expected
    assert found[0].n == 2 * len(table.model[0])
