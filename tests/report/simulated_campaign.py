"""A night of dithered frames of one field with a transit, as the catalogues of a production.

Fluxes are drawn about the truth with the noise of sky, detector and photons, and with a systematic
floor; nothing is processed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.transit import TransitPrior, transit_shape
from lsstpipe.data_model import DataId
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, Schema
from lsstpipe.image.columns import FORCED_SOURCE, OBJECT, SOURCE
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.photocalib import AB_NJY, magnitude

FloatArray = npt.NDArray[np.float64]

TARGET_DEG = (286.04089, 36.63254)
DEPTH = 0.024
MID_H, DURATION_H = 2.0, 2.4
FLOOR = 0.004
START_MJD = 56095.08
SCALE_ARCSEC = 2.374
TRACT = DataId(instrument="st10", skymap="demo", tract=0)


@dataclass(frozen=True)
class Campaign:
    """Products by dataset type, and the truth that they were drawn from."""

    object_table: Catalog
    forced_source_table: Catalog
    source_table: Catalog
    frames: list[dict[str, Any]]
    joint_astrometry: dict[str, Any]
    joint_photometry: dict[str, Any]
    coadd: dict[int, Exposure]
    coadd_summary: dict[str, Any]
    wcs: SkyWcs
    target_id: int
    variable_ids: tuple[int, ...]


@dataclass(frozen=True)
class _Sky:
    """Stars on the tract, and each visit's offset, sky and width."""

    y: FloatArray
    x: FloatArray
    flux: FloatArray
    mjd: FloatArray
    offset: FloatArray
    sky_err: FloatArray
    sigma_pix: FloatArray


def simulate_campaign(seed: int = 1, n_star: int = 420, n_visit: int = 24) -> Campaign:
    """Draw a campaign; the same arguments give the same one."""
    rng = np.random.default_rng(seed)
    wcs = SkyWcs(
        (440.0, 620.0), (285.97, 36.708),
        ((-SCALE_ARCSEC / 3600, 0.0), (0.0, SCALE_ARCSEC / 3600)),
    )  # fmt: skip
    sky = _draw_sky(rng, wcs, n_star, n_visit)
    flux, error, inside = _draw_fluxes(rng, sky)
    objects = _objects(rng, sky, wcs, error, inside)
    forced = _forced(objects, sky, flux, error, inside)
    return Campaign(
        object_table=objects,
        forced_source_table=forced,
        source_table=_sources(rng, objects, sky, flux, error, inside),
        frames=[_frame(rng, sky, visit) for visit in range(n_visit)],
        joint_astrometry=_joint_astrometry(rng, sky, n_visit),
        joint_photometry=_joint_photometry(flux, error, inside),
        coadd=_coadd(rng, sky),
        coadd_summary=_coadd_summary(n_visit),
        wcs=wcs,
        target_id=1,
        variable_ids=(6, 7),
    )


def _draw_sky(rng: np.random.Generator, wcs: SkyWcs, n_star: int, n_visit: int) -> _Sky:
    mag = np.clip(9.0 + 9.5 * rng.power(2.6, n_star), 9.0, 18.4)
    y, x = rng.uniform(20, 860, n_star), rng.uniform(20, 1220, n_star)
    mag[0] = 11.8
    mag[1:12] = 11.8 + np.linspace(-1.2, 0.8, 11)
    target_y, target_x = wcs.sky_to_pixel(*TARGET_DEG)
    y[0], x[0] = float(target_y), float(target_x)
    y[5:7], x[5:7] = (300.0, 500.0), (400.0, 700.0)  # the variable stars, on every visit
    phase = np.linspace(0.0, 1.0, n_visit)
    offset = np.column_stack([70 + 50 * np.sin(5 * phase), 70 + 60 * (phase - 0.5)])
    return _Sky(
        y, x, 10 ** (0.4 * (AB_NJY - mag)),
        START_MJD + 3.667 / 24 * phase, offset,
        sky_err=10 ** (0.4 * (AB_NJY - 17.2)) / 5 * (1.3 - 0.6 * phase + 0.3 * phase**2),
        sigma_pix=1.25 + 0.3 * np.abs(np.sin(7 * phase)),
    )  # fmt: skip


def _draw_fluxes(
    rng: np.random.Generator, sky: _Sky
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Draw fluxes, errors and whether the star is in frame, shape (star, visit)."""
    hours = 24 * (sky.mjd - sky.mjd[0])
    truth = np.repeat(sky.flux[:, None], len(hours), axis=1)
    dip = transit_shape(hours - MID_H, DURATION_H, DEPTH, TransitPrior(DURATION_H, 0.1))
    truth[0] *= 1 - DEPTH * dip
    truth[5:7] *= 1 + 0.05 * np.sin(np.outer([3.0, 1.7], hours))
    photon = np.sqrt(truth * 10 ** (0.4 * (AB_NJY - 9.5)) * 4e-7)
    error = np.hypot(sky.sky_err, photon)
    flux = truth * (1 + rng.normal(0, FLOOR, truth.shape)) + error * rng.normal(size=truth.shape)
    y = sky.y[:, None] - sky.offset[:, 0]
    x = sky.x[:, None] - sky.offset[:, 1]
    return flux, error, (y > 6) & (y < 729) & (x > 6) & (x < 1085)


def _fill(schema: Schema, n: int, **columns: Any) -> Catalog:
    empty: dict[str, Any] = {c.name: np.zeros(n, dtype=c.dtype) for c in schema.columns}
    return Catalog(schema, empty | columns)


def _objects(
    rng: np.random.Generator,
    sky: _Sky,
    wcs: SkyWcs,
    error: FloatArray,
    inside: Any,
) -> Catalog:
    n = len(sky.flux)
    ra, dec = wcs.pixel_to_sky(y=sky.y, x=sky.x)
    count = inside.sum(axis=1)
    mean_err = np.exp(np.nansum(np.where(inside, np.log(error), 0), axis=1) / np.maximum(count, 1))
    moment = np.full(n, 1.4**2)
    noise = 1 + rng.normal(0, 0.008, n)
    return _fill(
        OBJECT, n, objectId=np.arange(1, n + 1), band=np.full(n, "clear"), coord_ra=ra,
        coord_dec=dec, x=sky.x, y=sky.y, psfFlux=sky.flux,
        psfFluxErr=mean_err / np.sqrt(np.maximum(count, 1)), ixx=moment * noise,
        iyy=moment * noise, ixxPSF=moment, iyyPSF=moment, inputCount=count,
        extendedness=(rng.random(n) < 0.06).astype(float) * (np.arange(n) > 12),
        detect_isPrimary=np.ones(n, bool), detect_isPatchInner=np.ones(n, bool),
    )  # fmt: skip


def _forced(
    objects: Catalog,
    sky: _Sky,
    flux: FloatArray,
    error: FloatArray,
    inside: Any,
) -> Catalog:
    star, visit = np.nonzero(inside)
    n = len(star)
    return _fill(
        FORCED_SOURCE, n, objectId=star + 1, visit=visit + 100,
        band=np.full(n, "clear"), midpointMjdTai=sky.mjd[visit],
        coord_ra=objects["coord_ra"][star], coord_dec=objects["coord_dec"][star],
        x=sky.x[star] - sky.offset[visit, 1], y=sky.y[star] - sky.offset[visit, 0],
        psfFlux=flux[star, visit], psfFluxErr=error[star, visit], ap05Flux=flux[star, visit],
        ap05FluxErr=1.4 * error[star, visit], detect_isPrimary=np.ones(n, bool),
        pixelFlags_saturated=sky.flux[star] > 0.99 * sky.flux.max(),
    )  # fmt: skip


def _sources(
    rng: np.random.Generator, objects: Catalog, sky: _Sky, flux: FloatArray, error: FloatArray,
    inside: Any,
) -> Catalog:  # fmt: skip
    star, visit = np.nonzero(inside & (flux > 8 * error))
    n = len(star)
    moment = sky.sigma_pix[visit] ** 2
    noise = 1 + rng.normal(0, 1, n) * np.hypot(0.01, 1.4 * (error / flux)[star, visit])
    return _fill(
        SOURCE, n, sourceId=np.arange(n) + 5000, visit=visit + 100, band=np.full(n, "clear"),
        ra=objects["coord_ra"][star], dec=objects["coord_dec"][star], psfFlux=flux[star, visit],
        psfFluxErr=error[star, visit], ixx=moment * noise, iyy=moment * noise, ixxPSF=moment,
        iyyPSF=moment, detect_isPrimary=np.ones(n, bool),
        calib_psf_used=(star % 5 != 0) & (flux > 50 * error)[star, visit],
        calib_psf_reserved=(star % 5 == 0) & (flux > 50 * error)[star, visit],
    )  # fmt: skip


def _coadd_summary(n_visit: int) -> dict[str, Any]:
    planted = {"n_pixels": 1000, "n_removed": 990, "n_lifted": 40, "n_left": 1}
    return {
        "n_warps": n_visit, "n_clipped_pixels": 500,
        "displaced": {
            "n_footprints": 0, "n_pixels": 0, "largest": 3.0, "n_judged": 9000, "n_covered": 9100,
        },
        "planted": [{"kind": kind, **planted} for kind in ("hot pixel", "cosmic ray", "trail")],
    }  # fmt: skip


def _frame(rng: np.random.Generator, sky: _Sky, visit: int) -> dict[str, Any]:
    n_ref, n_psf = 26, 60
    dy, dx = rng.normal(0, 0.13, (2, n_ref))
    fwhm = 2.355 * float(sky.sigma_pix[visit])
    psf_y, psf_x = rng.uniform(10, 725, n_psf), rng.uniform(10, 1080, n_psf)
    size = rng.normal(0, 0.012, n_psf) + 0.006 * np.sin(psf_x / 250) * np.cos(psf_y / 180)
    limit = float(magnitude(5 * sky.sky_err[visit]))
    return {
        "instrument": "st10", "visit": visit + 100, "detector": 0, "physical_filter": "Filter 2",
        "band": "clear", "mid_mjd": float(sky.mjd[visit]), "exposure_time_s": 60.0,
        "airmass": None, "n_source": 240, "n_psf_used": 48, "n_psf_reserved": 12,
        "psf_sigma_pix": fwhm / 2.355, "psf_fwhm_pix": fwhm, "psf_fwhm_arcsec": fwhm * SCALE_ARCSEC,
        "psf_chi2_reserved": 1.05, "sky_electron": 1000 * (1 + 1.1 * (1 - visit / 24) ** 2),
        "sky_noise_electron": 38.0, "read_noise_electron": 8.8, "n_cosmic_ray_pixels": 40,
        "n_saturated_pixels": 120, "n_bad_pixels": 250,
        "astrometry": {
            "n_matched": n_ref, "n_in_frame": n_ref, "n_in_frame_matched": n_ref,
            "rms_y_pix": float(np.std(dy)),
            "rms_x_pix": float(np.std(dx)), "rms_arcsec": 0.3, "order": 2, "mirrored": True,
            "rotation_deg": 0.1, "pixel_scale_arcsec": SCALE_ARCSEC,
            "y": rng.uniform(0, 736, n_ref).tolist(), "x": rng.uniform(0, 1092, n_ref).tolist(),
            "dy_pix": dy.tolist(), "dx_pix": dx.tolist(),
        },
        "photometry": {
            "zero_point_mag": 20.1 + 0.05 * np.sin(visit / 4), "zero_point_err_mag": 0.03,
            "scatter_mag": 0.3, "n_used": n_ref,
        },
        "psf_stars": {
            "y": psf_y.tolist(), "x": psf_x.tolist(), "size_residual": size.tolist(),
            "e1_residual": [0.0] * n_psf, "e2_residual": [0.0] * n_psf,
            "is_reserved": (np.arange(n_psf) % 5 == 0).tolist(),
        },
        "aperture_correction": {"mean": 1.04, "rms_mmag": 4.0}, "magnitude_limit": limit,
        "corners": [[285.5, 36.4], [286.5, 36.4], [286.5, 37.0], [285.5, 37.0]], "wcs": {},
    }  # fmt: skip


def _joint_astrometry(rng: np.random.Generator, sky: _Sky, n_visit: int) -> dict[str, Any]:
    n_star = 120
    star, visit = (grid.ravel() for grid in np.meshgrid(np.arange(n_star), np.arange(n_visit)))
    mag = 9.5 + 5 * rng.random(n_star)
    scatter = np.hypot(0.03, 0.02 * 10 ** (0.4 * (mag - 12)))[star]
    dy, dx = scatter * rng.normal(size=(2, len(star)))
    return {
        "detectors": [], "n_star": n_star, "n_observation": len(star), "n_reserved": 24,
        "order": 3, "repeatability_used_pix": {"y": 0.04, "x": 0.04},
        "repeatability_reserved_pix": {"y": 0.045, "x": 0.041, "n": 24},
        "reference_rms_arcsec": 0.3,
        "n_reference": 30,
        "residuals": {
            "visit": (visit + 100).tolist(), "y": rng.uniform(0, 736, len(star)).tolist(),
            "x": rng.uniform(0, 1092, len(star)).tolist(), "dy_pix": dy.tolist(),
            "dx_pix": dx.tolist(), "mag": mag[star].tolist(),
            "is_reserved": (star % 5 == 0).tolist(),
        },
    }  # fmt: skip


def _joint_photometry(flux: FloatArray, error: FloatArray, inside: Any) -> dict[str, Any]:
    use = inside.sum(axis=1) >= 10
    values = np.where(inside, flux, np.nan)[use]
    mean = np.nanmean(values, axis=1)
    rms = 1085.7 * np.nanstd(values, axis=1, ddof=1) / mean
    expected = (
        1085.7 * np.sqrt(np.nanmean(np.where(inside, error, np.nan)[use] ** 2, axis=1)) / mean
    )
    return {
        "detectors": [], "n_star": int(use.sum()), "n_observation": int(inside[use].sum()),
        "n_reserved": int(use.sum()) // 5, "floor_mmag": 1085.7 * FLOOR, "floor_err_mmag": 0.3,
        "n_floor_stars": 22,
        "stars": {
            "mag": magnitude(mean).tolist(), "rms_mmag": rms.tolist(),
            "expected_mmag": expected.tolist(), "n": inside.sum(axis=1)[use].tolist(),
            "is_reserved": (np.arange(use.sum()) % 5 == 0).tolist(),
        },
    }  # fmt: skip


def _coadd(rng: np.random.Generator, sky: _Sky) -> dict[int, Exposure]:
    """Draw the coadd and cut it into 2 x 2 patches that overlap by 40 pixels."""
    noise = float(np.mean(sky.sky_err)) / 24**0.5 / 5
    whole = rng.normal(0, noise, (880, 1240)).astype(np.float32)
    for y, x, flux in zip(sky.y, sky.x, sky.flux, strict=True):
        rows = np.arange(max(0, int(y) - 25), min(880, int(y) + 26))
        columns = np.arange(max(0, int(x) - 25), min(1240, int(x) + 26))
        radius2 = (rows[:, None] - y) ** 2 + (columns - x) ** 2
        profile = np.exp(-0.5 * radius2 / 1.96) + 0.02 / (1 + radius2 / 8) ** 2
        whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * profile / 12.3
    whole[:12] = np.nan
    patches = {}
    for index in range(4):
        row, column = divmod(index, 2)
        box = Box(420 * row, 600 * column, 460, 640)
        part = whole[box.y0 : box.y0 + box.ny, box.x0 : box.x0 + box.nx].copy()
        patches[index] = Exposure(
            part, np.zeros(part.shape, np.int32), np.full(part.shape, noise**2, np.float32), box,
            "nJy",
        )  # fmt: skip
    return patches
