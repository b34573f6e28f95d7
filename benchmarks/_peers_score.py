"""How far catalogues, PSF models and WCS are from the truth of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from _peers_scene import Truth
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from lsstpipe.image.psf import stamp_moments

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Row = dict[str, float | int | str]

MATCH_PIX = 3.0
_RIM_PIX, _SPIKES_PIX = 25, 60
_ISOLATION_PIX, _ISOLATION_SHARE = 20.0, 0.02
_MAS = 3.6e6


@dataclass(frozen=True, slots=True, eq=False)
class Fluxes:
    """Fluxes of one kind in one catalogue, in whatever unit.

    Attributes
    ----------
    y, x
        Positions, pixels from 0.
    flux, error
        Fluxes and what is said of their errors.
    is_good
        Those without a flag.
    """

    y: FloatArray
    x: FloatArray
    flux: FloatArray
    error: FloatArray
    is_good: npt.NDArray[np.bool_]


def inside(truth: Truth, y: FloatArray, x: FloatArray) -> npt.NDArray[np.bool_]:
    """Find positions that are not at the rim."""
    ny, nx = truth.shape
    result: npt.NDArray[np.bool_] = (
        (y > _RIM_PIX) & (y < ny - 1 - _RIM_PIX) & (x > _RIM_PIX) & (x < nx - 1 - _RIM_PIX)
    )
    return result


def isolated(truth: Truth) -> npt.NDArray[np.bool_]:
    """Find the unsaturated stars whose neighbours are faint."""
    place = np.stack([truth.y, truth.x], axis=1)
    near = cKDTree(place).query_ball_point(place, _ISOLATION_PIX)
    around = np.array([truth.flux_electron[rows].sum() for rows in near])
    share = around / truth.flux_electron - 1
    good = truth.is_point & ~truth.is_saturated & (share < _ISOLATION_SHARE)
    result: npt.NDArray[np.bool_] = good & inside(truth, truth.y, truth.x)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """What a detection found and missed, of one or more detectors.

    Attributes
    ----------
    is_spurious
        Of each detection: no object of signal-to-noise ratio above 1 is near it.
    is_found, signal_to_noise, is_star, is_galaxy
        Of each object away from the rim; stars are those whose own light dominates within the
        reach of the filter.
    """

    is_spurious: npt.NDArray[np.bool_]
    is_found: npt.NDArray[np.bool_]
    signal_to_noise: FloatArray
    is_star: npt.NDArray[np.bool_]
    is_galaxy: npt.NDArray[np.bool_]


def compare_detections(truth: Truth, y: FloatArray, x: FloatArray) -> Detected:
    """Compare detections with the truth.

    Those near saturated stars are left out: their spikes are a matter of masks.

    Parameters
    ----------
    truth
        The truth.
    y, x
        Detections, pixels from 0.
    """
    place, true_place = np.stack([y, x], axis=1), np.stack([truth.y, truth.x], axis=1)
    real, bright = truth.signal_to_noise > 1, truth.is_saturated
    distance, _ = cKDTree(true_place[real]).query(place)
    away, _ = cKDTree(true_place[bright]).query(place)
    counted = inside(truth, y, x) & (away > _SPIKES_PIX)
    kept = inside(truth, truth.y, truth.x)
    return Detected(
        is_spurious=distance[counted] > MATCH_PIX,
        is_found=cKDTree(place).query(true_place)[0][kept] < MATCH_PIX,
        signal_to_noise=truth.signal_to_noise[kept],
        is_star=(isolated_from_brighter(truth) & truth.is_point)[kept],
        is_galaxy=~truth.is_point[kept],
    )


def pool(parts: Sequence[Detected]) -> Detected:
    """Join the detections of several detectors."""
    return Detected(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(parts[0])
        )
    )


def completeness(detected: Detected) -> Row:
    """Say which objects were detected.

    Returns
    -------
    dict
        Signal-to-noise ratio at which half of the isolated stars are found, from a logistic curve;
        shares of them in bins; shares of all objects and of galaxies, blends too, above 10.
    """
    snr, found = detected.signal_to_noise, detected.is_found
    star = detected.is_star
    row: Row = {"half_at_snr": _half_point(snr[star], found[star])}
    for low, high in ((4, 5), (5, 6), (6, 8), (8, 12)):
        chosen = star & (snr > low) & (snr < high)
        row[f"stars_{low}_{high}"] = float(found[chosen].mean())
    row["all_above_10"] = float(found[snr > 10].mean())
    row["galaxies_above_10"] = float(found[detected.is_galaxy & (snr > 10)].mean())
    return row


def isolated_from_brighter(truth: Truth) -> npt.NDArray[np.bool_]:
    """Find objects whose own light dominates within the reach of the filter."""
    place = np.stack([truth.y, truth.x], axis=1)
    near = cKDTree(place).query_ball_point(place, 3 * truth.fwhm_pix)
    around = np.array([truth.flux_electron[rows].sum() for rows in near])
    result: npt.NDArray[np.bool_] = (around < 1.2 * truth.flux_electron) & inside(
        truth, truth.y, truth.x
    )
    return result


def _half_point(snr: FloatArray, found: npt.NDArray[np.bool_]) -> float:
    """Fit a logistic curve to what was found."""
    chosen = (snr > 2) & (snr < 20)
    u, hit = np.log(snr[chosen]), found[chosen]

    def loss(p: FloatArray) -> float:
        z = np.clip((u - p[0]) / np.exp(p[1]), -30, 30)
        return float(np.sum(np.log1p(np.exp(np.where(hit, -z, z)))))

    return float(np.exp(minimize(loss, [np.log(5), -2.0], method="Nelder-Mead").x[0]))


def psf_residuals(model: FloatArray, true: FloatArray) -> Row:
    """Compare stamps of a model with true ones.

    Parameters
    ----------
    model, true
        Shape ``(n, size, size)``.

    Returns
    -------
    dict
        Mean and rms of dT/T, de1 and de2 of adaptive moments; rms of the pixels as a share of that
        of the PSF.
    """
    row: Row = {}
    for name, off in zip(("dT_T", "de1", "de2"), psf_errors(model, true), strict=True):
        row[f"{name}_mean"] = float(off.mean())
        row[f"{name}_rms"] = float(off.std())
    whole = true / true.sum(axis=(1, 2), keepdims=True)
    own = model / model.sum(axis=(1, 2), keepdims=True)
    row["pixel_rms"] = float(np.sqrt(((own - whole) ** 2).sum() / (whole**2).sum()))
    return row


def psf_errors(model: FloatArray, true: FloatArray) -> FloatArray:
    """Give dT/T, de1 and de2 of the adaptive moments of stamps, shape ``(3, n)``.

    Parameters
    ----------
    model, true
        Shape ``(n, size, size)``.
    """
    own, whole = (np.array([_shape(stamp) for stamp in stamps]).T for stamps in (model, true))
    return np.stack([own[0] / whole[0] - 1, own[1] - whole[1], own[2] - whole[2]])


def psf_sizes(stamps: FloatArray) -> FloatArray:
    """Measure the sums of the adaptive second moments, pixels squared, shape ``(n,)``.

    Parameters
    ----------
    stamps
        Shape ``(n, size, size)``.
    """
    return np.array([_shape(stamp)[0] for stamp in stamps])


def _shape(stamp: FloatArray) -> tuple[float, float, float]:
    iyy, ixx, ixy = stamp_moments(stamp)
    size = iyy + ixx
    return size, (ixx - iyy) / size, 2 * ixy / size


def centroid_residuals(truth: Truth, y: FloatArray, x: FloatArray) -> Row:
    """Compare positions of isolated stars above 100 with the truth, pixels."""
    rows, star = match_stars(truth, y, x, 100)
    dy, dx = y[rows] - truth.y[star], x[rows] - truth.x[star]
    ideal = truth.fwhm_pix / 2.355 / truth.signal_to_noise[star]
    return {
        "n": len(rows),
        "y_mean": float(np.median(dy)),
        "x_mean": float(np.median(dx)),
        "y_rms": _scatter(dy),
        "x_rms": _scatter(dx),
        "ideal_rms": float(np.median(ideal)),
    }


def sky_residuals(
    truth: Truth,
    y: FloatArray,
    x: FloatArray,
    to_sky: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]],
) -> Row:
    """Compare a WCS with the true one on a grid, and sky positions of stars, milliarcseconds.

    Parameters
    ----------
    truth
        The truth.
    y, x
        Measured positions of sources.
    to_sky
        The WCS: from ``y, x`` to degrees.
    """
    along, up = map_errors(truth, to_sky)
    rows, star = match_stars(truth, y, x, 100)
    ra, dec = to_sky(y[rows], x[rows])
    star_along, star_up = _offsets(ra, dec, truth.ra_deg[star], truth.dec_deg[star])
    return {
        "wcs_mean_ra": float(along.mean()),
        "wcs_mean_dec": float(up.mean()),
        "wcs_rms_ra": float(along.std()),
        "wcs_rms_dec": float(up.std()),
        "wcs_max": float(np.hypot(along, up).max()),
        "n_stars": len(rows),
        "star_mean_ra": float(np.median(star_along)),
        "star_mean_dec": float(np.median(star_up)),
        "star_rms_ra": _scatter(star_along),
        "star_rms_dec": _scatter(star_up),
    }


def map_errors(
    truth: Truth, to_sky: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
) -> tuple[FloatArray, FloatArray]:
    """Give the errors of a WCS along right ascension and declination on a grid, milliarcseconds.

    Parameters
    ----------
    truth
        The truth.
    to_sky
        The WCS: from ``y, x`` to degrees.
    """
    ny, nx = truth.shape
    y, x = (v.ravel() for v in np.mgrid[0 : ny : ny // 48, 0 : nx : nx // 24].astype(float))
    ra, dec = to_sky(y, x)
    true_ra, true_dec = truth.wcs.pixel_to_sky(y=y, x=x)
    return _offsets(ra, dec, true_ra, true_dec)


def _offsets(
    ra: FloatArray, dec: FloatArray, true_ra: FloatArray, true_dec: FloatArray
) -> tuple[FloatArray, FloatArray]:
    return (ra - true_ra) * np.cos(np.radians(true_dec)) * _MAS, (dec - true_dec) * _MAS


def flux_residuals(truth: Truth, fluxes: Fluxes, zero_point: float | None) -> Row:
    """Compare fluxes of isolated stars with the truth, in millimagnitudes and in their errors.

    Parameters
    ----------
    truth
        The truth.
    fluxes
        What was measured.
    zero_point
        nJy per unit; None to take it from the catalogue's own bright stars, which leaves the
        change with brightness.
    """
    rows, star = match_stars(truth, fluxes.y, fluxes.x, 5)
    kept = fluxes.is_good[rows]
    rows, star = rows[kept], star[kept]
    ratio = fluxes.flux[rows] / truth.flux_njy[star]
    snr = truth.signal_to_noise[star]
    scale = zero_point or 1 / float(np.median(ratio[snr > 100]))
    row: Row = {"offset_mmag": 1085.7 * float(np.log(scale * np.median(ratio[snr > 100])))}
    for low, high in ((5, 10), (10, 30), (30, 100), (100, 1000)):
        chosen = (snr > low) & (snr < high)
        off = scale * ratio[chosen] - 1
        pull = (scale * fluxes.flux[rows] - truth.flux_njy[star])[chosen]
        pull = pull / (scale * fluxes.error[rows][chosen])
        name = f"{low}_{high}"
        row[f"n_{name}"] = int(chosen.sum())
        row[f"bias_mmag_{name}"] = 1085.7 * float(np.median(off))
        row[f"scatter_mmag_{name}"] = 1085.7 * _scatter(off)
        row[f"ideal_mmag_{name}"] = 1085.7 * float(np.median(1 / snr[chosen]))
        row[f"pull_mean_{name}"] = float(np.median(pull))
        row[f"pull_rms_{name}"] = _scatter(pull)
    return row


def ray_counts(truth: Truth, found: npt.NDArray[np.bool_]) -> Row:
    """Count the pixels of cosmic rays that were found, and others that were."""
    strong = truth.rays > 5 * np.sqrt(truth.sky + truth.read_noise**2)
    stray = found & (truth.rays == 0)
    return {
        "found_share": float(found[strong].mean()),
        "n_ray_pixels": int(strong.sum()),
        "n_stray_pixels": int(stray.sum()),
    }


def match_stars(
    truth: Truth, y: FloatArray, x: FloatArray, min_snr: float
) -> tuple[IntArray, IntArray]:
    """Find isolated stars in a catalogue: rows of the catalogue and of the truth."""
    star = np.flatnonzero(isolated(truth) & (truth.signal_to_noise > min_snr))
    usable = np.isfinite(y) & np.isfinite(x)
    place = np.where(usable[:, None], np.stack([y, x], axis=1), -1e6)
    distance, row = cKDTree(place).query(np.stack([truth.y[star], truth.x[star]], axis=1))
    near = distance < MATCH_PIX
    return row[near], star[near]


def _scatter(values: FloatArray) -> float:
    """Give a standard deviation that outliers do not move."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
