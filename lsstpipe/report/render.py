"""Render the report: values in, one self-contained HTML page out."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from lsstpipe.report.coadd_picture import PictureMarks, make_marks
from lsstpipe.report.numbers import format_bytes, format_seconds
from lsstpipe.report.page import CoaddPicture, Json, Page, StageUse
from lsstpipe.report.plot_astrometry import (
    draw_frame_rms,
    draw_joint_by_magnitude,
    draw_joint_residuals,
    draw_residual_vectors,
)
from lsstpipe.report.plot_lightcurve import draw_comparisons, draw_lightcurve
from lsstpipe.report.plot_photometry import draw_night, draw_repeatability
from lsstpipe.report.plot_psf import draw_fwhm, draw_size_by_magnitude, draw_size_map
from lsstpipe.report.quality import describe_verdicts, group_metrics
from lsstpipe.report.style import Drawing


@dataclass(frozen=True, slots=True)
class _Group:
    """A section of drawings."""

    key: str
    title: str
    intro: str
    drawings: tuple[Drawing, ...]


def render(page: Page) -> str:
    """Render the page.

    Parameters
    ----------
    page
        What it shows.

    Returns
    -------
    html
        A page that needs no other file, with no script; equal input gives equal text.
    """
    environment = Environment(
        loader=PackageLoader("lsstpipe.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    groups = _groups(page)
    marks = _marks(page)
    values = {
        "page": page,
        "headline": _headline(page),
        "verdict": describe_verdicts(page.metrics),
        "subjects": group_metrics(page.metrics),
        "groups": groups,
        "sections": _sections(groups, marks is not None),
        "marks": marks,
        "target_facts": _target_facts(page.target),
        "stage_rows": _stage_rows(page.stages),
        "stage_total": _stage_row(_total(page.stages), 1.0),
    }
    if page.coadd is not None and marks is not None:
        values |= _coadd_texts(page.coadd, marks)
    return environment.get_template("report.html.j2").render(values) + "\n"


def _headline(page: Page) -> str:
    """Say the main result in one sentence."""
    if page.target is None or "fit" not in page.target:
        return page.target["message"] if page.target else ""
    fit, name = page.target["fit"], page.target["name"]
    return (
        f"{name} dims by {100 * fit['depth']:.2f} ± {100 * fit['depth_err']:.2f} % for "
        f"{fit['duration_h']:.1f} hours. Out of transit a single frame tells its brightness to "
        f"{100 * fit['scatter_out']:.2f} %."
    )


def _groups(page: Page) -> list[_Group]:
    """Draw all that there is to draw, by section."""
    groups = []
    if page.target is not None and "fit" in page.target and page.lightcurve:
        curves = (draw_lightcurve(page.target, page.lightcurve), draw_comparisons(page.target))
        prior = page.target["prior"]
        intro = (
            "From forced photometry at the position on the coadd, on every frame. The code chose "
            f"the comparison stars; the fit was told a duration of {prior['duration_h']:g} "
            f"\N{PLUS-MINUS SIGN} {prior['duration_err_h']:g} hours and "
            + ("no time." if prior["mid_mjd"] is None else f"a middle near {prior['mid_mjd']:.3f}.")
        )
        groups.append(_Group("transit", f"Light curve of {page.target['name']}", intro, curves))
    if page.frames:
        astrometry = [draw_frame_rms(page.frames), draw_residual_vectors(page.frames)]
        for fit in page.joint_astrometry:
            astrometry += [draw_joint_residuals(fit), draw_joint_by_magnitude(fit)]
        intro = "Where stars fall against where the solution puts them."
        groups.append(_Group("astrometry", "Astrometry", intro, tuple(astrometry)))
        psf = [draw_fwhm(page.frames), draw_size_map(page.frames)]
        psf += [] if page.sizes is None else [draw_size_by_magnitude(page.sizes)]
        intro = "How wide stars are, and how well the model of each frame follows them."
        groups.append(_Group("psf", "Point spread function", intro, tuple(psf)))
    photometry = [draw_repeatability(fit) for fit in page.joint_photometry]
    photometry += [draw_night(page.frames)] if page.frames else []
    if photometry:
        intro = "How well constant stars repeat, and what the sky did meanwhile."
        groups.append(_Group("photometry", "Photometry", intro, tuple(photometry)))
    return groups


def _sections(groups: list[_Group], has_coadd: bool) -> list[tuple[str, str]]:
    """List the sections for the navigation, in the order of the page."""
    return [
        ("metrics", "Quality"),
        *([("coadd", "Coadd")] if has_coadd else []),
        *((group.key, group.title) for group in groups),
        ("resources", "Resources"),
        ("exceptions", "Left out"),
        ("provenance", "Provenance"),
    ]


def _marks(page: Page) -> PictureMarks | None:
    """Make the picture of the coadd, if there is a coadd."""
    if page.coadd is None:
        return None
    target = page.target
    return make_marks(page.coadd, (target["ra_deg"], target["dec_deg"]) if target else None)


def _coadd_texts(coadd: CoaddPicture, marks: PictureMarks) -> dict[str, str | dict[str, float]]:
    """Write what stands around the picture, and place the compass in the upper right corner."""
    n_objects = len(coadd.object_flux)
    reach_x = [arrow[0] for arrow in marks.arrows]
    reach_y = [arrow[1] for arrow in marks.arrows]
    size = f"{marks.width} \N{MULTIPLICATION SIGN} {marks.height}"
    return {
        "compass": {
            "x": round(marks.width - 40 - 1.22 * max(0.0, *reach_x), 1),
            "y": round(30 - 1.22 * min(0.0, *reach_y), 1),
        },
        "coadd_alt": f"The coadd in band {coadd.band}: a field of {n_objects} objects.",
        "coadd_caption": (
            f"All patches of the coadd in band {coadd.band}, {size} pixels, brightness by an "
            f"inverse hyperbolic sine of the signal over the noise of the sky. {n_objects} objects "
            "were found on it. No seam should show between patches, and no trail of a hot pixel or "
            "cosmic ray."
        ),
    }


def _target_facts(target: Json | None) -> dict[str, str]:
    """List what was found about the target."""
    if target is None:
        return {}
    facts = {"position (ICRS)": f"{target['ra_deg']:.5f} {target['dec_deg']:+.5f} deg"}
    if "fit" not in target:
        return facts
    fit, ensemble = target["fit"], target["ensemble"]
    return facts | {
        "object": str(target["object_id"]),
        "middle of the transit": f"{fit['mid_mjd']:.4f} \N{PLUS-MINUS SIGN} {fit['mid_err_d']:.4f} "
        "(MJD, TAI)",
        "first to fourth contact": f"{fit['duration_h']:.2f} \N{PLUS-MINUS SIGN} "
        f"{fit['duration_err_h']:.2f} h",
        "radius of planet over star": f"{fit['radius_ratio']:.3f}",
        "comparison stars": f"{ensemble['n']} of {ensemble['n_candidate']} candidates, "
        f"{ensemble['n_variable']} left out as variable",
    }


def _total(stages: tuple[StageUse, ...]) -> StageUse:
    """Add the stages up."""
    return StageUse(
        "all",
        sum(stage.n_quanta for stage in stages),
        sum(stage.wall_s for stage in stages),
        sum(stage.cpu_s for stage in stages),
        max((stage.max_rss_mb for stage in stages), default=0.0),
        sum(stage.bytes_read for stage in stages),
        sum(stage.bytes_written for stage in stages),
        sum(stage.n_not_done for stage in stages),
    )


def _stage_rows(stages: tuple[StageUse, ...]) -> list[dict[str, str | int]]:
    """Prepare the stages for the table."""
    most = max((stage.cpu_s for stage in stages), default=0.0)
    return [_stage_row(stage, stage.cpu_s / most if most > 0 else 0.0) for stage in stages]


def _stage_row(stage: StageUse, share: float) -> dict[str, str | int]:
    """Prepare one stage; ``share`` is its CPU time in units of the largest."""
    return {
        "stage": stage.stage,
        "n": stage.n_quanta,
        "wall": format_seconds(stage.wall_s),
        "cpu": format_seconds(stage.cpu_s),
        "share": round(100 * share),
        "busy": f"{100 * stage.cpu_s / stage.wall_s:.0f} %" if stage.wall_s > 0 else "\N{EN DASH}",
        "memory": format_bytes(1e6 * stage.max_rss_mb),
        "read": format_bytes(stage.bytes_read),
        "written": format_bytes(stage.bytes_written),
        "not_done": stage.n_not_done,
    }
