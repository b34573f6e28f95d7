"""Positions on the sphere."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.geometry.sphere import (
    angular_separation_deg,
    gnomonic_deproject,
    gnomonic_project,
    sky_positions,
    unit_vectors,
    wrap_degrees,
)

right_ascensions = st.floats(0.0, 360.0, exclude_max=True)
declinations = st.floats(-89.9, 89.9)


def test_separations_are_those_of_astropy_at_every_scale() -> None:
    rng = np.random.default_rng(11)
    ra, dec = rng.uniform(0, 360, 300), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 300)))
    scale = 10.0 ** rng.uniform(-8, 1, 300)
    other_ra, other_dec = ra + scale, np.clip(dec + scale, -90, 90)
    expected = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(other_ra, other_dec, unit="deg"))
    found = angular_separation_deg(ra, dec, other_ra, other_dec)
    np.testing.assert_allclose(found, expected.to_value(units.deg), rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.0, 0.0), (180.0, 0.0), 180.0),
        ((10.0, 90.0), (200.0, 90.0), 0.0),
        ((359.5, 0.0), (0.5, 0.0), 1.0),
        ((0.0, -90.0), (77.0, 90.0), 180.0),
        ((40.0, 10.0), (40.0, 10.0 + 1e-9), 1e-9),
    ],
)
def test_separations_hold_at_the_hard_places(
    first: tuple[float, float], second: tuple[float, float], expected: float
) -> None:
    found = angular_separation_deg(*first, *second)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-13)


@given(ra=right_ascensions, dec=declinations)
def test_unit_vectors_and_positions_undo_each_other(ra: float, dec: float) -> None:
    vector = unit_vectors(ra, dec)
    np.testing.assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-14)
    back_ra, back_dec = sky_positions(3.0 * vector)
    assert angular_separation_deg(ra, dec, back_ra, back_dec) < 1e-12
    assert 0.0 <= back_ra < 360.0


@given(angle=st.floats(-1e6, 1e6))
def test_wrapped_angles_lie_on_the_circle(angle: float) -> None:
    wrapped = float(wrap_degrees(angle))
    assert 0.0 <= wrapped < 360.0
    turn = np.deg2rad(angle)
    np.testing.assert_allclose(np.cos(np.deg2rad(wrapped)), np.cos(turn), atol=1e-9)
    np.testing.assert_allclose(np.sin(np.deg2rad(wrapped)), np.sin(turn), atol=1e-9)


@given(
    ra0=right_ascensions,
    dec0=st.floats(-90.0, 90.0),
    xi=st.floats(-30.0, 30.0),
    eta=st.floats(-30.0, 30.0),
)
def test_projection_undoes_deprojection(ra0: float, dec0: float, xi: float, eta: float) -> None:
    ra, dec = gnomonic_deproject(xi, eta, centre_deg=(ra0, dec0))
    back_xi, back_eta = gnomonic_project(ra, dec, centre_deg=(ra0, dec0))
    np.testing.assert_allclose([back_xi, back_eta], [xi, eta], atol=1e-11)


@given(ra0=right_ascensions, dec0=declinations, xi=st.floats(0.0, 50.0), turn=st.floats(0.0, 6.3))
def test_distance_from_the_centre_is_the_tangent_of_the_separation(
    ra0: float, dec0: float, xi: float, turn: float
) -> None:
    ra, dec = gnomonic_deproject(xi * np.cos(turn), xi * np.sin(turn), centre_deg=(ra0, dec0))
    separation = np.deg2rad(angular_separation_deg(ra0, dec0, ra, dec))
    np.testing.assert_allclose(np.tan(separation), np.deg2rad(xi), rtol=1e-9, atol=1e-13)


def test_the_far_hemisphere_has_no_projection() -> None:
    xi, eta = gnomonic_project([10.0, 190.0, 101.0], [0.0, 0.0, 0.0], centre_deg=(10.0, 0.0))
    assert xi[0] == 0.0
    assert np.isnan(xi[1:]).all()
    assert np.isnan(eta[1:]).all()
