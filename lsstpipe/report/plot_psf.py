"""The PSF: its width over the night, and how well the model follows the stars."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lsstpipe.report.page import FloatArray, Json, StarSizes, column, floats
from lsstpipe.report.style import BLUE, FAINT, HALF, NARROW, RED, WIDE, Drawing, draw

_CELLS = (6, 8)
_MIN_IN_CELL = 3
_MANY_POINTS = 800


def draw_fwhm(frames: tuple[Json, ...]) -> Drawing:
    """Draw the width of the PSF over the night.

    Parameters
    ----------
    frames
        Visit summaries.
    """
    mjd = column(frames, "mid_mjd")
    fwhm = column(frames, "psf_fwhm_arcsec")
    fwhm_pix = column(frames, "psf_fwhm_pix")
    scale = float(np.nanmedian(fwhm / fwhm_pix))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(24 * (mjd - np.nanmin(mjd)), fwhm, "o-", color=BLUE, linewidth=1.0)
        right = axes.secondary_yaxis(
            "right",
            functions=(
                lambda value: np.asarray(value) / scale,
                lambda value: np.asarray(value) * scale,
            ),
        )
        right.set_ylabel("FWHM (pixel)")
        axes.set_xlabel("hours since the first frame")
        axes.set_ylabel("FWHM (arcsec)")

    low, middle, high = np.nanmin(fwhm), np.nanmedian(fwhm), np.nanmax(fwhm)
    alt = f"Width of the PSF by frame, from {low:.1f} to {high:.1f} arcsec."
    caption = (
        f"Full width at half maximum of each frame's PSF: median {middle:.1f} arcsec, from "
        f"{low:.1f} to {high:.1f}."
    )
    svg = draw("fwhm", alt, (HALF, 290), paint)
    return Drawing("fwhm", "Width of the PSF", svg, caption)


def draw_size_map(frames: tuple[Json, ...]) -> Drawing:
    """Draw the mean size residual of stars over the detector.

    Parameters
    ----------
    frames
        Visit summaries.
    """
    y, x, residual = (
        np.concatenate([floats(frame["psf_stars"][name]) for frame in frames] or [np.empty(0)])
        for name in ("y", "x", "size_residual")
    )
    good = np.isfinite(residual)
    y, x, residual = y[good], x[good], residual[good]
    median, edges_y, edges_x = _bin_medians(y, x, residual)
    reach = 100 * float(np.nanmax(np.abs(median))) if np.isfinite(median).any() else 1.0

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        mesh = axes.pcolormesh(
            edges_x, edges_y, 100 * median, cmap="RdBu_r", vmin=-max(reach, 1), vmax=max(reach, 1),
            rasterized=True,
        )  # fmt: skip
        bar = figure.colorbar(mesh, ax=axes, shrink=0.8, aspect=25)
        bar.set_label("star over model, minus 1 (%)")
        bar.outline.set_visible(False)
        axes.grid(visible=False)
        axes.set_aspect("equal")
        axes.set_xlabel("x (pixel)")
        axes.set_ylabel("y (pixel)")
        axes.xaxis.set_major_locator(MaxNLocator(5))

    rms = 100 * float(np.sqrt(np.nanmean(median**2))) if np.isfinite(median).any() else np.nan
    alt = f"Map of the median size residual over the detector, rms {rms:.2f} per cent."
    caption = (
        f"Size of {len(x)} stars over that of the model at their place, medians in cells, all "
        f"frames. The cells scatter by {rms:.2f} %; a pattern would be a PSF that varies faster "
        "than the model."
    )
    svg = draw("size-map", alt, (HALF, 320), paint)
    return Drawing("size-map", "Size residuals over the field", svg, caption)


def _bin_medians(
    y: FloatArray, x: FloatArray, value: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take medians in cells; NaN where a cell holds too few."""
    ny, nx = _CELLS
    edges_y = np.linspace(np.min(y), np.max(y), ny + 1) if len(y) else np.arange(ny + 1.0)
    edges_x = np.linspace(np.min(x), np.max(x), nx + 1) if len(x) else np.arange(nx + 1.0)
    row = np.clip(np.searchsorted(edges_y, y, side="right") - 1, 0, ny - 1)
    col = np.clip(np.searchsorted(edges_x, x, side="right") - 1, 0, nx - 1)
    result = np.full(_CELLS, np.nan)
    for j in range(ny):
        for i in range(nx):
            inside = value[(row == j) & (col == i)]
            if len(inside) >= _MIN_IN_CELL:
                result[j, i] = np.median(inside)
    return result, edges_y, edges_x


def draw_size_by_magnitude(sizes: StarSizes) -> Drawing:
    """Draw the size residual of stars against their magnitude.

    Parameters
    ----------
    sizes
        Sizes of stars against the PSF.
    """
    good = np.isfinite(sizes.magnitude) & np.isfinite(sizes.difference)
    mag, difference = sizes.magnitude[good], 100 * sizes.difference[good]
    reserved = sizes.is_reserved[good]
    bins = np.linspace(np.min(mag), np.max(mag), 8) if len(mag) else np.arange(8.0)
    reach = max(3.0, 1.3 * float(np.percentile(np.abs(difference), 99))) if len(mag) else 3.0
    centre, middle, error = _running_median(mag[reserved], difference[reserved], bins)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        many = len(mag) > _MANY_POINTS
        for which, colour, label in (
            (~reserved, FAINT, "in the fit"),
            (reserved, BLUE, "kept out"),
        ):
            axes.plot(
                mag[which], difference[which], ".", color=colour, alpha=0.45, markersize=4,
                rasterized=many, label=label,
            )  # fmt: skip
        axes.axhline(0.0, color=FAINT, linewidth=0.8)
        axes.errorbar(centre, middle, error, fmt="D", color=RED, label="median, kept out")
        axes.set_ylim(-reach, reach)
        axes.legend(loc="lower left", ncols=3, markerscale=1.5)
        axes.set_xlabel("AB magnitude")
        axes.set_ylabel("size over model, minus 1 (%)")

    overall = float(np.median(difference[reserved])) if reserved.any() else np.nan
    alt = f"Size residual of stars against magnitude; median of reserved stars {overall:+.2f} %."
    caption = (
        f"Size of {int(reserved.sum())} star images that the PSF was not fitted to: median "
        f"{overall:+.2f} %. A slope at the bright end would be a detector whose pixels repel "
        "charge or saturate."
    )
    return Drawing(
        "size-magnitude", "Size residuals by magnitude",
        draw("size-magnitude", alt, (WIDE, 300), paint), caption,
        narrow_svg=draw("size-magnitude-narrow", alt, (NARROW, 320), paint), is_wide=True,
    )  # fmt: skip


def _running_median(
    x: FloatArray, y: FloatArray, bins: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take medians and their errors in bins that hold enough."""
    rows = []
    for low, high in itertools.pairwise(bins):
        inside = y[(x >= low) & (x <= high)]
        if len(inside) >= _MIN_IN_CELL:
            spread = 1.4826 * float(np.median(np.abs(inside - np.median(inside))))
            error = 1.253 * spread / np.sqrt(len(inside))
            rows.append((0.5 * (low + high), float(np.median(inside)), error))
    table = np.array(rows).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
