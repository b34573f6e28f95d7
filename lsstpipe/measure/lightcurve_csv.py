"""The light curve of the target as text: comma-separated values under a commented header."""

from __future__ import annotations

from lsstpipe.measure.target import TargetResult

COLUMNS = {
    "visit": "number of the visit",
    "mjd_tai": "middle of the exposure, TAI MJD, days",
    "hours": "time since the first point, hours",
    "flux": "flux relative to the comparison stars, 1 in the mean out of transit",
    "flux_err": "its standard error: noise, and the jitter that constant stars show",
    "model": "fitted transit on its baseline",
    "baseline": "the baseline alone",
    "is_out": "1 where the point is out of transit",
}
"""Columns and their meaning."""


def format_lightcurve(result: TargetResult | None, name: str) -> str:
    """Write a light curve; the header alone where there is none.

    Parameters
    ----------
    result
        The target's light curve and fit.
    name
        Name of the target.
    """
    lines = [f"# Differential light curve of {name or 'the target'}"]
    if result is not None:
        fit = result.fit
        lines += [
            f"# depth {100 * fit.depth:.3f} +- {100 * fit.depth_err:.3f} %; middle "
            f"{fit.mid_mjd:.5f} +- {fit.mid_err_d:.5f} (TAI MJD); duration "
            f"{fit.duration_h:.2f} +- {fit.duration_err_h:.2f} h",
            f"# scatter out of transit {100 * fit.scatter_out:.3f} % a point; "
            f"{len(result.ensemble.rows)} comparison stars",
        ]
    lines += [f"# {column}: {meaning}" for column, meaning in COLUMNS.items()]
    lines.append(",".join(COLUMNS))
    if result is not None:
        curve, fit = result.curve, result.fit
        for row in range(len(curve.mjd)):
            lines.append(
                f"{curve.visit[row]},{curve.mjd[row]:.7f},"
                f"{24.0 * (curve.mjd[row] - curve.mjd[0]):.5f},{curve.flux[row]:.6f},"
                f"{curve.flux_err[row]:.6f},{fit.model[row]:.6f},{fit.baseline[row]:.6f},"
                f"{int(fit.is_out[row])}"
            )
    return "\n".join(lines) + "\n"
