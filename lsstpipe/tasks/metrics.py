"""Measure the quality of a campaign, and the light curve of its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from lsstpipe import datasets
from lsstpipe.algorithms.lightcurve import EnsembleConfig, FluxMatrix, arrange_fluxes
from lsstpipe.algorithms.transit import TransitPrior
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.catalog import Catalog, Schema, concatenate
from lsstpipe.image.columns import FORCED_SOURCE, OBJECT, SOURCE
from lsstpipe.measure.calibration import (
    astrometry_metrics,
    joint_astrometry_metrics,
    photometry_metrics,
)
from lsstpipe.measure.coadds import artifact_metrics
from lsstpipe.measure.lightcurve_csv import format_lightcurve
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.objects import depth_metrics, pull_metric, size_metric, table_metric
from lsstpipe.measure.target import TargetResult, find_target, measure_target, target_metrics
from lsstpipe.measure.visit_stars import (
    gather_stars,
    join_samples,
    requirement_metrics,
    reserved_offsets,
)
from lsstpipe.tasks.base import Json, TaskConfig

_SEED = 20120617
_UNUSABLE = ("psfFlux_flag", "invalidPsfFlag")


LightCurveFlux = Literal["psf", "ap05", "mean"]
LIGHT_CURVE_FLUXES: tuple[LightCurveFlux, ...] = ("psf", "ap05", "mean")


class Config(TaskConfig):
    """Settings of the metrics."""

    target_name: str = ""
    """Name of the target, for the reader."""
    target_ra_deg: float | None = None
    """Right ascension of the target (ICRS), degrees; without it there is no light curve."""
    target_dec_deg: float | None = None
    """Declination of the target (ICRS), degrees."""
    target_radius_arcsec: float = 5.0
    """How far from there the object may be, arcsec."""
    flux: LightCurveFlux = "psf"
    """Flux that the light curve is made of: of the PSF, within 5 pixels, or the mean of the two."""
    transit_duration_h: float = 2.5
    """Expected time from first to fourth contact, hours."""
    transit_duration_err_h: float = 0.25
    """How well that is known, hours: the fit is free within it."""
    transit_mid_mjd: float | None = None
    """Expected middle of the transit, TAI MJD; none leaves it free."""
    transit_mid_err_h: float = 0.25
    """How well that is known, hours."""
    transit_impact: float = 0.3
    """Closest approach of planet and star to centre, in radii of the star."""
    limb_darkening: tuple[float, float] = (0.4, 0.25)
    """Coefficients of the quadratic limb-darkening law in the band."""
    transit_depth_percent: tuple[float, float] = (1.9, 2.9)
    """Bounds of the depth that pass, per cent."""
    min_flux_ratio: float = 0.3
    """Faintest comparison star, in units of the target's flux."""
    max_flux_ratio: float = 20.0
    """Brightest comparison star, in units of the target's flux."""
    max_n_star: int = 60
    """Most comparison stars."""
    max_excess: float = 2.0
    """A star that scatters more than this many times what is expected is variable."""
    reject_flags: tuple[str, ...] = (
        "pixelFlags_cr", "pixelFlags_edge", "pixelFlags_interpolatedCenter", "pixelFlags_nodata",
        "pixelFlags_saturated", "pixelFlags_suspect",
    )  # fmt: skip
    """Flags of forced sources that are not used; defects off the centre are masked in the fit."""
    bright_mmag: float = 5.0
    """Stars whose errors predict less scatter than this tell the photometric floor, mmag."""
    n_frames: int = 0
    """Science frames of the campaign; 0 counts those that came through."""
    judge_requirements: bool = True
    """Whether LSST's requirements on photometry, astrometry and shapes are judged too."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All catalogues and summaries of the campaign."""

    object_table: Annotated[Mapping[DataId, Catalog], datasets.object_table]
    forced_source_table: Annotated[Mapping[DataId, Catalog], datasets.forced_source_table]
    source_table: Annotated[Mapping[DataId, Catalog], datasets.source_table]
    isolated_star: Annotated[Mapping[DataId, Catalog], datasets.isolated_star]
    visit_summary: Annotated[Mapping[DataId, Json], datasets.visit_summary]
    visit_detector_summary: Annotated[Mapping[DataId, Json], datasets.visit_detector_summary]
    joint_astrometry: Annotated[Mapping[DataId, Json], datasets.joint_astrometry]
    joint_photometry: Annotated[Mapping[DataId, Json], datasets.joint_photometry]
    deep_coadd_summary: Annotated[Mapping[DataId, Json], datasets.deep_coadd_summary]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Metrics with their bounds, and the light curve as text."""

    metrics: Annotated[Json, datasets.metrics]
    lightcurve: Annotated[str, datasets.lightcurve]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Measure everything that has a bound.

    Parameters
    ----------
    inputs
        Products of the campaign.
    config
        Settings.
    data_id
        Empty.

    Returns
    -------
    outputs
        ``metrics`` holds the list of metrics, what was found about the target, and the comparison
        stars' curves.
    """
    rng = np.random.default_rng(_SEED)
    objects = _gather(OBJECT, inputs.object_table)
    forced_table = _gather(FORCED_SOURCE, inputs.forced_source_table)
    sources = _gather(SOURCE, inputs.source_table)
    # An object is of one band; its light in the visits of another is another light.
    own = in_own_band(forced_table, objects)
    forced = arrange_forced(own, "psf", config.reject_flags)
    frames = list(inputs.visit_detector_summary.values())
    result, why = _measure_target(objects, own, config)
    metrics: list[Metric] = []
    if result is not None:
        metrics += target_metrics(result, *config.transit_depth_percent)
    elif config.target_ra_deg is not None:
        metrics.append(Metric("TRANSIT-1", "depth of the transit", np.nan, "%", note=why))
    metrics += astrometry_metrics(frames, config.n_frames)
    metrics += joint_astrometry_metrics(list(inputs.joint_astrometry.values()))
    metrics += photometry_metrics(list(inputs.joint_photometry.values()), config.bright_mmag, rng)
    metrics += depth_metrics(objects, forced, rng)
    metrics += artifact_metrics(list(inputs.deep_coadd_summary.values()))
    metrics += [
        size_metric(objects, rng),
        pull_metric(objects, forced, rng),
        table_metric(objects, forced_table, sources),
    ]
    if config.judge_requirements:
        metrics += _judge_requirements(inputs)
    return Outputs(
        metrics={
            "metrics": [metric.to_json() for metric in metrics],
            "target": _describe_target(result, objects, config, why),
        },
        lightcurve=format_lightcurve(result, config.target_name),
    )


def _judge_requirements(inputs: Inputs) -> list[Metric]:
    """Judge the isolated stars of all tracts by LSST's requirements."""
    summaries = [inputs.visit_summary[key] for key in sorted(inputs.visit_summary, key=str)]
    bands = sorted({part["band"] for summary in summaries for part in summary["detectors"]})
    samples = [
        gather_stars(inputs.isolated_star[key], inputs.source_table[key], summaries, bands)
        for key in sorted(inputs.isolated_star, key=str)
        if key in inputs.source_table
    ]
    if not samples:
        return []
    fits = [inputs.joint_astrometry[key] for key in sorted(inputs.joint_astrometry, key=str)]
    return [*requirement_metrics(join_samples(samples), bands), reserved_offsets(fits)]


def _gather(schema: Schema, tables: Mapping[DataId, Catalog]) -> Catalog:
    """Stack the tables of all tracts in the order of their data IDs."""
    return concatenate(schema, [tables[key] for key in sorted(tables, key=str)])


def in_own_band(forced: Catalog, objects: Catalog) -> Catalog:
    """Take the forced sources of objects in visits of the band that the object was found in.

    Parameters
    ----------
    forced
        Forced source table.
    objects
        Object table.
    """
    order = np.argsort(objects.columns["objectId"])
    ids, bands = (objects.columns[name][order] for name in ("objectId", "band"))
    place = np.searchsorted(ids, forced.columns["objectId"])
    place[place == len(ids)] = 0
    if not len(ids):
        return forced.select(np.zeros(len(forced), dtype=np.bool_))
    is_known = ids[place] == forced.columns["objectId"]
    return forced.select(is_known & (bands[place] == forced.columns["band"]))


def arrange_forced(
    table: Catalog, flux: LightCurveFlux, reject_flags: tuple[str, ...]
) -> FluxMatrix:
    """Arrange the forced sources of primary objects by star and visit.

    The mean of PSF and aperture flux has part of the errors of the PSF's model and part of the
    noise of the aperture's sky, and less scatter than either. Its error is given as the mean of the
    two, which is the most that it can be: they share their photons.

    Parameters
    ----------
    table
        Forced source table.
    flux
        Which flux.
    reject_flags
        Columns that make a flux unusable.
    """
    primary = table.select(table.columns["detect_isPrimary"].astype(bool))
    parts = ("psf", "ap05") if flux == "mean" else (flux,)
    bad = np.zeros(len(primary), bool)
    for name in (*reject_flags, *_UNUSABLE, *(f"{part}Flux_flag" for part in parts)):
        bad |= primary.columns[name].astype(bool)
    value, error = (
        np.mean([primary[f"{part}{column}"] for part in parts], axis=0)
        for column in ("Flux", "FluxErr")
    )
    return arrange_fluxes(
        (primary.columns["objectId"], primary.columns["visit"]),
        primary["midpointMjdTai"],
        value,
        error,
        ~bad,
    )


def _measure_target(
    objects: Catalog, forced_table: Catalog, config: Config
) -> tuple[TargetResult | None, str]:
    """Measure the target, or say why not."""
    if config.target_ra_deg is None or config.target_dec_deg is None:
        return None, "The campaign has no target."
    ensemble = EnsembleConfig(
        min_flux_ratio=config.min_flux_ratio,
        max_flux_ratio=config.max_flux_ratio,
        max_n_star=config.max_n_star,
        max_excess=config.max_excess,
    )
    prior = TransitPrior(
        duration_h=config.transit_duration_h,
        duration_err_h=config.transit_duration_err_h,
        mid_mjd=np.nan if config.transit_mid_mjd is None else config.transit_mid_mjd,
        mid_err_d=np.inf if config.transit_mid_mjd is None else config.transit_mid_err_h / 24.0,
        impact=config.transit_impact,
        limb_darkening=config.limb_darkening,
    )
    try:
        object_id = find_target(
            objects,
            ra_deg=config.target_ra_deg,
            dec_deg=config.target_dec_deg,
            radius_arcsec=config.target_radius_arcsec,
        )
        forced = arrange_forced(forced_table, config.flux, config.reject_flags)
        return measure_target(forced, object_id, ensemble, prior), ""
    except AlgorithmError as error:
        # The rest of the campaign can still be judged; the metric says what was missing.
        return None, str(error)


def _describe_target(
    result: TargetResult | None, objects: Catalog, config: Config, why: str
) -> Json | None:
    """Describe the target and its comparison stars for the report."""
    if config.target_ra_deg is None:
        return None
    known: Json = {
        "name": config.target_name,
        "ra_deg": config.target_ra_deg,
        "dec_deg": config.target_dec_deg,
        "message": why,
    }
    if result is None:
        return known
    fit, ensemble = result.fit, result.ensemble
    flux = dict(zip(objects.columns["objectId"].tolist(), objects["psfFlux"].tolist(), strict=True))
    fields = (
        "depth", "depth_err", "depth_err_covariance", "depth_err_permutation", "mid_mjd",
        "mid_err_d", "duration_h", "duration_err_h", "radius_ratio", "scatter_out",
        "scatter_out_err", "chi2", "n_free",
    )  # fmt: skip
    return known | {
        "object_id": result.object_id,
        "flux": config.flux,
        "fit": {name: getattr(fit, name) for name in fields},
        "prior": {
            "duration_h": config.transit_duration_h,
            "duration_err_h": config.transit_duration_err_h,
            "mid_mjd": config.transit_mid_mjd,
        },
        "impact": config.transit_impact,
        "limb_darkening": list(config.limb_darkening),
        "n_out": int(fit.is_out.sum()),
        "ensemble": {
            "n": len(ensemble.rows),
            "n_candidate": ensemble.n_candidate,
            "n_variable": ensemble.n_variable,
            "jitter": ensemble.jitter,
        },
        "comparisons": [
            {
                "object_id": item.object_id,
                "flux_ratio": flux[item.object_id] / flux[result.object_id],
                "mjd": item.curve.mjd.tolist(),
                "flux": item.curve.flux.tolist(),
                "flux_err": item.curve.flux_err.tolist(),
                "scatter": float(np.std(item.curve.flux, ddof=1)),
                "depth": item.depth,
                "depth_err": item.depth_err,
            }
            for item in result.comparisons
        ],
    }
