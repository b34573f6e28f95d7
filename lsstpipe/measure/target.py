"""The light curve of a campaign's target, its transit, and the metrics of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.lightcurve import (
    Ensemble,
    EnsembleConfig,
    FluxMatrix,
    LightCurve,
    choose_ensemble,
    make_lightcurve,
)
from lsstpipe.algorithms.transit import (
    TransitFit,
    TransitPrior,
    fit_depth,
    fit_transit,
    transit_shape,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.image.catalog import Catalog
from lsstpipe.measure.metric import Metric

FloatArray = npt.NDArray[np.float64]

MAX_SCATTER_PERCENT = 0.6
MIN_SIGNIFICANCE = 3.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison star against the others, and the transit that a fit finds where there is none.

    Attributes
    ----------
    object_id
        The star.
    curve
        Its light curve.
    depth, depth_err
        Depth of a transit at the target's time and duration, and its standard error.
    """

    object_id: int
    curve: LightCurve
    depth: float
    depth_err: float


@dataclass(frozen=True, slots=True)
class TargetResult:
    """All that was found about the target.

    Attributes
    ----------
    object_id
        The target.
    ensemble
        Its comparison stars.
    curve
        Its light curve, 1 at the middle of the baseline.
    fit
        The transit.
    comparisons
        The comparison stars, most like the target in brightness first.
    """

    object_id: int
    ensemble: Ensemble
    curve: LightCurve
    fit: TransitFit
    comparisons: tuple[Comparison, ...]


def find_target(objects: Catalog, *, ra_deg: float, dec_deg: float, radius_arcsec: float) -> int:
    """Find the primary object at a position.

    Parameters
    ----------
    objects
        Object table.
    ra_deg, dec_deg
        Position (ICRS), degrees.
    radius_arcsec
        How far it may be.

    Returns
    -------
    object_id
        The nearest object.

    Raises
    ------
    AlgorithmError
        If there is none within the radius.
    """
    primary = np.flatnonzero(objects.columns["detect_isPrimary"])
    distance = 3600.0 * angular_separation_deg(
        objects["coord_ra"][primary], objects["coord_dec"][primary], ra_deg, dec_deg
    )
    if not len(distance) or np.min(distance) > radius_arcsec:
        nearest = f"the nearest is {np.min(distance):.1f} arcsec away" if len(distance) else ""
        raise AlgorithmError(
            f"There is no object within {radius_arcsec:g} arcsec of the target at "
            f"{ra_deg:.5f} {dec_deg:+.5f}" + (f"; {nearest}." if nearest else ".")
        )
    return int(objects.columns["objectId"][primary[np.argmin(distance)]])


def measure_target(
    forced: FluxMatrix, object_id: int, config: EnsembleConfig, prior: TransitPrior
) -> TargetResult:
    """Make the light curve of the target, fit its transit, and the same to the comparison stars.

    Parameters
    ----------
    forced
        Forced fluxes of all stars.
    object_id
        The target.
    config
        How to choose the comparison stars.
    prior
        What is known of the transit.

    Raises
    ------
    AlgorithmError
        If there are too few comparison stars or points.
    """
    target = forced.row(object_id)
    ensemble = choose_ensemble(forced, target, config)
    curve = make_lightcurve(forced, target, ensemble)
    fit = fit_transit(curve.mjd, curve.flux, curve.flux_err, prior)
    # The level of the baseline is a matter of convention: let it be 1 in the mean.
    level = float(np.mean(fit.baseline))
    curve = LightCurve(curve.mjd, curve.visit, curve.flux / level, curve.flux_err / level)
    fit = fit_transit(curve.mjd, curve.flux, curve.flux_err, prior)
    brightness = np.abs(
        np.log(np.nanmedian(forced.flux[ensemble.rows], axis=1) / np.nanmedian(forced.flux[target]))
    )
    order = np.argsort(brightness, kind="stable")
    comparisons = tuple(
        _compare(forced, int(row), ensemble, fit, prior) for row in ensemble.rows[order]
    )
    return TargetResult(object_id, ensemble, curve, fit, comparisons)


def _compare(
    forced: FluxMatrix, row: int, ensemble: Ensemble, fit: TransitFit, prior: TransitPrior
) -> Comparison:
    """Fit the target's transit, in depth alone, to a comparison star."""
    curve = make_lightcurve(forced, row, ensemble)
    hours = 24.0 * (curve.mjd - fit.mid_mjd)
    shape = transit_shape(hours, fit.duration_h, fit.depth, prior)
    trend = ((hours - hours.mean()) / np.ptp(hours))[:, None]
    depth, depth_err = fit_depth(curve.flux, curve.flux_err, shape, trend)
    return Comparison(int(forced.object_id[row]), curve, depth, depth_err)


def target_metrics(result: TargetResult, low: float, high: float) -> list[Metric]:
    """Judge the transit of the target.

    Parameters
    ----------
    result
        What was measured.
    low, high
        Bounds of the depth, per cent.
    """
    fit = result.fit
    nulls = np.array([item.depth for item in result.comparisons])
    spread = float(1.4826 * np.median(np.abs(nulls - np.median(nulls))))
    significance = fit.depth / spread if spread > 0 else math.nan
    n = len(result.curve.mjd)
    return [
        Metric(
            "TRANSIT-1", "depth of the transit", 100.0 * fit.depth, "%", low=low, high=high, n=n,
            min_n=12, error=100.0 * fit.depth_err,
        ),
        Metric(
            "TRANSIT-2", "scatter of the points out of transit", 100.0 * fit.scatter_out, "%",
            high=MAX_SCATTER_PERCENT, n=int(fit.is_out.sum()), min_n=5,
            error=100.0 * fit.scatter_out_err,
        ),
        Metric(
            "TRANSIT-3", "depth over the spread of the same fit on comparison stars", significance,
            "", low=MIN_SIGNIFICANCE, n=len(nulls), min_n=10,
            error=abs(significance) / math.sqrt(2.0 * max(len(nulls), 1)),
            note=f"Spread {100.0 * spread:.2f} %.",
        ),
    ]  # fmt: skip
