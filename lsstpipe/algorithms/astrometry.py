"""Fit a TAN-SIP map to stars whose sky positions are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import gnomonic_deproject, gnomonic_project
from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_CLIPS = 20
_MAX_CENTRINGS = 5
_FLOOR_TOLERANCE = 0.02
_N_FLOORS = 120
_MIN_SCALE = 0.1
"""Stars that agree better than a tenth of their errors are all kept."""


@dataclass(frozen=True)
class MatchedStars:
    """Detections with the sky positions that they should have, shape ``(n,)`` each."""

    y: FloatArray
    """Absolute pixel position."""
    x: FloatArray
    """Absolute pixel position."""
    err_pix: FloatArray
    """Error of the pair, centroid and catalogue, on each axis, pixels."""
    ra_deg: FloatArray
    """Right ascension of the catalogue star, degrees."""
    dec_deg: FloatArray
    """Declination of the catalogue star, degrees."""
    is_saturated: BoolArray | None = None
    """Stars with a floor of errors of their own, told by how they miss; None if there are none."""


@dataclass(frozen=True)
class TanSipConfig:
    """How a TAN-SIP map is fitted."""

    max_order: int = 3
    """Highest degree of the polynomial; 1 is TAN without distortion."""
    min_stars_per_term: float = 3.0
    """Least count of stars for each coefficient of one axis, for orders above 1."""
    min_gain: float = 0.05
    """Relative fall of the cross-validated rms that a higher order must bring."""
    err_floor_pix: float = 0.05
    """What is added to the errors of fewer stars than can tell it themselves, pixels."""
    min_floor_stars: int = 20
    """Stars, beyond the coefficients of one axis, that can tell it by how they miss the map."""
    saturated_floor_pix: float = 0.1
    """What is added to the errors of saturated stars where they are too few to tell it, pixels."""
    min_saturated_stars: int = 8
    """Saturated stars that can tell it: a wrong floor of theirs only costs weight."""
    clip_sigma: float = 4.0
    """Stars that miss by more robust standard deviations are left out."""


@dataclass(frozen=True)
class AstrometryFit:
    """A fitted map and how well it holds."""

    wcs: SkyWcs
    """The fitted map."""
    order: int
    """Chosen degree of the polynomial."""
    residual_y: FloatArray
    """Measured minus predicted position of each star along y, pixels."""
    residual_x: FloatArray
    """Measured minus predicted position of each star along x, pixels."""
    used: BoolArray
    """Which stars the fit kept."""
    rms_y_pix: float
    """Rms of the used residuals along y, degrees of freedom counted, pixels."""
    rms_x_pix: float
    """Rms of the used residuals along x, degrees of freedom counted, pixels."""

    @property
    def n_used(self) -> int:
        """Count of stars that the fit kept."""
        return int(np.sum(self.used))

    @property
    def rms_arcsec(self) -> tuple[float, float]:
        """Rms along y and x, arcsec."""
        scale = self.wcs.pixel_scale_arcsec
        return self.rms_y_pix * scale, self.rms_x_pix * scale


def fit_tan_sip(
    stars: MatchedStars, *, shape: tuple[int, int], config: TanSipConfig
) -> AstrometryFit:
    """Fit a TAN or TAN-SIP map by weighted least squares with clipping.

    The order is the lowest that a higher one does not clearly beat in leave-one-out
    cross-validation, with enough stars for its coefficients.

    Parameters
    ----------
    stars
        Detections and the sky positions that they should have.
    shape
        Size (y, x) of the image, pixels; its centre becomes the reference pixel.
    config
        Highest order, error floor and clipping.

    Returns
    -------
    fit
        The map and its residuals.

    Raises
    ------
    AlgorithmError
        Fewer than four stars are left.
    """
    crpix = ((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0)
    used = np.isfinite(stars.y + stars.x + stars.err_pix + stars.ra_deg + stars.dec_deg)
    crval = _mean_position(stars, used)
    unit = max(shape) / 2.0
    u, v = (stars.x - crpix[1]) / unit, (stars.y - crpix[0]) / unit
    floor, order = _first_floors(stars, config), 1
    for _ in range(_MAX_CLIPS):
        weight = 1.0 / np.hypot(stars.err_pix, floor)
        # The tangent point moves to the reference pixel, where SIP wants it.
        for _ in range(_MAX_CENTRINGS):
            plane = np.stack(
                gnomonic_project(stars.ra_deg, stars.dec_deg, centre_deg=crval), axis=1
            )
            order = _choose_order(u[used], v[used], plane[used], weight[used], config)
            coefficients = _solve(_design(u, v, order)[used], plane[used], weight[used])
            crval = _shifted(crval, coefficients[0])
            if np.hypot(*coefficients[0]) < 1e-12:
                break
        wcs = _to_wcs(coefficients, order, unit, (crpix, crval), shape)
        predicted_y, predicted_x = wcs.sky_to_pixel(stars.ra_deg, stars.dec_deg)
        residual = np.stack([stars.y - predicted_y, stars.x - predicted_x], axis=1)
        kept = _clip(residual, weight, used, config.clip_sigma)
        free = 1.0 - _leverage(_design(u, v, order)[used] * weight[used, None])
        miss = np.hypot(*residual[used].T) / np.sqrt(np.maximum(free, 1e-9))
        floor = _error_floors(stars, miss, used, _n_terms(order), config)
        known = np.allclose(
            (np.hypot(stars.err_pix, floor) * weight)[used], 1.0, atol=_FLOOR_TOLERANCE
        )
        if known and np.array_equal(kept, used):
            break
        used = kept
    freedom = max(int(used.sum()) - _n_terms(order), 1)
    rms = np.sqrt(np.sum(residual[used] ** 2, axis=0) / freedom)
    return AstrometryFit(
        wcs, order, residual[:, 0], residual[:, 1], used, float(rms[0]), float(rms[1])
    )


def _first_floors(stars: MatchedStars, config: TanSipConfig) -> FloatArray:
    """Give each star the floor of errors of its kind that is assumed before the stars tell it."""
    floor = np.full(len(stars.y), config.err_floor_pix)
    if stars.is_saturated is not None:
        floor[stars.is_saturated] = config.saturated_floor_pix
    return floor


def _error_floors(
    stars: MatchedStars, miss: FloatArray, used: BoolArray, n_terms: int, config: TanSipConfig
) -> FloatArray:
    """Let the used stars of each kind tell its floor by how they miss, if they are enough."""
    floor = _first_floors(stars, config)
    if used.sum() < n_terms + config.min_floor_stars:
        return floor
    saturated = np.zeros(len(used), bool) if stars.is_saturated is None else stars.is_saturated
    # Whether the middle of a plateau is that of the star depends on the camera: only they can tell.
    for kind, least in ((~saturated, 1), (saturated, config.min_saturated_stars)):
        if (kind & used).sum() >= least:
            floor[kind] = estimate_error_floor(miss[kind[used]], stars.err_pix[kind & used])
    return floor


def estimate_error_floor(miss: FloatArray, err: FloatArray) -> float:
    """Find what has to be added to errors in quadrature to explain by how much points miss.

    With the right floor half of the points miss by less than the median of their distribution.
    They count by the inverse square of their variances, as for the floor of greatest likelihood:
    points of small errors tell most of it. Less than half of wrong points do not move it far.

    Parameters
    ----------
    miss
        Length of the miss of each point on the plane, any unit, shape ``(n,)``.
    err
        Its error on each axis, same unit, above 0.

    Returns
    -------
    float
        The floor, to some per cent; 0 where the errors explain everything.
    """
    # The square of the length of a vector of two unit Gaussians has the median 2 ln 2.
    square = miss**2 / (2.0 * np.log(2.0))
    floors = float(np.sqrt(square.max())) * np.append(np.geomspace(1.0, 1e-4, _N_FLOORS), 0.0)
    variance = err**2 + floors[:, None] ** 2
    weight = (variance.min(axis=1, keepdims=True) / variance) ** 2
    lacking = np.sum(weight * (square > variance), axis=1) > 0.5 * np.sum(weight, axis=1)
    # Without a floor a few points may count for all, so the largest that the misses ask for holds.
    return float(floors[np.argmax(lacking)]) if lacking.any() else 0.0


def fit_to_map(
    sky_deg: tuple[FloatArray, FloatArray],
    *,
    y: FloatArray,
    x: FloatArray,
    order: int,
    shape: tuple[int, int],
) -> SkyWcs:
    """Fit a map of a given order to exact positions, such as those of a grid.

    Parameters
    ----------
    sky_deg
        Right ascension and declination of each point, degrees.
    y, x
        Absolute pixel position of each point.
    order
        Degree of the polynomial.
    shape
        Size (y, x) of the image, pixels.

    Returns
    -------
    wcs
        The map.
    """
    stars = MatchedStars(y, x, np.ones_like(y), sky_deg[0], sky_deg[1])
    config = TanSipConfig(
        max_order=order, min_stars_per_term=0.0, min_gain=-np.inf, clip_sigma=np.inf
    )
    return fit_tan_sip(stars, shape=shape, config=config).wcs


def _mean_position(stars: MatchedStars, used: BoolArray) -> tuple[float, float]:
    if used.sum() < _n_terms(1) + 1:
        raise AlgorithmError(
            f"{int(used.sum())} stars are matched with the reference catalogue; at least "
            f"{_n_terms(1) + 1} are needed for an astrometric fit."
        )
    start = (float(stars.ra_deg[used][0]), float(stars.dec_deg[used][0]))
    xi, eta = gnomonic_project(stars.ra_deg[used], stars.dec_deg[used], centre_deg=start)
    return _shifted(start, np.array([xi.mean(), eta.mean()]))


def _shifted(centre_deg: tuple[float, float], plane_deg: FloatArray) -> tuple[float, float]:
    ra, dec = gnomonic_deproject(plane_deg[0], plane_deg[1], centre_deg=centre_deg)
    return float(ra), float(dec)


def _n_terms(order: int) -> int:
    return (order + 1) * (order + 2) // 2


def _powers(order: int) -> list[tuple[int, int]]:
    return [(degree - q, q) for degree in range(order + 1) for q in range(degree + 1)]


def _design(u: FloatArray, v: FloatArray, order: int) -> FloatArray:
    return np.stack([u**p * v**q for p, q in _powers(order)], axis=1)


def _solve(design: FloatArray, values: FloatArray, weight: FloatArray) -> FloatArray:
    solution = np.linalg.lstsq(design * weight[:, None], values * weight[:, None], rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def _choose_order(
    u: FloatArray, v: FloatArray, plane: FloatArray, weight: FloatArray, config: TanSipConfig
) -> int:
    if len(u) < _n_terms(1) + 1:
        raise AlgorithmError(
            f"{len(u)} stars are left after clipping; at least {_n_terms(1) + 1} are needed for "
            "an astrometric fit."
        )
    chosen, best = 1, _cross_validated_rms(_design(u, v, 1), plane, weight)
    for order in range(2, config.max_order + 1):
        if len(u) < max(config.min_stars_per_term * _n_terms(order), _n_terms(order) + 1):
            break
        rms = _cross_validated_rms(_design(u, v, order), plane, weight)
        if rms < best * (1.0 - config.min_gain):
            chosen, best = order, rms
    return chosen


def _cross_validated_rms(design: FloatArray, values: FloatArray, weight: FloatArray) -> float:
    """Return the rms of each point's miss when the fit leaves that point out (PRESS)."""
    weighted = design * weight[:, None]
    basis = np.linalg.qr(weighted)[0]
    scaled = values * weight[:, None]
    leverage = np.sum(basis**2, axis=1)
    residual = scaled - basis @ (basis.T @ scaled)
    left_out = residual / np.maximum(1.0 - leverage, 1e-9)[:, None]
    return float(np.sqrt(np.mean(left_out**2)))


def _leverage(weighted: FloatArray) -> FloatArray:
    """Return by how much each point determines its own prediction, 0 to 1."""
    leverage: FloatArray = np.sum(np.linalg.qr(weighted)[0] ** 2, axis=1)
    return leverage


def _clip(
    residual: FloatArray, weight: FloatArray, used: BoolArray, clip_sigma: float
) -> BoolArray:
    """Keep the stars whose miss is usual, judged by the median of the misses."""
    size = np.hypot(residual[:, 0], residual[:, 1]) * weight
    # The median of the length of a vector of two unit Gaussians is sqrt(2 ln 2).
    sigma = max(float(np.median(size[used])) / np.sqrt(2.0 * np.log(2.0)), _MIN_SCALE)
    return np.asarray(used & (size <= clip_sigma * sigma))


def _to_wcs(
    coefficients: FloatArray,
    order: int,
    unit: float,
    origin: tuple[tuple[float, float], tuple[float, float]],
    shape: tuple[int, int],
) -> SkyWcs:
    """Split a polynomial from pixels to plane into the CD matrix and a SIP distortion."""
    cd = coefficients[1:3].T / unit
    (c11, c12), (c21, c22) = cd.tolist()
    linear = SkyWcs(origin[0], origin[1], ((c11, c12), (c21, c22)))
    if order == 1:
        return linear
    distortion = np.linalg.solve(cd, coefficients.T)
    tables = np.zeros((2, order + 1, order + 1))
    for index, (p, q) in enumerate(_powers(order)):
        if p + q > 1:
            tables[:, p, q] = distortion[:, index] / unit ** (p + q)
    sip_a, sip_b = (tuple(tuple(row) for row in table) for table in tables.tolist())
    return SkyWcs.with_distortion(linear, sip_a, sip_b, shape=shape)
