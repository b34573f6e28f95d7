"""The look of all plots, and their form in the page: inline SVG that follows its colours.

Colours are those of Okabe & Ito (2008), which colour-blind readers tell apart. Each stands for a
variable of the page's style sheet, so that one drawing serves the light and the dark page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, FAINT, RULE = "#101418", "#5b6570", "#d5dae0"
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SERIES = (BLUE, RED, GREEN, ORANGE, PURPLE)
_VARIABLES = {
    INK: "--ink", FAINT: "--faint", RULE: "--rule", BLUE: "--blue", ORANGE: "--orange",
    GREEN: "--green", RED: "--red", PURPLE: "--purple",
}  # fmt: skip

WIDE, HALF, NARROW = 1030, 490, 400
"""Widths of drawings in pixels of the page."""

_PIXELS_PER_INCH = 72
_RASTER_DPI = 160
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.labelsize": 11.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 10.0,
    "legend.frameon": False,
    "legend.handletextpad": 0.4,
    "legend.borderaxespad": 0.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.formatter.useoffset": False,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """One drawing of the page.

    Attributes
    ----------
    key
        Name within the page: letters, digits and hyphens.
    title
        Its heading.
    svg
        The drawing as SVG.
    caption
        What one should see, with the number.
    narrow_svg
        A second form for narrow screens; empty where the first serves.
    is_wide
        Whether it takes the whole width of the page.
    """

    key: str
    title: str
    svg: str
    caption: str
    narrow_svg: str = ""
    is_wide: bool = False


def draw(key: str, alt: str, size: tuple[int, int], paint: Callable[[Figure], None]) -> str:
    """Draw a figure as SVG that can stand within a page.

    Parameters
    ----------
    key
        Name within the page; it keeps the ids of this drawing apart from those of others.
    alt
        What the drawing shows, for readers who do not see it.
    size
        Width and height in pixels of the page.
    paint
        Fills an empty figure.

    Returns
    -------
    svg
        The element, without declarations; equal input gives equal text.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": key}):
        figure = Figure(
            figsize=(size[0] / _PIXELS_PER_INCH, size[1] / _PIXELS_PER_INCH),
            dpi=_RASTER_DPI,
            layout="constrained",
        )
        paint(figure)
        buffer = io.StringIO()
        # Not savefig: it draws everything twice.
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata={"Date": None, "Creator": None}
        )
    return _adapt(buffer.getvalue(), key, alt, size)


def _adapt(svg: str, key: str, alt: str, size: tuple[int, int]) -> str:
    """Strip the file's head, make ids unique in the page, let colours follow the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{key}-\1"', svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    view = re.search(r'viewBox="([^"]+)"', svg)
    box = view.group(1) if view else f"0 0 {size[0]} {size[1]}"
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head = (
        f'<svg viewBox="{box}" role="img" aria-label="{label}" '
        f'style="max-width:{size[0]}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return re.sub(r"^<svg[^>]*>", lambda _: head, svg, count=1).strip()


def mark_bound(axes: Axes, value: float, text: str) -> None:
    """Draw a bound as a dashed horizontal line with its text above the right end.

    Parameters
    ----------
    axes
        Where.
    value
        The bound in units of the ordinate.
    text
        What it is.
    """
    axes.axhline(value, color=RED, linestyle=(0, (5, 3)), linewidth=1.2)
    axes.annotate(
        text, (1.0, value), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", ha="right", va="bottom", color=RED, fontsize=10,
    )  # fmt: skip
