"""Residuals of the astrometric fits: of each frame by itself and of all together."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from lsstpipe.report.page import FloatArray, Json, column, floats
from lsstpipe.report.style import BLUE, FAINT, HALF, RED, Drawing, draw, mark_bound

_BOUND_PIX, _JOINT_BOUND_PIX = 0.25, 0.1
_MANY_POINTS = 800
_N_BINS, _MIN_IN_BIN = 8, 8


def draw_frame_rms(frames: tuple[Json, ...]) -> Drawing:
    """Draw the rms residual of the reference stars on each frame, by axis.

    Parameters
    ----------
    frames
        Visit summaries.
    """
    hours = _hours(frames)
    rms_y = column(frames, "astrometry", "rms_y_pix")
    rms_x = column(frames, "astrometry", "rms_x_pix")
    n_matched = column(frames, "astrometry", "n_matched")
    worst = float(np.nanmax(np.concatenate([rms_y, rms_x])))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(hours, rms_x, "o", color=BLUE, label="x")
        axes.plot(hours, rms_y, "s", color=RED, markerfacecolor="none", label="y")
        mark_bound(axes, _BOUND_PIX, f"bound {_BOUND_PIX} pixel")
        axes.set_ylim(0.0, max(1.25 * _BOUND_PIX, 1.1 * worst))
        axes.legend(ncols=2, loc="upper left")
        axes.set_xlabel("hours since the first frame")
        axes.set_ylabel("rms residual (pixel)")

    alt = f"Rms residual of reference stars by frame and axis; the worst is {worst:.3f} pixel."
    caption = (
        f"Each frame solved by itself from a header without coordinates: {len(frames)} frames, "
        f"{_range(n_matched)} reference stars each. The worst axis of "
        f"the worst frame leaves {worst:.3f} pixel; the bound is {_BOUND_PIX}."
    )
    svg = draw("frame-rms", alt, (HALF, 300), paint)
    return Drawing("frame-rms", "Solution of each frame", svg, caption)


def _range(counts: FloatArray) -> str:
    """Write a range of counts: ``24 to 31``, or ``26`` where they are all the same."""
    low, high = np.nanmin(counts), np.nanmax(counts)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _hours(frames: tuple[Json, ...]) -> FloatArray:
    """Give the times of frames in hours since the first."""
    mjd = column(frames, "mid_mjd")
    result: FloatArray = 24.0 * (mjd - np.nanmin(mjd))
    return result


def draw_residual_vectors(frames: tuple[Json, ...]) -> Drawing:
    """Draw the residuals of all frames as vectors over the detector.

    Parameters
    ----------
    frames
        Visit summaries.
    """
    y, x, dy, dx = (
        np.concatenate([floats(frame["astrometry"][name]) for frame in frames] or [np.empty(0)])
        for name in ("y", "x", "dy_pix", "dx_pix")
    )

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        arrows = axes.quiver(
            x, y, dx, dy, angles="xy", scale_units="inches", scale=1.0, width=0.0028, color=BLUE,
            alpha=0.75,
        )  # fmt: skip
        axes.quiverkey(
            arrows, 0.82, 1.04, 0.5, "0.5 pixel", labelpos="E", color=RED, labelcolor=RED
        )
        axes.set_title(" ")  # keeps room for the key
        axes.set_aspect("equal")
        axes.margins(0.06)
        axes.set_xlabel("x (pixel)")
        axes.set_ylabel("y (pixel)")

    mean = float(np.hypot(np.mean(dx), np.mean(dy))) if len(x) else np.nan
    alt = f"{len(x)} residual vectors of reference stars over the detector."
    caption = (
        f"Residuals of {len(x)} reference-star positions over the detector, all frames, magnified. "
        f"They should point everywhere: a swirl or a gradient is distortion that the fit missed. "
        f"Their mean is {1000 * mean:.0f} millipixel long."
    )
    svg = draw("residual-vectors", alt, (HALF, 340), paint)
    return Drawing("residual-vectors", "Residuals over the detector", svg, caption)


def draw_joint_residuals(fit: Json) -> Drawing:
    """Draw the residuals of the joint fit of all frames.

    Parameters
    ----------
    fit
        What the joint astrometry found.
    """
    residuals = fit["residuals"]
    dy, dx = floats(residuals["dy_pix"]), floats(residuals["dx_pix"])
    reserved = np.asarray(residuals["is_reserved"], bool)
    repeat = fit["repeatability_reserved_pix"]
    reach = 1.3 * float(np.nanpercentile(np.abs(np.concatenate([dy, dx])), 99)) if len(dx) else 1.0
    reach = max(reach, 2.0 * _JOINT_BOUND_PIX)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        many = len(dx) > _MANY_POINTS
        axes.plot(
            dx[~reserved], dy[~reserved], ".", color=FAINT, alpha=0.5, markersize=3,
            rasterized=many, label="in the fit",
        )  # fmt: skip
        axes.plot(
            dx[reserved], dy[reserved], ".", color=BLUE, markersize=4, rasterized=many,
            label="kept out",
        )  # fmt: skip
        axes.add_patch(
            Circle(
                (0, 0),
                _JOINT_BOUND_PIX,
                fill=False,
                color=RED,
                linewidth=1.6,
                zorder=5,
                linestyle=(0, (5, 3)),
            )
        )
        axes.set_aspect("equal")
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.legend(loc="upper left", markerscale=2)
        axes.set_xlabel("residual in x (pixel)")
        axes.set_ylabel("residual in y (pixel)")

    number = " and ".join(
        "unknown" if repeat[axis] is None else f"{repeat[axis]:.3f}" for axis in ("x", "y")
    )
    alt = f"Residuals of the joint fit in x and y; bright reserved stars repeat to {number} pixel."
    caption = (
        f"Positions of {fit['n_star']} stars on all frames against the joint fit "
        f"({fit['n_observation']} positions). Bright stars that the fit never saw repeat to "
        f"{number} pixel in x and y; the dashed circle is the bound of {_JOINT_BOUND_PIX}."
    )
    svg = draw("joint-residuals", alt, (HALF, 400), paint)
    return Drawing("joint-residuals", "Joint fit", svg, caption)


def draw_joint_by_magnitude(fit: Json) -> Drawing:
    """Draw the scatter of the joint residuals against magnitude, by axis.

    Parameters
    ----------
    fit
        What the joint astrometry found.
    """
    residuals = fit["residuals"]
    mag, dy, dx = (floats(residuals[name]) for name in ("mag", "dy_pix", "dx_pix"))
    kept_out = np.asarray(residuals["is_reserved"], bool) & np.isfinite(mag)
    centre, rms_y, rms_x = _rms_in_bins(mag[kept_out], dy[kept_out], dx[kept_out])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(centre, rms_x, "o-", color=BLUE, label="x", linewidth=1.0)
        axes.plot(centre, rms_y, "s-", color=RED, markerfacecolor="none", label="y", linewidth=1.0)
        mark_bound(axes, _JOINT_BOUND_PIX, f"bound for bright stars {_JOINT_BOUND_PIX} pixel")
        top = float(np.nanmax(np.concatenate([rms_y, rms_x, [2 * _JOINT_BOUND_PIX]])))
        axes.set_ylim(0.0, 1.15 * top)
        axes.legend(ncols=2, loc="upper left")
        axes.set_xlabel("AB magnitude")
        axes.set_ylabel("rms residual (pixel)")

    bright = float(np.hypot(rms_y[0], rms_x[0]) / np.sqrt(2)) if len(centre) else np.nan
    alt = f"Scatter of the joint residuals against magnitude; {bright:.3f} pixel at the bright end."
    caption = (
        "The same residuals by magnitude, stars kept out of the fit only: "
        f"{bright:.3f} pixel an axis at the bright end; towards faint stars the noise of their "
        "centroids takes over."
    )
    svg = draw("joint-magnitude", alt, (HALF, 400), paint)
    return Drawing("joint-magnitude", "Joint fit by magnitude", svg, caption)


def _rms_in_bins(
    mag: FloatArray, dy: FloatArray, dx: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take robust standard deviations in bins of magnitude of equal numbers."""
    order = np.argsort(mag, kind="stable")
    groups = [g for g in np.array_split(order, _N_BINS) if len(g) >= _MIN_IN_BIN]
    rows = [
        (np.median(mag[g]), *(1.4826 * np.median(np.abs(values[g])) for values in (dy, dx)))
        for g in groups
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
