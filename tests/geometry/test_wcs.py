"""Maps between pixels and sky."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.polynomial import Polynomial, evaluate_polynomial, fit_polynomial
from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.geometry.wcs import SkyWcs

SHAPE = (736, 1092)


def linear_map(
    *,
    ra: float = 285.97,
    dec: float = 36.7,
    turn: float = 10.0,
    scale: float = 6.6e-4,
    parity: int = 1,
) -> SkyWcs:
    cosine, sine = scale * np.cos(np.deg2rad(turn)), scale * np.sin(np.deg2rad(turn))
    cd = ((float(parity * cosine), float(-sine)), (float(parity * sine), float(cosine)))
    return SkyWcs((367.5, 545.5), (ra, dec), cd)


def random_distortion(order: int, seed: int, size_pix: float = 3.0) -> Polynomial:
    rng = np.random.default_rng(seed)
    table = np.zeros((order + 1, order + 1))
    for p in range(order + 1):
        for q in range(order + 1 - p):
            if p + q >= 2:
                table[p, q] = rng.uniform(-1, 1) * size_pix / 600.0 ** (p + q)
    return tuple(tuple(float(c) for c in row) for row in table)


def distorted_map(order: int, seed: int = 5, **linear: float) -> SkyWcs:
    tables = random_distortion(order, seed), random_distortion(order, seed + 1)
    return SkyWcs.with_distortion(linear_map(**linear), *tables, shape=SHAPE)  # type: ignore[arg-type]


def scattered_pixels(n: int = 500) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rng = np.random.default_rng(8)
    return rng.uniform(-0.5, SHAPE[0] - 0.5, n), rng.uniform(-0.5, SHAPE[1] - 0.5, n)


MAPS = {
    "linear": linear_map(),
    "mirrored": linear_map(parity=-1, turn=200.0),
    "near a pole": linear_map(dec=89.99),
    "over zero hours": distorted_map(2, ra=0.01),
    "second order": distorted_map(2),
    "fifth order": distorted_map(5),
}


@pytest.mark.parametrize("wcs", MAPS.values(), ids=MAPS)
def test_pixels_map_to_the_sky_as_in_astropy(wcs: SkyWcs) -> None:
    y, x = scattered_pixels()
    peer_ra, peer_dec = WCS(Header(wcs.to_header())).all_pix2world(x, y, 0)
    ra, dec = wcs.pixel_to_sky(y=y, x=x)
    assert angular_separation_deg(ra, dec, peer_ra, peer_dec).max() < 1e-9


@pytest.mark.parametrize("wcs", MAPS.values(), ids=MAPS)
def test_the_sky_maps_to_pixels_as_in_astropy(wcs: SkyWcs) -> None:
    y, x = scattered_pixels()
    peer = WCS(Header(wcs.to_header()))
    ra, dec = peer.all_pix2world(x, y, 0)
    found_y, found_x = wcs.sky_to_pixel(ra, dec)
    peer_x, peer_y = peer.all_world2pix(ra, dec, 0, tolerance=1e-9)
    np.testing.assert_allclose(found_y, peer_y, atol=2e-6)
    np.testing.assert_allclose(found_x, peer_x, atol=2e-6)


@given(
    order=st.integers(1, 5),
    seed=st.integers(0, 1000),
    ra=st.floats(0.0, 359.9),
    dec=st.floats(-89.0, 89.0),
    turn=st.floats(0.0, 360.0),
    parity=st.sampled_from([-1, 1]),
)
@settings(deadline=None, max_examples=60)
def test_pixels_come_back_from_the_sky(
    order: int, seed: int, ra: float, dec: float, turn: float, parity: int
) -> None:
    wcs = distorted_map(order, seed, ra=ra, dec=dec, turn=turn, parity=parity)
    y, x = scattered_pixels(60)
    found_y, found_x = wcs.sky_to_pixel(*wcs.pixel_to_sky(y=y, x=x))
    np.testing.assert_allclose(found_y, y, atol=1e-7)
    np.testing.assert_allclose(found_x, x, atol=1e-7)
    assert wcs.parity == parity


@given(order=st.integers(1, 5), seed=st.integers(0, 1000), ra=st.floats(0.0, 359.9))
@settings(deadline=None, max_examples=30)
def test_json_and_headers_keep_every_bit(order: int, seed: int, ra: float) -> None:
    wcs = distorted_map(order, seed, ra=ra)
    assert SkyWcs.from_json_dict(json.loads(json.dumps(wcs.to_json_dict()))) == wcs
    assert replace(SkyWcs.from_header(wcs.to_header()), crpix=wcs.crpix) == wcs


def test_the_header_counts_pixels_from_one() -> None:
    header = linear_map().to_header()
    assert (header["CRPIX1"], header["CRPIX2"]) == (546.5, 368.5)
    assert (header["CTYPE1"], header["CTYPE2"]) == ("RA---TAN", "DEC--TAN")
    assert distorted_map(3).to_header()["CTYPE1"] == "RA---TAN-SIP"
    assert distorted_map(3).to_header()["A_ORDER"] == 3


def test_the_area_of_a_pixel_is_the_solid_angle_of_its_corners() -> None:
    wcs = distorted_map(4, scale=0.01)
    y, x = scattered_pixels(50)
    step = 0.5
    (ra, dec) = wcs.pixel_to_sky(
        y=np.stack([y - step, y - step, y + step, y + step]),
        x=np.stack([x - step, x + step, x - step, x + step]),
    )
    right = angular_separation_deg(ra[0], dec[0], ra[1], dec[1])
    diagonal = angular_separation_deg(ra[0], dec[0], ra[3], dec[3])
    up = angular_separation_deg(ra[0], dec[0], ra[2], dec[2])
    cosine = (right**2 + up**2 - (angular_separation_deg(ra[1], dec[1], ra[2], dec[2])) ** 2) / (
        2 * right * up
    )
    assert (diagonal > 0).all()
    area = right * up * np.sqrt(1.0 - cosine**2) / (wcs.pixel_scale_arcsec / 3600.0) ** 2
    np.testing.assert_allclose(wcs.pixel_area(y=y, x=x), area, rtol=3e-3)


def test_the_area_of_a_plain_projection_has_a_closed_form() -> None:
    wcs = linear_map(scale=0.02)
    y, x = scattered_pixels(50)
    separation = angular_separation_deg(*wcs.crval_deg, *wcs.pixel_to_sky(y=y, x=x))
    expected = np.cos(np.deg2rad(separation)) ** 3
    np.testing.assert_allclose(wcs.pixel_area(y=y, x=x), expected, rtol=1e-10)


def test_the_jacobian_is_the_slope_of_the_plane_coordinates() -> None:
    wcs = distorted_map(3)
    y, x = scattered_pixels(20)
    h = 1e-3
    by_x = np.subtract(wcs.pixel_to_plane(y=y, x=x + h), wcs.pixel_to_plane(y=y, x=x - h)) / (2 * h)
    by_y = np.subtract(wcs.pixel_to_plane(y=y + h, x=x), wcs.pixel_to_plane(y=y - h, x=x)) / (2 * h)
    expected = np.stack([by_x, by_y], axis=-1).transpose(1, 0, 2)
    np.testing.assert_allclose(wcs.plane_jacobian(y=y, x=x), expected, rtol=1e-6, atol=1e-12)


def test_the_scale_is_that_of_the_matrix() -> None:
    assert linear_map(scale=1.0 / 3600.0).pixel_scale_arcsec == pytest.approx(1.0, rel=1e-12)


def test_the_far_side_of_the_sky_is_in_no_image() -> None:
    for wcs in (linear_map(), distorted_map(3)):
        y, x = wcs.sky_to_pixel([285.97 - 180.0, 285.97], [-36.7, 36.7])
        assert np.isnan([y[0], x[0]]).all()
        np.testing.assert_allclose([y[1], x[1]], wcs.crpix, atol=1e-6)


def test_a_folding_distortion_brings_no_distant_star_into_the_image() -> None:
    # x + 4e-4 x**2 turns back at x = -1250: two pixels share each position beyond the fold.
    table = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (4e-4, 0.0, 0.0))
    wcs = SkyWcs.with_distortion(linear_map(turn=0.0), table, ((0.0,) * 3,) * 3, shape=SHAPE)
    far = linear_map(turn=0.0).pixel_to_sky(y=np.full(40, 367.5), x=np.linspace(-3000, -400, 40))
    y, x = wcs.sky_to_pixel(*far)
    inside = np.isfinite(x) & (x > 0) & (x < SHAPE[1]) & (y > 0) & (y < SHAPE[0])
    assert not inside.any()


def test_a_single_position_gives_a_single_pixel() -> None:
    wcs = distorted_map(3)
    ra, dec = wcs.pixel_to_sky(y=12.0, x=34.0)
    y, x = wcs.sky_to_pixel(float(ra), float(dec))
    assert np.shape(y) == np.shape(x) == ()
    np.testing.assert_allclose([y, x], [12.0, 34.0], atol=1e-8)


def test_headers_with_steps_and_rotation_are_read() -> None:
    cards = linear_map().to_header()
    for axis in (1, 2):
        for other in (1, 2):
            cards[f"PC{axis}_{other}"] = float(cards.pop(f"CD{axis}_{other}")) / 1e-3
        cards[f"CDELT{axis}"] = 1e-3
    y, x = scattered_pixels(20)
    ra, dec = SkyWcs.from_header(cards).pixel_to_sky(y=y, x=x)
    expected = linear_map().pixel_to_sky(y=y, x=x)
    assert angular_separation_deg(ra, dec, *expected).max() < 1e-12


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}, "TPV"),
        ({"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"}, "right ascension first"),
        ({"CRVAL1": None}, "CRVAL1"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "no inverse"),
        ({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 12}, "A_ORDER is 12"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(
    changes: dict[str, str | float | None], word: str
) -> None:
    cards = {**linear_map().to_header(), **changes}
    kept = {key: value for key, value in cards.items() if value is not None}
    with pytest.raises(InputFileError, match=word):
        SkyWcs.from_header(kept)


def test_polynomials_and_slopes_are_those_of_numpy() -> None:
    table = np.random.default_rng(2).normal(size=(4, 4))
    nested = tuple(tuple(float(c) for c in row) for row in table)
    u, v = np.random.default_rng(3).uniform(-2, 2, (2, 30))
    value, du, dv = evaluate_polynomial(nested, u, v)
    polyval = np.polynomial.polynomial.polyval2d
    polyder = np.polynomial.polynomial.polyder
    np.testing.assert_allclose(value, polyval(u, v, table), rtol=1e-12)
    np.testing.assert_allclose(du, polyval(u, v, polyder(table, axis=0)), rtol=1e-10)
    np.testing.assert_allclose(dv, polyval(u, v, polyder(table, axis=1)), rtol=1e-10)


def test_a_fitted_polynomial_is_the_one_that_made_the_values() -> None:
    truth = random_distortion(3, 9)
    y, x = scattered_pixels(200)
    fitted = fit_polynomial(x, y, evaluate_polynomial(truth, x, y)[0], 3)
    scale = 1000.0 ** np.add.outer(np.arange(4), np.arange(4))
    np.testing.assert_allclose(np.array(fitted) * scale, np.array(truth) * scale, atol=1e-9)
