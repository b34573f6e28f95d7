"""Photometric repeatability, and how the night went."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lsstpipe.report.page import Json, column, floats
from lsstpipe.report.style import BLUE, FAINT, GREEN, HALF, RED, Drawing, draw

_TICKS = (2, 5, 10, 20, 50, 100, 200, 500)


def draw_repeatability(fit: Json) -> Drawing:
    """Draw the scatter of stars over the visits against their magnitude.

    Parameters
    ----------
    fit
        What the joint photometry found.
    """
    stars = fit["stars"]
    mag, rms, expected = (floats(stars[name]) for name in ("mag", "rms_mmag", "expected_mmag"))
    reserved = np.asarray(stars["is_reserved"], bool)
    good = np.isfinite(mag) & (rms > 0) & (expected > 0)
    mag, rms, expected, reserved = mag[good], rms[good], expected[good], reserved[good]
    order = np.argsort(mag)
    floor = float("nan") if fit["floor_mmag"] is None else float(fit["floor_mmag"])
    error = float("nan") if fit["floor_err_mmag"] is None else float(fit["floor_err_mmag"])
    smooth = _smooth(expected[order])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_yscale("log")
        axes.plot(mag[~reserved], rms[~reserved], "o", color=FAINT, alpha=0.6, markersize=3.5,
                  label="star in the fit")  # fmt: skip
        axes.plot(mag[reserved], rms[reserved], "o", color=BLUE, markersize=4.5,
                  label="star kept out")  # fmt: skip
        axes.plot(mag[order], smooth, color=GREEN, label="noise of the pixels")
        axes.plot(mag[order], np.hypot(smooth, floor), color=RED,
                  label=f"with a floor of {floor:.1f} mmag")  # fmt: skip
        axes.axhline(floor, color=RED, linestyle=(0, (5, 3)), linewidth=1.0)
        low = min(float(np.min(rms, initial=10.0)), max(floor, 1.0))
        high = float(np.max(rms, initial=100.0))
        ticks = [tick for tick in _TICKS if 0.5 * low <= tick <= 2 * high]
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.legend(loc="upper left")
        axes.set_xlabel("AB magnitude")
        axes.set_ylabel("rms over the visits (mmag)")

    alt = (
        f"Scatter of stars against magnitude, with the noise limit and a floor of {floor:.1f} mmag."
    )
    caption = (
        f"How well {len(mag)} stars repeat over the visits. Faint stars should follow the green "
        "line, the noise of their photons, the sky and the detector; bright ones flatten at the "
        f"systematic floor, {floor:.1f} ± {error:.1f} mmag from {fit['n_floor_stars']} stars."
    )
    svg = draw("repeatability", alt, (HALF, 400), paint)
    return Drawing("repeatability", "Repeatability against magnitude", svg, caption)


def _smooth(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Take running medians, so that the limit is a line and not the stars' own errors."""
    half = max(1, len(values) // 40)
    return np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    )


def draw_night(frames: tuple[Json, ...]) -> Drawing:
    """Draw zero point, sky and depth over the night.

    Parameters
    ----------
    frames
        Visit summaries.
    """
    mjd = column(frames, "mid_mjd")
    hours = 24 * (mjd - np.nanmin(mjd))
    zero = column(frames, "photometry", "zero_point_mag")
    zero_err = column(frames, "photometry", "zero_point_err_mag")
    sky = column(frames, "sky_electron")
    limit = column(frames, "magnitude_limit")

    def paint(figure: Figure) -> None:
        panels = figure.subplots(3, 1, sharex=True)
        panels[0].errorbar(hours, zero, zero_err, fmt="o", color=BLUE, elinewidth=1.0)
        panels[0].set_ylabel("zero point\n(mag)")
        panels[1].plot(hours, sky, "o-", color=GREEN, linewidth=1.0)
        panels[1].set_ylabel("sky\n(electron/pixel)")
        panels[1].set_ylim(0, None)
        panels[2].plot(hours, limit, "o-", color=RED, linewidth=1.0)
        panels[2].invert_yaxis()
        panels[2].set_ylabel("5-sigma\ndepth (mag)")
        panels[2].set_xlabel("hours since the first frame")
        figure.align_ylabels()

    brightest = float(np.nanmax(sky) / np.nanmin(sky))
    alt = "Zero point, sky brightness and depth of each frame against time."
    caption = (
        f"The zero point of each frame by itself (median {np.nanmedian(zero):.2f} mag for one "
        f"electron), the sky, which changes by a factor of {brightest:.1f}, and the depth, median "
        f"{np.nanmedian(limit):.2f} mag."
    )
    return Drawing(
        "night", "The night", draw("night", alt, (HALF, 400), paint), caption,
    )  # fmt: skip
