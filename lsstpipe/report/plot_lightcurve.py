"""The target's light curve with its transit, and its comparison stars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsstpipe.algorithms.transit import TransitPrior, transit_shape
from lsstpipe.report.page import FloatArray, Json
from lsstpipe.report.style import BLUE, FAINT, NARROW, ORANGE, RED, WIDE, Drawing, draw

_N_COMPARISON = 6


def draw_lightcurve(target: Json, curve: Mapping[str, FloatArray]) -> Drawing:
    """Draw the target's curve with the fitted transit, and the residuals below.

    Parameters
    ----------
    target
        What the metrics say of the target.
    curve
        Columns of the light curve.
    """
    fit = target["fit"]
    alt = (
        f"Relative flux of {target['name']} against time: a dip of {100 * fit['depth']:.2f} per "
        f"cent that lasts {fit['duration_h']:.1f} hours, with the fitted transit."
    )

    def paint(figure: Figure) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _paint_curve(top, target, curve)
        _paint_residual(bottom, target, curve)

    caption = (
        f"Flux of {target['name']} over that of {target['ensemble']['n']} constant field stars "
        f"that the code chose among {target['ensemble']['n_candidate']}. The fitted transit is "
        f"{100 * fit['depth']:.2f} ± {100 * fit['depth_err']:.2f} % deep; the "
        f"{target['n_out']} points out of transit scatter by {100 * fit['scatter_out']:.2f} % "
        "about the model. Bars are standard errors: noise, and the jitter that constant stars show."
    )
    return Drawing(
        "lightcurve", "Light curve", draw("lightcurve", alt, (WIDE, 460), paint), caption,
        narrow_svg=draw("lightcurve-narrow", alt, (NARROW, 460), paint), is_wide=True,
    )  # fmt: skip


def _paint_curve(axes: Axes, target: Json, curve: Mapping[str, FloatArray]) -> None:
    """Paint points, model and the time of the transit."""
    fit = target["fit"]
    fine = np.linspace(curve["hours"][0] - 0.1, curve["hours"][-1] + 0.1, 600)
    middle = 24.0 * (fit["mid_mjd"] - curve["mjd_tai"][0])
    prior = TransitPrior(
        fit["duration_h"], 1.0, impact=target["impact"],
        limb_darkening=(target["limb_darkening"][0], target["limb_darkening"][1]),
    )  # fmt: skip
    shape = transit_shape(fine - middle, fit["duration_h"], fit["depth"], prior)
    slope = np.polynomial.Polynomial.fit(curve["hours"], curve["baseline"], 1)
    axes.axvspan(
        middle - 0.5 * fit["duration_h"], middle + 0.5 * fit["duration_h"], color=ORANGE,
        alpha=0.12, linewidth=0,
    )  # fmt: skip
    axes.plot(fine, 100 * slope(fine), color=FAINT, linestyle=(0, (4, 3)), linewidth=1.0)
    axes.plot(fine, 100 * slope(fine) * (1 - fit["depth"] * shape), color=RED, linewidth=2.0)
    axes.errorbar(
        curve["hours"], 100 * curve["flux"], 100 * curve["flux_err"], fmt="o", color=BLUE,
        elinewidth=1.0, markersize=5.5,
    )  # fmt: skip
    axes.annotate(
        f"depth {100 * fit['depth']:.2f} \N{PLUS-MINUS SIGN} {100 * fit['depth_err']:.2f} %",
        (middle, 100 * float(slope(middle)) * (1 - 0.3 * fit["depth"])),
        ha="center", va="center", color=RED, fontsize=12,
    )  # fmt: skip
    axes.set_xlim(fine[0], fine[-1])
    axes.set_ylabel("relative flux (%)")


def _paint_residual(axes: Axes, target: Json, curve: Mapping[str, FloatArray]) -> None:
    """Paint flux minus model; points out of transit are filled."""
    residual = 100 * (curve["flux"] - curve["model"])
    out = curve["is_out"] > 0
    scatter = 100 * target["fit"]["scatter_out"]
    axes.axhspan(-scatter, scatter, color=FAINT, alpha=0.15, linewidth=0)
    axes.axhline(0.0, color=RED, linewidth=1.4)
    axes.errorbar(
        curve["hours"], residual, 100 * curve["flux_err"], fmt="none", ecolor=BLUE, elinewidth=1.0
    )
    axes.plot(curve["hours"][out], residual[out], "o", color=BLUE, label="out of transit")
    axes.plot(
        curve["hours"][~out], residual[~out], "o", markerfacecolor="none", color=BLUE,
        label="in transit",
    )  # fmt: skip
    reach = 1.5 * max(float(np.max(np.abs(residual) + 100 * curve["flux_err"])), scatter)
    axes.set_ylim(-reach, reach)
    axes.legend(ncols=2, loc="upper left")
    axes.set_ylabel("residual (%)")
    axes.set_xlabel("hours since the first frame")


def draw_comparisons(target: Json) -> Drawing:
    """Draw the curves of the comparison stars that are nearest to the target in brightness.

    Parameters
    ----------
    target
        What the metrics say of the target.
    """
    stars = target["comparisons"][:_N_COMPARISON]
    depths = np.array([100 * star["depth"] for star in target["comparisons"]])
    alt = f"Relative flux against time of {len(stars)} comparison stars; none shows the dip."

    def paint_columns(columns: int) -> str:
        def paint(figure: Figure) -> None:
            rows = -(-len(stars) // columns)
            grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
            for axes, star in zip(grid.ravel(), stars, strict=False):
                _paint_star(axes, star)
            for axes in grid[-1]:
                axes.set_xlabel("hours")
            for axes in grid[:, 0]:
                axes.set_ylabel("flux (%)")

        key, width = ("comparisons", WIDE) if columns == 3 else ("comparisons-narrow", NARROW)
        return draw(key, alt, (width, 330 if columns == 3 else 480), paint)

    caption = (
        "The comparison stars nearest to the target in brightness, each against all the others, on "
        "one scale. The same transit, fitted in depth alone, finds "
        f"{np.mean(depths):+.2f} % on average over all {len(depths)} of them with a spread of "
        f"{np.std(depths):.2f} %: constant stars should give nothing."
    )
    return Drawing(
        "comparisons", "Comparison stars", paint_columns(3), caption,
        narrow_svg=paint_columns(2), is_wide=True,
    )  # fmt: skip


def _paint_star(axes: Axes, star: Json) -> None:
    """Paint the curve of one comparison star."""
    mjd, flux = np.asarray(star["mjd"]), np.asarray(star["flux"])
    axes.axhline(100.0, color=FAINT, linewidth=0.8)
    axes.errorbar(
        24 * (mjd - mjd[0]), 100 * flux, 100 * np.asarray(star["flux_err"]), fmt="o", color=BLUE,
        elinewidth=0.8, markersize=3.5,
    )  # fmt: skip
    times = "\N{MULTIPLICATION SIGN} target"
    axes.set_title(f"{star['flux_ratio']:.2g} {times}, rms {100 * star['scatter']:.2f} %")
