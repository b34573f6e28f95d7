from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.background import estimate_sky_variance
from lsstpipe.algorithms.detect import Detection, detect_sources
from lsstpipe.algorithms.measure_sources import (
    Columns,
    MeasureSettings,
    flag_pixels,
    measure_sources,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import PsfModelSettings
from lsstpipe.algorithms.psf_search import PsfSearchSettings, find_psf
from lsstpipe.image.columns import APERTURE_NAMES, OBJECT, PIXEL_FLAG_NAMES, SOURCE
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import Psf
from tests.algorithms.conftest import StarField

GALAXY = (200.0, 200.0)
CENTRAL = {
    "pixelFlags_interpolatedCenter": MaskPlane.INTRP,
    "pixelFlags_saturatedCenter": MaskPlane.SAT,
    "pixelFlags_edge": MaskPlane.EDGE,
}
WIDE = {
    "pixelFlags_bad": MaskPlane.BAD,
    "pixelFlags_cr": MaskPlane.CR,
    "pixelFlags_interpolated": MaskPlane.INTRP,
    "pixelFlags_nodata": MaskPlane.NO_DATA,
    "pixelFlags_saturated": MaskPlane.SAT,
    "pixelFlags_suspect": MaskPlane.SUSPECT,
}


def planes_of(field: StarField) -> Planes:
    """Take the field, with one galaxy between its stars."""
    image = field.image.copy()
    offset = np.arange(-15, 16)
    galaxy = 900 * np.exp(-0.5 * np.add.outer(offset**2, offset**2) / 3.0**2)
    y, x = (int(v) for v in GALAXY)
    image[y - 15 : y + 16, x - 15 : x + 16] += galaxy.astype(np.float32)
    return Planes(image, field.variance.copy(), field.mask.copy())


@pytest.fixture(scope="module")
def planes(star_field: StarField) -> Planes:
    return planes_of(star_field)


@pytest.fixture(scope="module")
def psf(planes: Planes) -> Psf:
    settings = PsfSearchSettings(n_sigma=20.0, model=PsfModelSettings(max_order=1))
    return find_psf(planes, settings).psf


@pytest.fixture(scope="module")
def detection(planes: Planes, psf: Psf) -> Detection:
    return detect_sources(planes, psf.stamp(y=240.0, x=240.0))


@pytest.fixture(scope="module", params=[False, True], ids=["subtracted", "deblended"])
def columns(
    request: pytest.FixtureRequest, planes: Planes, psf: Psf, detection: Detection
) -> Columns:
    return measure_sources(
        planes,
        psf,
        detection=detection,
        sky_variance=estimate_sky_variance(planes),
        settings=MeasureSettings(deblend=request.param),
    )


def true_stars(field: StarField, columns: Columns) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Find the true star that each source is; -1 for none."""
    y, x = (columns[axis].astype(float) for axis in ("y", "x"))
    distance = np.hypot(y[:, None] - field.y, x[:, None] - field.x)
    return np.where(distance.min(axis=1) < 1.0, distance.argmin(axis=1), -1)


def test_the_columns_are_in_both_schemas(columns: Columns) -> None:
    assert set(columns) <= set(SOURCE.names()) & set(OBJECT.names())
    assert {f"{name}Flux" for name in ("psf", *APERTURE_NAMES)} <= set(columns)
    assert set(PIXEL_FLAG_NAMES) <= set(columns)
    assert len({len(values) for values in columns.values()}) == 1


def test_psf_fluxes_and_positions_are_true_within_their_errors(
    star_field: StarField, columns: Columns
) -> None:
    star = true_stars(star_field, columns)
    inner = (star >= 0) & ~columns["psfFlux_flag"].astype(bool)
    inner &= star_field.flux[star] < 5e4
    ratio = columns["psfFlux"][inner].astype(float) / star_field.flux[star[inner]]
    assert inner.sum() > 80
    # A stamp holds less than all of a Moffat's light; the aperture correction is for that.
    assert 0.94 < np.median(ratio) < 1.01
    error = columns["psfFluxErr"][inner].astype(float) / star_field.flux[star[inner]]
    pull = (ratio - np.median(ratio)) / error
    assert 0.8 < 1.4826 * np.median(np.abs(pull)) < 1.25
    for axis, true in (("y", star_field.y), ("x", star_field.x)):
        off = columns[axis][inner].astype(float) - true[star[inner]]
        pull = off / columns[f"{axis}Err"][inner].astype(float)
        assert 0.8 < 1.4826 * np.median(np.abs(pull)) < 1.25


def test_apertures_grow_towards_the_whole_flux(star_field: StarField, columns: Columns) -> None:
    star = true_stars(star_field, columns)
    bright = (star >= 0) & (star_field.flux[star] > 5e4)
    growth = [
        np.median(columns[f"{name}Flux"][bright].astype(float) / star_field.flux[star[bright]])
        for name in APERTURE_NAMES
    ]
    assert (np.diff(growth) > 0).all()
    scale2 = (0.5 * star_field.fwhm) ** 2 / (2 ** (1 / 3.5) - 1)
    expected = [1 - (1 + r**2 / scale2) ** -2.5 for r in (3.0, 4.5, 6.0, 9.0)]
    assert growth[:4] == pytest.approx(expected, abs=0.02)


def test_stars_are_points_and_the_galaxy_is_not(star_field: StarField, columns: Columns) -> None:
    star = true_stars(star_field, columns)
    extended = columns["extendedness"].astype(float)
    assert (extended[star >= 0] == 0).mean() > 0.97
    at = np.hypot(columns["y"].astype(float) - GALAXY[0], columns["x"].astype(float) - GALAXY[1])
    assert at.min() < 0.5
    assert extended[np.argmin(at)] == 1
    ratio = columns["ixx"].astype(float) / columns["ixxPSF"].astype(float)
    assert np.nanmedian(ratio[star >= 0]) == pytest.approx(1.0, abs=0.02)
    assert columns["ixx"][np.argmin(at)] == pytest.approx(9.0, rel=0.1)


def flags_at(mask_pixel: tuple[int, int], plane: MaskPlane) -> dict[str, bool]:
    """Flag one source at (102, 203) on an image that begins at (80, 180)."""
    empty = np.zeros((50, 60), dtype=np.float32)
    mask = np.zeros((50, 60), dtype=np.int32)
    mask[mask_pixel[0] - 80, mask_pixel[1] - 180] |= plane
    flags = flag_pixels(
        Planes(empty, empty, mask, 80, 180),
        y=np.array([102.2]),
        x=np.array([202.6]),
        at_edge=np.array([False]),
    )
    return {name: bool(values[0]) for name, values in flags.items()}


@pytest.mark.parametrize("name", PIXEL_FLAG_NAMES)
def test_a_flag_tells_of_its_plane_as_far_as_it_reaches(name: str) -> None:
    plane = {**CENTRAL, **WIDE}[name]
    reach = 1 if name in CENTRAL else 3
    for pixel in ((102 + reach, 203), (102, 203 - reach), (102 - reach, 203 + reach)):
        assert flags_at(pixel, plane)[name]
    for pixel in ((102 + reach + 1, 203), (102, 203 - reach - 1)):
        assert not flags_at(pixel, plane)[name]
    others = {other for other, value in flags_at((102, 203), plane).items() if value}
    assert others == {n for n, p in {**CENTRAL, **WIDE}.items() if p == plane}


def test_off_the_image_there_is_an_edge_and_no_data() -> None:
    full = np.full((20, 20), int(MaskPlane.BAD), dtype=np.int32)
    zeros = np.zeros((20, 20), dtype=np.float32)
    flags = flag_pixels(
        Planes(zeros, zeros, full),
        y=np.array([-0.6, 25.0, np.nan, 5.0]),
        x=np.array([5.0, 5.0, 5.0, 5.0]),
        at_edge=np.array([False, False, False, True]),
    )
    assert flags["pixelFlags_edge"].tolist() == [True, True, True, True]
    assert flags["pixelFlags_nodata"].tolist() == [True, True, True, False]
    assert flags["pixelFlags_bad"].tolist() == [False, False, False, True]
