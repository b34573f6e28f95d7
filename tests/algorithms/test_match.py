"""Pairs of positions, blind matching and association."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lsstpipe.algorithms.blind_match import BlindMatch, PointingGuess, match_blind
from lsstpipe.algorithms.match import AssociationConfig, associate, match_plane, match_sky
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.geometry.wcs import SkyWcs

Array = npt.NDArray[np.float64]
SHAPE = (736, 1092)
SCALE_ARCSEC = 2.374
CENTRE = (285.97, 36.71)


def mutual_nearest(first: Array, second: Array, radius: float) -> set[tuple[int, int]]:
    distance = cdist(first, second)
    return {
        (i, int(j))
        for i, j in enumerate(distance.argmin(axis=1))
        if distance[:, j].argmin() == i and distance[i, j] <= radius
    }


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 40))
def test_pairs_are_those_of_brute_force(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(0, 1, (n, 2)), rng.uniform(0, 1, (m, 2))
    pairs = match_plane(first, second, 0.1)
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert found == mutual_nearest(first, second, 0.1)
    np.testing.assert_allclose(
        pairs.separation, np.linalg.norm(first[pairs.first] - second[pairs.second], axis=1)
    )


def test_positions_match_across_zero_hours_within_the_radius_only() -> None:
    first = np.array([359.9999, 20.0, np.nan]), np.array([0.0, 60.0, 0.0])
    second = np.array([20.0 + 5.5 / 1800.0, 0.0001]), np.array([60.0, 0.0])
    near = match_sky(first, second, radius_arcsec=1.0)
    far = match_sky(first, second, radius_arcsec=6.0)
    assert (near.first.tolist(), near.second.tolist()) == ([0], [1])
    assert (far.first.tolist(), far.second.tolist()) == ([0, 1], [1, 0])
    np.testing.assert_allclose(far.separation, [0.72, 5.5], rtol=1e-6)


def test_nothing_matches_nothing() -> None:
    none = np.empty(0)
    assert len(match_sky((none, none), (none, none), radius_arcsec=1.0).first) == 0


class Sky:
    """A catalogue, and a frame of it with a known map."""

    def __init__(self, seed: int, *, n_catalogue: int = 130, parity: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        radius = 0.8 * np.sqrt(self.rng.random(n_catalogue))
        turn = self.rng.uniform(0, 2 * np.pi, n_catalogue)
        xi, eta = radius * np.cos(turn), radius * np.sin(turn)
        self.ra, self.dec = gnomonic_deproject(xi, eta, centre_deg=CENTRE)
        self.mag = 8.0 + 4.0 * np.sqrt(self.rng.random(n_catalogue))
        angle, scale = self.rng.uniform(0, 2 * np.pi), SCALE_ARCSEC / 3600.0
        cosine, sine = float(scale * np.cos(angle)), float(scale * np.sin(angle))
        cd = ((parity * cosine, -sine), (parity * sine, cosine))
        self.wcs = SkyWcs((SHAPE[0] / 2, SHAPE[1] / 2), CENTRE, cd)
        y, x = self.wcs.sky_to_pixel(self.ra, self.dec)
        self.inside = np.flatnonzero((y > 0) & (y < SHAPE[0]) & (x > 0) & (x < SHAPE[1]))
        self.y, self.x = y[self.inside], x[self.inside]

    def detections(
        self, *, lost: float = 0.0, n_ghosts: int = 0, n_faint: int = 300
    ) -> tuple[Array, Array, Array]:
        """Detect the stars, without some (the brightest first), with ghosts as bright as they."""
        order = np.argsort(self.mag[self.inside])
        kept = np.sort(order[int(lost * len(order) / 2) :])
        kept = kept[self.rng.random(len(kept)) >= lost / 2]
        n_extra = n_ghosts + n_faint
        y = np.concatenate([self.y[kept], self.rng.uniform(0, SHAPE[0], n_extra)])
        x = np.concatenate([self.x[kept], self.rng.uniform(0, SHAPE[1], n_extra)])
        noise_mag = self.rng.normal(0, 0.35, len(kept))
        mags = [
            self.mag[self.inside][kept] + noise_mag,
            self.rng.uniform(8, 12, n_ghosts),
            self.rng.uniform(11.5, 16, n_faint),
        ]
        flux = 10.0 ** (-0.4 * (np.concatenate(mags) - 20.0))
        noise = self.rng.normal(0, 0.2, (2, len(y)))
        return y + noise[0], x + noise[1], flux

    def guess(self, offset_arcmin: float, scale_error: float) -> PointingGuess:
        turn = self.rng.uniform(0, 2 * np.pi)
        xi, eta = offset_arcmin / 60 * np.cos(turn), offset_arcmin / 60 * np.sin(turn)
        ra, dec = gnomonic_deproject(xi, eta, centre_deg=CENTRE)
        return PointingGuess(
            float(ra), float(dec), 11.0, SCALE_ARCSEC * (1 + scale_error), abs(scale_error) + 0.001
        )

    def match(self, guess: PointingGuess, **detections: float) -> BlindMatch:
        return match_blind(
            detections=self.detections(**detections),  # type: ignore[arg-type]
            reference=(self.ra, self.dec, self.mag),
            guess=guess,
        )

    def miss_pix(self, wcs: SkyWcs) -> float:
        corners = np.array([0, 0, SHAPE[0], SHAPE[0]]), np.array([0, SHAPE[1], 0, SHAPE[1]])
        y, x = wcs.sky_to_pixel(*self.wcs.pixel_to_sky(y=corners[0], x=corners[1]))
        return float(np.hypot(y - corners[0], x - corners[1]).max())


@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("scale_error", [-0.02, 0.02])
def test_a_frame_is_found_at_any_rotation_and_parity(parity: int, scale_error: float) -> None:
    for seed in range(8):
        sky = Sky(seed, parity=parity)
        match = sky.match(sky.guess(10.0, scale_error))
        assert sky.miss_pix(match.wcs) < 1.0
        assert match.wcs.parity == parity
        assert len(match.detection) >= 0.9 * len(sky.inside)
        assert match.log10_odds > 6.0


def test_a_frame_is_found_when_half_of_the_stars_are_not_common() -> None:
    for seed in range(15):
        sky = Sky(100 + seed, parity=(-1) ** seed)
        match = sky.match(sky.guess(8.0, 0.015), lost=0.45, n_ghosts=12)
        assert sky.miss_pix(match.wcs) < 1.5


def test_a_frame_is_found_in_a_dense_catalogue_with_the_brightest_stars_saturated() -> None:
    for seed in range(2):
        sky = Sky(300 + seed, n_catalogue=6000)
        match = sky.match(sky.guess(8.0, 0.015), lost=0.04, n_faint=5000)
        assert sky.miss_pix(match.wcs) < 0.5


def test_pairs_join_the_right_stars() -> None:
    sky = Sky(7)
    match = sky.match(sky.guess(5.0, 0.01))
    true = match.detection < len(sky.inside)
    assert true.mean() > 0.9
    np.testing.assert_array_equal(sky.inside[match.detection[true]], match.reference[true])
    assert match.n_expected_by_chance < 1.0


def test_the_order_of_the_stars_does_not_change_the_map() -> None:
    sky = Sky(9)
    guess = sky.guess(6.0, 0.01)
    y, x, flux = sky.detections()
    reference = sky.ra, sky.dec, sky.mag
    shuffle = np.random.default_rng(0).permutation(len(y))
    plain = match_blind(detections=(y, x, flux), reference=reference, guess=guess)
    mixed = match_blind(
        detections=(y[shuffle], x[shuffle], flux[shuffle]), reference=reference, guess=guess
    )
    again = match_blind(detections=(y, x, flux), reference=reference, guess=guess)
    assert again.wcs == plain.wcs
    np.testing.assert_array_equal(np.sort(shuffle[mixed.detection]), plain.detection)
    assert sky.miss_pix(mixed.wcs) == pytest.approx(sky.miss_pix(plain.wcs), abs=1e-6)


def test_noise_is_never_taken_for_a_match() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sky = Sky(seed)
        n = 40 if seed % 2 else 400
        noise = rng.uniform(0, SHAPE[0], n), rng.uniform(0, SHAPE[1], n), rng.uniform(1, 9, n)
        with pytest.raises(AlgorithmError, match="better than chance"):
            match_blind(
                detections=noise,
                reference=(sky.ra, sky.dec, sky.mag),
                guess=sky.guess(9.0, 0.02),
            )


def test_a_catalogue_of_another_part_of_the_sky_is_reported() -> None:
    sky = Sky(3)
    guess = PointingGuess(CENTRE[0] + 90.0, CENTRE[1], 10.0, SCALE_ARCSEC, 0.02)
    with pytest.raises(AlgorithmError, match="has 0 stars within"):
        sky.match(guess)


def test_a_frame_of_clouds_is_reported() -> None:
    sky = Sky(3)
    few = np.array([1.0, 50.0, 90.0])
    with pytest.raises(AlgorithmError, match="shows 3 stars"):
        match_blind(
            detections=(few, few[::-1], few),
            reference=(sky.ra, sky.dec, sky.mag),
            guess=sky.guess(1.0, 0.01),
        )


def visits_of_stars(
    star_deg: Array, n_visits: int, scatter_arcsec: float = 0.1
) -> tuple[npt.NDArray[np.int64], Array, Array, npt.NDArray[np.int64]]:
    """Return visit, position and true star of every detection, in a random order."""
    rng = np.random.default_rng(4)
    visit = np.repeat(np.arange(n_visits), len(star_deg))
    truth = np.tile(np.arange(len(star_deg)), n_visits)
    ra, dec = (star_deg[truth] + rng.normal(0, scatter_arcsec / 3600, (len(truth), 2))).T
    order = rng.permutation(len(truth))
    return visit[order], ra[order], dec[order], truth[order]


def grid_of_stars(spacing_arcsec: float) -> Array:
    steps = np.arange(6) * spacing_arcsec / 3600.0
    return np.stack(np.meshgrid(10.0 + steps, 2.0 + steps), axis=-1).reshape(-1, 2)


def test_repeated_detections_become_stars_at_their_mean() -> None:
    stars = grid_of_stars(20.0)
    visit, ra, dec, truth = visits_of_stars(stars, 8)
    found = associate(visit=visit, ra_deg=ra, dec_deg=dec, config=AssociationConfig())
    assert found.n_visits.tolist() == [8] * len(stars)
    for number in range(len(stars)):
        members = found.star == number
        assert len(np.unique(truth[members])) == 1
        assert found.ra_deg[number] == pytest.approx(ra[members].mean(), abs=1e-9)
        assert found.dec_deg[number] == pytest.approx(dec[members].mean(), abs=1e-9)
    assert (np.diff(found.dec_deg) >= 0).all()


@given(seed=st.integers(0, 1000))
def test_the_order_of_detections_changes_no_bit(seed: int) -> None:
    visit, ra, dec, _ = visits_of_stars(grid_of_stars(5.0), 4, scatter_arcsec=0.8)
    plain = associate(visit=visit, ra_deg=ra, dec_deg=dec, config=AssociationConfig())
    order = np.random.default_rng(seed).permutation(len(visit))
    mixed = associate(
        visit=visit[order], ra_deg=ra[order], dec_deg=dec[order], config=AssociationConfig()
    )
    assert mixed.ra_deg.tobytes() == plain.ra_deg.tobytes()
    assert mixed.dec_deg.tobytes() == plain.dec_deg.tobytes()
    np.testing.assert_array_equal(mixed.star, plain.star[order])


def test_no_visit_gives_a_star_two_detections() -> None:
    visit, ra, dec, _ = visits_of_stars(grid_of_stars(3.0), 5, scatter_arcsec=0.7)
    found = associate(visit=visit, ra_deg=ra, dec_deg=dec, config=AssociationConfig())
    assert len(found.ra_deg) > 0
    for number in range(len(found.ra_deg)):
        members = visit[found.star == number]
        assert len(members) == len(np.unique(members)) == found.n_visits[number]


def test_close_neighbours_are_left_out_and_single_detections_are_no_neighbours() -> None:
    ra = np.array([10.0, 10.0, 10.0 + 1.5 / 3600, 10.0 + 1.5 / 3600, 20.0, 20.0, 20.0 + 1.5 / 3600])
    visit = np.array([0, 1, 0, 1, 0, 1, 0])
    found = associate(
        visit=visit, ra_deg=ra, dec_deg=np.zeros(7), config=AssociationConfig(1.0, 2.0, 2)
    )
    assert found.star.tolist() == [-1, -1, -1, -1, 0, 0, -1]


def test_detections_without_a_position_belong_to_no_star() -> None:
    nan = np.full(3, np.nan)
    found = associate(
        visit=np.arange(3), ra_deg=nan, dec_deg=nan, config=AssociationConfig(min_visits=1)
    )
    assert found.star.tolist() == [-1, -1, -1]
    assert len(found.ra_deg) == 0
